"""The provable clock: where the time of a case went, who can work it out again, and what cannot be slipped in."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import asyncpg
import pytest

from adapters.client import DeliveryInvalid
from hub.identity import hub_key
from hub.organisations import load
from hub.store import embedded
from hub.supervision.figures import contributions, figures
from protocols import deadlines, entries, scorecard
from protocols.loading import catalogue
from protocols.recomputing import Recomputation, opened_between
from protocols.scorecard import Asked, By
from tests.acceptance.between import Answer, proxy
from tests.acceptance.bureaus import Bureau, enrolled, get, opened, said
from tests.conftest import RunningHub

HERE, THERE, THIRD = Bureau("411002-health"), Bureau("440306-health"), Bureau("320583-health")
OLD, NEW = Bureau("411003-health"), Bureau("411024-health")
NATION = Bureau("100000-supervision", roles=("supervisor",))
PROVINCE = Bureau("410000-supervision", roles=("supervisor",), superior=NATION.id)
STRANGER = Bureau("500103-health")


@pytest.fixture(scope="module", autouse=True)
def everybody(hub: RunningHub) -> None:
    HERE.superior = OLD.superior = NEW.superior = PROVINCE.id
    THERE.superior = THIRD.superior = NATION.id
    enrolled(hub, NATION, PROVINCE, HERE, THERE, THIRD, OLD, NEW, STRANGER)


async def clock(bureau: Bureau, case: str) -> dict[str, Any]:
    async with bureau.client() as client:
        return await client.clock(case)


def kinds(found: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(stage["kind"], stage["organisations"]) for stage in found["stages"]]


async def fetched(bureau: Bureau, *, signed: bool) -> None:
    """Fetch everything, and sign for it or not."""
    async with bureau.client() as client:
        page = await client.poll(0, limit=500)
        if signed:
            await client.acknowledge(page.items[-1])
        else:
            await client.poll(page.next, limit=1)


async def test_every_stretch_has_its_kind_and_its_owner(hub: RunningHub) -> None:
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    assert kinds(await clock(HERE, case)) == [("transit", [THERE.id])]
    await fetched(THERE, signed=False)
    assert kinds(await clock(HERE, case))[-1] == ("unread", [THERE.id])
    await fetched(THERE, signed=True)
    await said(THERE, case, "case-assistance", "accept")
    assert kinds(await clock(HERE, case))[2:] == [("responder", [THERE.id])] * 2
    await said(THERE, case, "case-assistance", "ask")
    await fetched(HERE, signed=True)
    await said(HERE, case, "case-assistance", "answer")
    await fetched(THERE, signed=True)
    await said(THERE, case, "case-assistance", "progress")
    await said(THERE, case, "case-assistance", "answer")
    await fetched(HERE, signed=True)
    await said(HERE, case, "case-assistance", "close")
    found = await clock(HERE, case)
    assert kinds(found) == [
        ("transit", [THERE.id]), ("unread", [THERE.id]), ("responder", [THERE.id]), ("responder", [THERE.id]),
        ("transit", [HERE.id]), ("unread", [HERE.id]), ("opener", [HERE.id]),
        ("transit", [THERE.id]), ("unread", [THERE.id]), ("responder", [THERE.id]),
        ("transit", [HERE.id]), ("unread", [HERE.id]), ("opener", [HERE.id]),
    ]  # fmt: skip
    ends = [stage["ends"] for stage in found["stages"]]
    assert None not in ends and ends[:-1] == [stage["begins"] for stage in found["stages"][1:]]
    assert found == {**await clock(THERE, case), "at": found["at"]} == {**await clock(NATION, case), "at": found["at"]}
    assert (get(STRANGER, f"/v1/cases/{case}/clock"))[0] == 403
    assert (get(HERE, "/v1/cases/no-case/clock"))[0] == 404


def without(kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda found: found | {"events": [e for e in found["events"] if e["entry"]["kind"] != kind]}


def sooner(found: dict[str, Any]) -> dict[str, Any]:
    first, *rest = found["stages"]
    return found | {"stages": [first | {"begins": "2020-01-01T00:00:00Z"}, *rest]}


LIES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a stage that began earlier": sooner,
    "other sums": lambda found: found | {"calendar": found["calendar"] | {"responder": 10**6}},
    "no entry that it was fetched": without("fetched"),
    "another entry than is proven": lambda f: f | {"events": [f["events"][0] | {"entry": {}}, *f["events"][1:]]},
    "no such protocol": lambda found: found | {"version": "9.9"},
    "no stages": lambda found: found | {"stages": []},
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_clock_that_the_entries_do_not_make_is_refused(hub: RunningHub, lie: str) -> None:
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await fetched(THERE, signed=True)

    def tamper(answer: Answer) -> Answer:
        return answer.saying(LIES[lie](answer.json)) if answer.path.endswith("/clock") else answer

    async with proxy(hub, tamper) as url, HERE.client(url) as client:
        with pytest.raises(DeliveryInvalid):
            await client.clock(case)


async def test_who_comes_into_a_place_takes_over_its_time(hub: RunningHub) -> None:
    case = (await opened(HERE, "case-assistance", "request", [OLD.id])).case
    today = str(deadlines.local_date(datetime.now(UTC)))
    done = hub.run("organisations", "succeed", OLD.id, NEW.id, "--on", today, "--data", str(hub.data))
    assert done.returncode == 0, done.stderr
    assert kinds(await clock(HERE, case)) == [("transit", [OLD.id]), ("transit", [NEW.id])]
    async with NEW.client() as client:
        page = await client.poll(0, of=OLD.id)
        await client.acknowledge(page.items[-1])
    assert kinds(await clock(NEW, case))[-1] == ("responder", [NEW.id])
    await said(NEW, case, "case-assistance", "accept")


# Figures ------------------------------------------------------------------------------------------------------


async def followed(connection: asyncpg.Connection) -> None:
    """Wait until the hub has followed its log to the end."""
    async with asyncio.timeout(20):
        while not await connection.fetchval("SELECT (SELECT through FROM supervision_head) = size FROM log_head"):
            await asyncio.sleep(0.1)


async def test_published_figures_are_those_of_the_log(hub: RunningHub) -> None:
    """What the hub stores and adds up in its database is what the entries alone come to, group by group."""
    for to in (THERE, THIRD):
        for ending in ("accept", "decline", "forward"):
            case = (await opened(HERE, "case-assistance", "request", [to.id])).case
            await said(to, case, "case-assistance", ending, **({"to": STRANGER.id} if ending == "forward" else {}))
        await opened(to, "errand", "request", [HERE.id])
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    try:
        await followed(connection)
        directory = await load(connection)
        now = datetime.now(UTC)
        today = deadlines.local_date(now)
        asked, sight = Asked(today - timedelta(days=1), today), list(directory.organisations)
        redone = Recomputation(catalogue(), opened_between(asked.first, asked.last))
        for row in await connection.fetch("SELECT index, leaf FROM log_entry ORDER BY index"):
            redone.take(row["index"], entries.decode(row["leaf"]))
        facts = redone.facts()
        stored = (await contributions(connection, asked, sight, None, 1000)).items
        assert {one.case: one.facts for one in stored} == facts and len(facts) > 8
        for by in get_args(By):
            found = {row.of: row for row in (await figures(connection, asked, by, sight, now)).rows}
            assert found == {row.of: row for row in scorecard.rows(facts.values(), by, today, now)}
    finally:
        await connection.close()


async def test_each_sees_figures_of_its_own_and_what_is_below(hub: RunningHub) -> None:
    for _ in range(3):
        case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await said(THERE, case, "case-assistance", "forward", to=STRANGER.id)
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    await followed(connection)
    await connection.close()
    status, found = get(NATION, "/v1/statistics/turnaround?by=pair")
    assert status == 200
    pairs = {(row["opener"], row["responder"]): row["figure"]["cases"] for row in found["rows"]}
    assert pairs[HERE.id, THERE.id] >= 2 and pairs[HERE.id, STRANGER.id] >= 1
    (own,) = get(STRANGER, "/v1/statistics/turnaround")[1]["rows"]
    assert own["figure"]["cases"] == sum(count for pair, count in pairs.items() if STRANGER.id in pair)
    (row,) = (get(HERE, f"/v1/statistics/turnaround?responder={THERE.id}&opener={HERE.id}"))[1]["rows"]
    assert row["figure"]["cases"] == pairs[HERE.id, THERE.id]
    named: list[str] = []
    after = ""
    while True:
        path = f"/v1/statistics/turnaround/cases?opener={HERE.id}&responder={THERE.id}&limit=1{after}"
        page = (get(HERE, path))[1]
        named += [item["case"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(named) == len(set(named)) == row["figure"]["cases"]
    wrong = (
        "by=size",
        "from=yesterday",
        "to=2026-13-01",
        "from=2026-02-01&to=2026-01-01",
        "from=20260101",
        "to=9999-01-01",
    )
    for query in wrong:
        assert (get(HERE, f"/v1/statistics/turnaround?{query}"))[0] == 400
    assert (get(HERE, "/v1/statistics/turnaround/cases?after=1"))[0] == 400
    assert (get(HERE, "/v1/statistics/turnaround?from=2030-01-01&to=2030-01-02"))[1]["rows"] == []


async def test_figures_are_worked_out_again_beside_the_hub_and_from_outside(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was changed behind the log's back is named, whoever recomputes."""
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase of this test")
    store, me = str(tmp_path / "keys"), "410100-supervision"
    names = ("--name-zh", "审计", "--name-en", "Audit")
    (record,) = json.loads(hub.run("keys", "new", "--keys", store, "--json", "--organisation", me, *names).stdout)
    hub.enrol([record | {"roles": ["auditor"]}])
    (tmp_path / "hub.jwks").write_text(json.dumps({"keys": [hub_key(hub.data).public.jwk]}))
    beside = ("recompute", "--data", str(hub.data))
    outside = ("recompute", "--hub", hub.url, "--as", me, "--keys", store, "--key", str(tmp_path / "hub.jwks"))
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await said(THERE, case, "case-assistance", "accept")
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    try:
        await followed(connection)
        for command in (beside, outside):
            done = hub.run(*command, "--cases")
            assert done.returncode == 0 and "the log says the same" in done.stdout, done.stderr
            assert f"{HERE.id} → {THERE.id}: {case}" in done.stdout
        await connection.execute("UPDATE case_course SET accepted_on = accepted_on - 3 WHERE case_id = $1", case)
        for command in (beside, outside):
            done = hub.run(*command, "--by", "responder", "--json")
            assert done.returncode == 1
            (one,) = json.loads(done.stdout)["differences"]
            assert (one["case"], one["field"]) == (case, "accepted_on")
        await connection.execute("UPDATE case_course SET responder = $2 WHERE case_id = $1", case, THIRD.id)
        done = hub.run(*beside, "--responder", THERE.id)
        assert done.returncode == 1 and f"✗ {case} " in done.stderr
        # The log itself: then the entries make another root than the hub signed.
        await connection.execute("DELETE FROM case_course WHERE case_id = $1", case)
        await connection.execute("UPDATE supervision_head SET through = 0")
        await followed(connection)
        leaf = await connection.fetchval("SELECT leaf FROM log_entry WHERE index = 3")
        await connection.execute("UPDATE log_entry SET leaf = $1 WHERE index = 3", leaf.replace(b"20", b"21", 1))
        for command in (beside, outside):
            done = hub.run(*command, "--json")
            assert done.returncode == 1 and json.loads(done.stdout)["rooted"] is False
        await connection.execute("UPDATE log_entry SET leaf = $1 WHERE index = 3", leaf)
        assert hub.run(*beside).returncode == 0
    finally:
        await connection.close()
    for wrong in (("recompute",), (*beside, "--from", "soon"), (*beside, "--from", "2026-02-01", "--to", "2026-01-01")):
        done = hub.run(*wrong)
        assert done.returncode != 0 and "Traceback" not in done.stderr


def test_the_command_shows_a_clock(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase of this test")
    store, me = str(tmp_path / "keys"), "411081-health"
    names = ("--name-zh", "卫健委", "--name-en", "Health")
    hub.enrol(json.loads(hub.run("keys", "new", "--keys", store, "--json", "--organisation", me, *names).stdout))
    case = asyncio.run(_opened_to(me))
    done = hub.run("case", "clock", case, "--hub", hub.url, "--as", me, "--keys", store)
    assert done.returncode == 0 and "在途 in transit" in done.stdout and me in done.stdout, done.stderr


async def _opened_to(recipient: str) -> str:
    return (await opened(HERE, "case-assistance", "request", [recipient])).case
