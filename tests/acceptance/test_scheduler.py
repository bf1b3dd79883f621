"""What is due on dates: done once, by one process, made up for after an absence, and visible."""

import asyncio
import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from hub.bulletins import ASSESSMENT, PROGRESS
from hub.config import Config
from hub.identity import establish, hub_key
from hub.intake.batch import Sequencer
from hub.scheduler import dates, noticing
from hub.scheduler.jobs import JOBS, Means
from hub.scheduler.leading import Lead, LeadLost
from hub.store import Pool, embedded
from protocols import deadlines
from protocols.calendar import STATUTORY
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, enrolled, get, mailbox, opened, view
from tests.conftest import RunningHub, running_hub

HUB = "410000-hub"
NATION = Bureau("100000-supervision", roles=("supervisor",))
PROVINCE = Bureau("410000-supervision", roles=("supervisor",), superior=NATION.id)
HERE, THERE = Bureau("411002-health", superior=PROVINCE.id), Bureau("440306-health", superior=NATION.id)
LEAD, SILENT = Bureau("320583-health"), Bureau("320583-education")
TODAY = deadlines.local_date(datetime.now(UTC))


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub("--workers", "2") as running:
        enrolled(running, NATION, PROVINCE, HERE, THERE, LEAD, SILENT)
        yield running


@pytest.fixture
async def pool(hub: RunningHub) -> AsyncIterator[Pool]:
    async with asyncpg.create_pool(embedded.dsn(hub.data), min_size=1, max_size=4) as made:
        yield made


@pytest.fixture
async def lead(pool: Pool) -> AsyncIterator[Lead]:
    """The lead, kept from the hub's own workers until it is given back."""
    claim = Lead()
    await pool.execute("UPDATE scheduler_lead SET leader = $1, seen = now() + interval '1 hour'", claim.name)
    yield claim
    await pool.execute("UPDATE scheduler_lead SET leader = NULL, seen = now()")


async def followed(pool: Pool) -> None:
    async with asyncio.timeout(20):
        while not await pool.fetchval("SELECT (SELECT through FROM supervision_head) = size FROM log_head"):
            await asyncio.sleep(0.1)


def schedule(hub: RunningHub) -> dict[str, Any]:
    done = hub.run("schedule", "list", "--json", "--data", str(hub.data))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def led(hub: RunningHub, *, but: str | None = None) -> dict[str, Any]:
    """The schedule once somebody (else) leads and every job has run."""
    async with asyncio.timeout(60):
        while True:
            found = schedule(hub)
            leader = found["lead"]["leader"]
            if leader and leader != but and all(job.get("leader") == leader for job in found["jobs"]):
                return found
            await asyncio.sleep(0.5)


def notices(bureau: Bureau, case: str | None = None) -> list[tuple[str, Any, Any]]:
    status, page = get(bureau, "/v1/notices?limit=500")
    assert status == 200
    found = [one for one in page["items"] if one.get("case") == case]
    return [(one["kind"], one.get("days"), one.get("about")) for one in found]


async def test_one_worker_leads_and_another_takes_over_from_it_when_it_dies(hub: RunningHub) -> None:
    found = await led(hub)
    assert [job["job"] for job in found["jobs"]] == list(JOBS)
    assert all(job["problem"] is None and job["next"] for job in found["jobs"]), found
    first = found["lead"]["leader"]
    os.kill(int(first.split("/")[1]), signal.SIGKILL)
    second = (await led(hub, but=first))["lead"]["leader"]
    assert int(second.split("/")[1]) != int(first.split("/")[1])
    hub.stop()
    said = hub.run("schedule", "run", "overdue", "--data", str(hub.data))
    assert said.returncode == 0 and "没有枢纽在运行" in said.stdout and "已请求" not in said.stdout
    began = datetime.now(UTC)
    hub.start()
    found = await led(hub, but=second)
    assert found["lead"]["leader"] not in (first, second)
    assert all(datetime.fromisoformat(job["started"]) > began for job in found["jobs"])


async def test_a_job_is_run_when_somebody_asks_for_it(hub: RunningHub) -> None:
    before = {job["job"]: job["started"] for job in (await led(hub))["jobs"]}
    asked = hub.run("schedule", "run", "overdue", "--data", str(hub.data))
    assert asked.returncode == 0 and "已请求" in asked.stdout
    async with asyncio.timeout(20):
        while {job["job"]: job["started"] for job in schedule(hub)["jobs"]}["overdue"] == before["overdue"]:
            await asyncio.sleep(0.5)
    wrong = hub.run("schedule", "run", "lunch", "--data", str(hub.data))
    assert wrong.returncode == 1 and "reminders" in wrong.stderr and wrong.stderr.count("\n") == 1


