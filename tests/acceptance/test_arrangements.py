"""Due dates that move without a message: holidays published late, and a hub that was away. Each move is in the log."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from adapters import evidence as evidences
from hub.arrangements import entering
from hub.identity import establish, hub_key
from hub.store import Connection, embedded
from protocols import deadlines
from protocols.calendar import STATUTORY
from protocols.entries import DueChanged
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, enrolled, get, opened, said, until, view
from tests.conftest import RunningHub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
YEAR, CORRECTED = 2097, 2098


@pytest.fixture(scope="module", autouse=True)
def everybody(hub: RunningHub) -> None:
    enrolled(hub, HERE, THERE)


@pytest.fixture
async def database(hub: RunningHub) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    yield connection
    await connection.close()


def weekday(day: date) -> date:
    return day if day.weekday() < 5 else weekday(day + timedelta(days=1))


async def agreed(day: date) -> str:
    """A case that is to be answered by `day`."""
    case = (await opened(HERE, "case-assistance", "request", [THERE.id])).case
    await said(THERE, case, "case-assistance", "accept")
    await said(THERE, case, "case-assistance", "propose-date", date=str(day))
    await said(HERE, case, "case-assistance", "agree-date", agreed=True)
    return case


def due(found: dict[str, Any]) -> tuple[str, bool]:
    return found["due"]["date"], found["due"]["provisional"]


def published(hub: RunningHub, folder: Path, year: int, *holidays: date) -> str:
    days = ", ".join(map(str, sorted({date(year, 1, 1), date(year, 1, 2), date(year, 1, 3), *holidays})))
    (folder / "year.toml").write_text(f"year = {year}\nholidays = [{days}]\n")
    done = hub.run("calendar", "publish", str(year), "--file", str(folder / "year.toml"), "--data", str(hub.data))
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_year_published_late_moves_what_was_provisional_and_everybody_can_tell_why(
    hub: RunningHub, tmp_path: Path
) -> None:
    day = weekday(date(YEAR, 10, 8))
    case, other = await agreed(day), await agreed(weekday(date(YEAR, 3, 1)))
    assert due(await view(HERE, case)) == (str(day), True)
    again = weekday(day + timedelta(days=1))
    published(hub, tmp_path, YEAR, day)
    found = await until(HERE, case, lambda found: not found["due"]["provisional"])
    assert due(found) == (str(again), False)
    settled = await until(HERE, other, lambda found: not found["due"]["provisional"])
    assert due(settled)[0] == str(weekday(date(YEAR, 3, 1)))
    assert "未作更改" in published(hub, tmp_path, YEAR, day)

    # The parties are told, and read in the log what happened to them.
    items: list[dict[str, Any]] = []
    while not items:
        await asyncio.sleep(0.1)
        status, page = get(THERE, "/v1/notices")
        items = [one for one in page["items"] if one["kind"] == "due-changed"] if status == 200 else []
    assert {one["case"]: one["due"] for one in items}[case] == str(again)
    async with HERE.client() as client:
        kinds = [event["entry"]["kind"] for event in (await client.clock(case))["events"]]
    assert kinds.count("calendar") == kinds.count("due-changed") == 1
    holdings = get(HERE, f"/v1/cases/{case}/holders?purpose=own-case")[1]["holdings"]
    assert (holdings[-1]["type"], holdings[-1]["due"], holdings[-2]["due"]) == ("due-changed", str(again), str(day))

    # What is said afterwards is counted by the same calendar, by the hub, its audit, and in evidence.
    await said(THERE, case, "case-assistance", "progress")
    assert due(await view(HERE, case)) == (str(again), False)
    keys = [hub_key(hub.data).public]
    async with HERE.client() as client:
        evidence = await evidences.gather(client, case)
    read = evidences.read(evidences.write(evidence))
    report = evidences.check(read, keys, catalogue())
    assert (report.findings, [move.due for _, move in report.moves]) == ([], [str(again)])
    assert "期限由" in evidence.summary
    for kept in (evidence.deadlines[:1], evidence.deadlines[1:], ()):
        assert evidences.check(replace(evidence, deadlines=kept), keys, catalogue()).findings
    strange = replace(evidence, deadlines=[*evidence.deadlines, evidence.pieces[0].events[0], {}])
    assert len(evidences.check(strange, keys, catalogue()).findings) == 2
    assert audited(hub) == ""


async def test_a_correction_of_a_year_moves_dates_on_and_never_back(hub: RunningHub, tmp_path: Path) -> None:
    day = weekday(date(CORRECTED, 12, 2))
    published(hub, tmp_path, CORRECTED)
    case = await agreed(day)
    assert due(await view(HERE, case)) == (str(day), False)
    published(hub, tmp_path, CORRECTED, day)
    later = await agreed(day)
    assert due(await view(HERE, later)) == (str(weekday(day + timedelta(days=1))), False)
    assert due(await view(HERE, case)) == (str(day), False)  # what was settled stays
    assert audited(hub) == ""


async def test_what_fell_due_while_the_hub_was_away_is_due_after_it(
    hub: RunningHub, database: Connection, tmp_path: Path
) -> None:
    day = deadlines.postponed(deadlines.local_date(datetime.now(UTC)) + timedelta(days=20)).date
    case, beside = await agreed(day), await agreed(deadlines.due_date(day, 1, "working").date)
    identity = await establish(database, "410000-hub", hub_key(hub.data))
    begins = deadlines.start_of(day) + timedelta(hours=9)
    index = await entering.declare(database, identity, begins, begins + timedelta(hours=8))
    to = deadlines.due_date(day, 1, "working").date
    found = await until(HERE, case, lambda found: bool(found["due"]["date"] != str(day)))
    assert due(found)[0] == str(to)
    assert due(await view(HERE, beside))[0] == str(to)
    async with THERE.client() as client:
        moved = [one.entry for one in await client.arrangements(case) if isinstance(one.entry, DueChanged)]
    assert [(one.due, one.was, one.cause) for one in moved] == [(str(to), str(day), index)]
    assert audited(hub) == ""


LONG_AGO = "UPDATE scheduler_lead SET seen = now() - interval '30 hours'"


def outages(hub: RunningHub) -> list[dict[str, Any]]:
    told = json.loads(hub.run("calendar", "list", "--json", "--data", str(hub.data)).stdout)["entries"]
    return [one for one in told if one["kind"] == "outage"]


async def test_a_hub_that_was_away_or_had_no_database_says_so_itself(hub: RunningHub) -> None:
    known = len(outages(hub))
    hub.stop()
    async with embedded.attached(hub.data) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute(LONG_AGO)
        await connection.close()
    hub.start()
    async with asyncio.timeout(30):
        while len(outages(hub)) == known:
            pass
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    await connection.execute(LONG_AGO)  # the leader lives, and could tell nobody so
    await connection.close()
    async with asyncio.timeout(30):
        while len(outages(hub)) == known + 1:
            pass
    for one in outages(hub)[known:]:
        away = datetime.fromisoformat(one["until"]) - datetime.fromisoformat(one["from"])
        assert timedelta(hours=29) < away < timedelta(hours=31) and one["days"]
        assert date.fromisoformat(one["to"]) > date.fromisoformat(one["days"][-1])
    assert audited(hub) == ""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("publish", "2099"), "does not know 2099"),
        (("publish", "2099", "--file", "nowhere.toml"), "input-unreadable"),
        (("publish", "2026", "--file", "{year}"), "is of 2097"),
        (("outage", "--from", "yesterday", "--until", "today"), "--from is a moment"),
        (("outage", "--from", "2026-01-01T00:00", "--until", "2026-01-02T00:00"), "offset"),
        (("outage", "--from", "2026-01-02T00:00Z", "--until", "2026-01-01T00:00Z"), "before"),
        (("outage", "--from", "2096-01-02T00:00Z", "--until", "2096-01-03T00:00Z"), "passed"),
    ],
)
def test_what_is_no_arrangement_is_one_line(
    hub: RunningHub, tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    (tmp_path / "year.toml").write_text(f"year = {YEAR}\nholidays = [{YEAR}-01-01]\n")
    given = [one.replace("{year}", str(tmp_path / "year.toml")) for one in arguments]
    done = hub.run("calendar", *given, "--data", str(hub.data))
    assert done.returncode == 1 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr


HOUR = timedelta(hours=1)
DAY = deadlines.start_of(date(2026, 6, 4))  # a Thursday


@pytest.mark.parametrize(
    ("begins", "until_", "days", "to"),
    [
        (DAY + 9 * HOUR, DAY + 12 * HOUR, [], date(2026, 6, 4)),
        (DAY + 9 * HOUR, DAY + 13 * HOUR, [4], date(2026, 6, 5)),
        (DAY + 23 * HOUR, DAY + 25 * HOUR, [4], date(2026, 6, 5)),
        (DAY + 33 * HOUR, DAY + 48 * HOUR, [5], date(2026, 6, 8)),
        (DAY + 20 * HOUR, DAY + 72 * HOUR, [4, 5, 6], date(2026, 6, 8)),
    ],
)
def test_a_day_counts_that_lost_four_hours_or_its_last_moment(
    begins: datetime, until_: datetime, days: list[int], to: date
) -> None:
    found = entering.missed(begins, until_, STATUTORY)
    assert found == ([date(2026, 6, day) for day in days], to)
