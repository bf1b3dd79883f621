"""Bulletins that the hub computes of its own log: issued, confirmed, disputed, final."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from adapters.client import Refused
from hub.store import embedded
from protocols import deadlines
from tests.acceptance.bureaus import Bureau, enrolled, example, mailbox, opened, said, until, view
from tests.conftest import RunningHub, running_hub

HERE, THERE, THIRD = Bureau("411002-health"), Bureau("440306-health"), Bureau("320583-health")
YESTERDAY = deadlines.local_date(datetime.now(UTC)) - timedelta(days=1)
START = YESTERDAY - timedelta(days=30)
PERIOD = ("--from", str(START), "--to", str(YESTERDAY))


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub() as running:
        enrolled(running, HERE, THERE, THIRD)
        yield running


@pytest.fixture(scope="module")
def cases(hub: RunningHub) -> dict[str, str]:
    """One case of each kind between the two, in the past."""
    return asyncio.run(worked(hub))


async def worked(hub: RunningHub) -> dict[str, str]:
    found = {}
    for name in ("answered", "declined", "open", "reopened"):
        found[name] = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await said(THERE, found["declined"], "case-assistance", "decline")
    for name in ("answered", "reopened"):
        await said(THERE, found[name], "case-assistance", "accept")
        await said(THERE, found[name], "case-assistance", "answer")
    await said(HERE, found["reopened"], "case-assistance", "close")
    await said(HERE, found["reopened"], "case-assistance", "reopen")
    found["other way"] = (await opened(THERE, "tip-off-referral", "refer", [HERE.id])).case
    async with THERE.client() as there:
        await there.acknowledge((await mailbox(THERE))[0])
    await changed(
        hub,
        "UPDATE case_step SET accepted = accepted - interval '20 days', due = due - 20",
        "UPDATE case_file SET opened = opened - interval '20 days', due = due - 20",
    )
    return found


async def changed(hub: RunningHub, *statements: str) -> None:
    """Change what is stored: a period is reported on when it is over, and tests do not wait that long."""
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


def issued(hub: RunningHub, kind: str, *options: str) -> dict[str, Any]:
    done = hub.run("bulletins", "issue", kind, *PERIOD, "--data", str(hub.data), "--json", *options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def items(case: str) -> list[dict[str, Any]]:
    return list((await view(HERE, case))["timeline"][0]["data"]["items"])


async def test_a_progress_bulletin_names_the_cases_behind_each_figure(hub: RunningHub, cases: dict[str, str]) -> None:
    (one,) = issued(hub, "progress")["issued"]
    assert one["between"] == [HERE.id, THERE.id]
    found = {
        (item["protocol"], item["opener"], item["figure"]): set(item["cases"]) for item in await items(one["case"])
    }
    assert found["case-assistance", HERE.id, "opened"] == {
        cases[n] for n in ("answered", "declined", "open", "reopened")
    }
    assert found["case-assistance", HERE.id, "answered"] == {cases["answered"], cases["reopened"]}
    assert found["case-assistance", HERE.id, "ended"] == {cases["declined"]}
    assert found["case-assistance", HERE.id, "open"] == {cases[n] for n in ("answered", "open", "reopened")}
    assert found["case-assistance", HERE.id, "overdue"] >= {cases["open"]}
    assert found["tip-off-referral", THERE.id, "opened"] == {cases["other way"]}
    assert all(item["count"] == len(item["cases"]) for item in await items(one["case"]))
    assert (await view(HERE, one["case"]))["opener"] == "410000-hub"
    again = issued(hub, "progress")
    assert (again["issued"], again["known"]) == ([], 1)
    for bureau in (HERE, THERE):
        (item,) = [i for i in await mailbox(bureau) if i.event.subject == one["case"]]
        assert item.event.source == "410000-hub"
    await said(HERE, one["case"], "progress-bulletin", "confirm")
    assert (await view(HERE, one["case"]))["awaits"] == [THERE.id]
    await said(THERE, one["case"], "progress-bulletin", "confirm")
    assert (await view(HERE, one["case"]))["state"] == "final"


async def test_a_bulletin_from_what_was_changed_behind_the_log_is_found_out(
    hub: RunningHub, cases: dict[str, str]
) -> None:
    """The steps were moved into the past in the database alone: the log says that nothing happened in the period."""
    case = json.loads(hub.run("bulletins", "issue", "progress", *PERIOD, "--data", str(hub.data), "--json").stdout)
    (one,) = [i for i in await mailbox(HERE) if i.event.type == "progress-bulletin.issue"]
    assert case["known"] + len(case["issued"]) == 1
    done = hub.run("recompute", "--bulletin", one.event.subject, "--data", str(hub.data))
    assert done.returncode == 1 and "与日志不符" in done.stdout
    assert f"{cases['answered']} ✗ 仅见于通报" in done.stdout
    listed = json.loads(hub.run("recompute", "--bulletin", one.event.subject, "--data", str(hub.data), "--json").stdout)
    assert (listed["rooted"], listed["holds"]) == (True, False)
    wrong = hub.run("recompute", "--bulletin", cases["open"], "--data", str(hub.data))
    assert wrong.returncode == 1 and "not-found" in wrong.stderr and len(wrong.stderr.strip().splitlines()) == 1


async def test_an_assessment_is_disputed_and_upheld_or_revised(hub: RunningHub, cases: dict[str, str]) -> None:
    (one,) = issued(hub, "assessment")["issued"]
    found = {(item["assessed"], item["indicator"]): item for item in await items(one["case"])}
    accepted = found[THERE.id, "accepted-within-7-days"]
    assert (accepted["met"], accepted["of"], accepted["rating"]) == (3, 4, "amber")
    assert accepted["missed"] == [cases["open"]]
    assert found[THERE.id, "reopened"]["met"] == 1
    assert found[THERE.id, "days-to-answer"]["value"] == 0
    assert found[HERE.id, "days-to-answer"]["rating"] == "none"
    assert set(found[HERE.id, "accepted-within-7-days"]["cases"]) == {cases["other way"]}
    number = accepted["item"]
    dispute = [{"item": number, "reason": "wrong-count", "cases": [cases["open"]]}]
    await said(THERE, one["case"], "mutual-assessment", "dispute", items=dispute)
    settled = await until(HERE, one["case"], lambda v: v["state"] != "disputed")
    assert settled["state"] == "final"
    assert settled["timeline"][-1]["data"]["disputed"] == [number]


async def test_a_dispute_that_is_right_leads_to_a_revision(hub: RunningHub, cases: dict[str, str]) -> None:
    later = ("--from", str(START + timedelta(days=1)), "--to", str(YESTERDAY))
    done = hub.run("bulletins", "issue", "progress", *later, "--data", str(hub.data), "--json")
    (one,) = json.loads(done.stdout)["issued"]
    before = {
        i["figure"]: i for i in await items(one["case"]) if (i["protocol"], i["opener"]) == ("case-assistance", HERE.id)
    }
    await changed(
        hub, f"UPDATE case_step SET accepted = accepted - interval '60 days' WHERE case_id = '{cases['declined']}'"
    )
    dispute = [{"item": before["opened"]["item"], "reason": "wrong-date"}]
    await said(HERE, one["case"], "progress-bulletin", "dispute", items=dispute)
    found = await until(HERE, one["case"], lambda v: len(v["timeline"]) == 3)
    assert found["state"] == "issued" and set(found["awaits"]) == {HERE.id, THERE.id}
    revised = {i["item"]: i for i in found["timeline"][-1]["data"]["items"]}
    assert revised[before["opened"]["item"]]["count"] == before["opened"]["count"] - 1


async def test_who_says_nothing_in_time_has_confirmed(hub: RunningHub, cases: dict[str, str]) -> None:
    sides = ("--between", HERE.id, "--between", THERE.id)
    period = ("--from", str(START + timedelta(days=2)), "--to", str(YESTERDAY))
    done = hub.run("bulletins", "issue", "progress", *period, *sides, "--data", str(hub.data), "--json")
    (one,) = json.loads(done.stdout)["issued"]
    await said(HERE, one["case"], "progress-bulletin", "confirm")
    await changed(hub, f"UPDATE hub_duty SET ready = '2020-01-01' WHERE case_id = '{one['case']}'")
    found = await until(HERE, one["case"], lambda v: v["state"] == "final")
    assert found["timeline"][-1]["data"] == {"silent": [THERE.id]}
    assert found["timeline"][-1]["source"] == "410000-hub"


async def test_nobody_else_speaks_for_the_hub(hub: RunningHub) -> None:
    for message in ("issue", "uphold", "finalise"):
        with pytest.raises(Refused) as refused:
            await opened(HERE, "progress-bulletin", message, [THERE.id])
        assert refused.value.reason == "role-not-allowed"
    with pytest.raises(Refused):
        await opened(HERE, "information-bulletin", "nonconforming", [THERE.id])
    assert example("progress-bulletin", "issue")["log"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "soon", "--to", "2026-01-31"), "are days"),
        (("--from", "2026-02-01", "--to", "2026-01-31"), "after --to"),
        (("--from", "2026-02-01", "--to", "2099-01-31"), "not over"),
        ((*PERIOD, "--between", "411002-health"), "given twice"),
        ((*PERIOD, "--between", "411002-health", "--between", "nobody"), "organisation id"),
        ((*PERIOD, "--between", "411002-health", "--between", "500000-health"), "500000-health is not known"),
    ],
)
def test_what_can_not_be_issued_is_said(hub: RunningHub, options: tuple[str, ...], said: str) -> None:
    done = hub.run("bulletins", "issue", "progress", *options, "--data", str(hub.data))
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr


def test_a_period_without_cases_is_said_to_be_one(hub: RunningHub, cases: dict[str, str]) -> None:
    done = hub.run(
        "bulletins", "issue", "progress", "--from", "2020-01-01", "--to", "2020-01-31", "--data", str(hub.data)
    )
    assert done.returncode == 0 and "不必通报" in done.stderr and "已发 issued 0" in done.stdout


async def test_two_that_never_met_have_nothing_to_report(hub: RunningHub) -> None:
    done = hub.run(
        "bulletins", "issue", "progress", *PERIOD, "--between", HERE.id, "--between", THIRD.id, "--data", str(hub.data),
        "--json",
    )  # fmt: skip
    (one,) = json.loads(done.stdout)["issued"]
    assert await items(one["case"]) == []


async def test_one_case_that_can_not_be_dealt_with_keeps_no_other_waiting(
    hub: RunningHub, cases: dict[str, str]
) -> None:
    broken = cases["open"]
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    await connection.execute("UPDATE case_file SET record = 'null' WHERE case_id = $1", broken)
    await connection.execute("INSERT INTO hub_duty VALUES ($1, 0, '2020-01-01')", broken)
    async with asyncio.timeout(20):
        while (await connection.fetchval("SELECT ready FROM hub_duty WHERE case_id = $1", broken)).year == 2020:
            await asyncio.sleep(0.1)
    await connection.close()
    assert hub.process.poll() is None
    assert (await view(HERE, cases["answered"]))["state"] == "answered"