async def test_reminders_overdue_marks_and_escalation_come_once_each(pool: Pool, lead: Lead, hub: RunningHub) -> None:
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await followed(pool)
    due = date.fromisoformat((await view(HERE, case))["due"]["date"])

    async def remind(day: date) -> None:
        await noticing.remind(pool, lead, HUB, day, (5, 1), STATUTORY, page=1)

    ahead = deadlines.working_days_before(due, 6, STATUTORY)
    await remind(ahead)
    assert notices(THERE, case) == []
    for day in (deadlines.working_days_before(due, 5, STATUTORY), deadlines.working_days_before(due, 3, STATUTORY)):
        await remind(day)
        await remind(day)
    assert notices(THERE, case) == [("due-soon", 5, None)]
    await remind(deadlines.working_days_before(due, 1, STATUTORY))
    await remind(due)
    assert notices(THERE, case) == [("due-soon", 5, None), ("due-soon", 1, None)]
    assert notices(HERE, case) == []

    for day in (due, due + timedelta(days=1), due + timedelta(days=9)):
        await noticing.mark_overdue(pool, lead, HUB, day)
    assert notices(THERE, case)[2:] == [("overdue", None, [THERE.id])]
    assert notices(HERE, case) == [("overdue", None, [THERE.id])]

    late = deadlines.due_date(due, 5, "working").date
    assert await noticing.escalate(pool, lead, late - timedelta(days=1), 5, STATUTORY) == 0
    for day in (late, late + timedelta(days=3)):
        await noticing.escalate(pool, lead, day, 5, STATUTORY)
    assert notices(NATION, case) == [("escalated", None, [THERE.id])]
    assert notices(PROVINCE, case) == []
    page = get(THERE, "/v1/notices?limit=1")[1]
    assert len(page["items"]) == 1 and page["next"] == page["items"][0]["id"]
    later = get(THERE, f"/v1/notices?after={page['next']}&limit=500")[1]["items"]
    assert page["items"][0]["id"] not in [one["id"] for one in later]
    assert get(THERE, "/v1/notices?after=-1")[0] == 400


async def test_after_an_absence_only_the_last_reminder_comes(pool: Pool, lead: Lead) -> None:
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await followed(pool)
    due = date.fromisoformat((await view(HERE, case))["due"]["date"])
    await noticing.remind(pool, lead, HUB, due, (5, 1), STATUTORY)
    assert notices(THERE, case) == [("due-soon", 1, None)]


async def test_who_lost_the_lead_writes_nothing_more(pool: Pool, lead: Lead) -> None:
    other = Lead()
    with pytest.raises(LeadLost):
        await noticing.mark_overdue(pool, other, HUB, date(2099, 1, 1))
    async with pool.acquire() as connection:
        assert await other.take(connection) is None
        await lead.leave(connection)
        turn = await other.take(connection)
        assert turn is not None and turn.new
        kept = await other.take(connection)
        assert kept is not None and not kept.new
    with pytest.raises(LeadLost):
        await noticing.mark_overdue(pool, lead, HUB, date(2099, 1, 1))


async def test_bulletins_are_issued_on_their_dates_and_made_up_for(pool: Pool, lead: Lead, hub: RunningHub) -> None:
    case = (await opened(HERE, "errand", "request", [THERE.id])).case
    await followed(pool)
    async with pool.acquire() as connection:
        identity = await establish(connection, HUB, hub_key(hub.data))
    sequencer = Sequencer(pool, identity)
    writer = asyncio.create_task(sequencer.run())
    months = [end_of_month(TODAY, n) for n in range(3)]
    moment = deadlines.start_of(months[1] + timedelta(days=14)).astimezone(UTC)
    means = Means(pool, lead, sequencer, identity, catalogue(), Config(), lambda: moment)
    assert await JOBS["bulletins"].work(means) > 0
    assert await JOBS["bulletins"].work(means) == 0
    await pool.execute("DELETE FROM bulletin_period")  # as if broken off before it was written down
    assert await JOBS["bulletins"].work(means) == 0
    moment = deadlines.start_of(months[2] + timedelta(days=14)).astimezone(UTC)
    assert await JOBS["bulletins"].work(means) > 0
    writer.cancel()
    got = [item.event for item in await mailbox(THERE) if item.event.source == HUB]
    periods = {(one.type.partition(".")[0], one.data["period"]["to"]) for one in got if HERE.id in one.data["between"]}
    assert {(PROGRESS, str(months[0])), (PROGRESS, str(months[1]))} - periods in (set(), {(PROGRESS, str(months[0]))})
    assert (PROGRESS, str(months[1])) in periods
    named = {c for one in got if one.type == f"{PROGRESS}.issue" for item in one.data["items"] for c in item["cases"]}
    assert case in named
    for one in got:
        if one.type in (f"{PROGRESS}.issue", f"{ASSESSMENT}.issue"):
            done = hub.run("recompute", "--bulletin", one.subject, "--data", str(hub.data), "--cases")
            assert done.returncode == 0 and "与日志一致" in done.stdout, done.stdout + done.stderr
    assert case in done.stdout
    assert audited(hub) == ""


def end_of_month(day: date, later: int) -> date:
    first = day.replace(day=1)
    for _ in range(later + 1):
        first = (first + timedelta(days=31)).replace(day=1)
    return first - timedelta(days=1)


async def test_who_did_not_report_is_told_so(pool: Pool, lead: Lead) -> None:
    month = (TODAY.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    await pool.execute("INSERT INTO bulletin VALUES ($1, $2, $1, gen_random_uuid())", LEAD.id, "2020-01")
    assert await noticing.tell_missing(pool, lead, catalogue(), TODAY.replace(day=20)) == 0  # no lead for years
    await pool.execute("INSERT INTO bulletin VALUES ($1, $2, $1, gen_random_uuid())", LEAD.id, month)
    for _ in range(2):
        await noticing.tell_missing(pool, lead, catalogue(), TODAY.replace(day=20))
    assert notices(SILENT) == [("bulletin-missing", None, [LEAD.id])]
    await pool.execute("DELETE FROM bulletin")


async def test_what_is_old_is_forgotten(pool: Pool, lead: Lead, hub: RunningHub) -> None:
    async with pool.acquire() as connection:
        identity = await establish(connection, HUB, hub_key(hub.data))
        for days in (500, 10):
            await connection.execute(
                "INSERT INTO notice (recipient, kind, step, about, made)"
                " VALUES ($1, 'bulletin-missing', $2, '', now() - make_interval(days => $2))", LEAD.id, days,
            )  # fmt: skip
    means = Means(pool, lead, Sequencer(pool, identity), identity, catalogue(), Config())
    assert await JOBS["tidying"].work(means) == 0
    assert len(notices(LEAD)) == 1


def test_the_command_reads_what_is_told(hub: RunningHub) -> None:
    done = hub.run("schedule", "runs", "--data", str(hub.data))
    assert done.returncode == 0 and "done" in done.stdout
    listed = hub.run("schedule", "list", "--data", str(hub.data)).stdout
    moments = re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S*", listed)
    assert moments and all(one.endswith("+08:00") for one in moments), listed


@pytest.mark.parametrize(
    ("today", "months", "day", "last", "ends"),
    [
        ("2026-11-04", 1, 5, None, ["2026-09-30"]),  # the newest that is due, where none was ever issued
        ("2026-11-05", 1, 5, None, ["2026-10-31"]),
        ("2026-11-05", 1, 5, "2026-10-31", []),
        ("2026-11-05", 1, 5, "2026-07-31", ["2026-08-31", "2026-09-30", "2026-10-31"]),
        ("2026-09-05", 1, 5, "2026-07-31", []),  # a Saturday: on the next working day
        ("2026-09-07", 1, 5, "2026-07-31", ["2026-08-31"]),
        ("2026-07-09", 6, 10, "2025-12-31", []),
        ("2026-07-10", 6, 10, "2025-12-31", ["2026-06-30"]),
        ("2027-03-01", 6, 10, "2025-12-31", ["2026-06-30", "2026-12-31"]),
    ],
)
def test_periods_are_due_on_the_day_of_the_month_after_them(
    today: str, months: int, day: int, last: str | None, ends: list[str]
) -> None:
    known = date.fromisoformat(last) if last else None
    found = list(dates.due(date.fromisoformat(today), months, day, known, STATUTORY))
    assert [str(period.last) for period in found] == ends
    assert all(period.first.day == 1 for period in found)


def test_a_long_absence_is_made_up_for_a_year_back() -> None:
    found = list(dates.due(date(2026, 11, 6), 1, 5, date(2020, 1, 31), STATUTORY))
    assert [str(found[0].last), str(found[-1].last), len(found)] == ["2025-11-30", "2026-10-31", dates.MADE_UP]
    assert ASSESSMENT != PROGRESS
