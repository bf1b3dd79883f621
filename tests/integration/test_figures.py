"""Figures from the sums that are kept are those of the cases themselves, whoever looks at whatever period."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import get_args

import asyncpg
import pytest

from hub.store import Connection, Pool, embedded
from hub.store.migrate import migrate
from hub.supervision.figures import contributions, figures
from hub.supervision.following import keep
from protocols import scorecard
from protocols.course import Facts
from protocols.scorecard import Asked, By
from protocols.turnaround import KINDS, Spent, Stage

DAY = timedelta(days=1)
NOW = datetime(2026, 6, 10, 3, 21, 45, 123456, UTC)
TODAY = date(2026, 6, 10)
NAMES = [f"{code}-health" for code in (110101, 110102, 130102, 130203, 130204, 410102, 411002, 411003, 440304, 440306)]
SIGHTS = {"everything": NAMES, "all but two": NAMES[:-2], "half": NAMES[:5], "one": NAMES[6:7]}
PERIODS = {
    "the year": (date(2026, 1, 1), TODAY),
    "whole months": (date(2026, 2, 1), date(2026, 4, 30)),
    "within months": (date(2026, 1, 17), date(2026, 5, 9)),
    "within one": (date(2026, 3, 3), date(2026, 3, 28)),
    "into the future": (date(2025, 12, 20), date(2030, 1, 1)),
}


@pytest.fixture
async def pool(data: Path, empty: Connection) -> AsyncIterator[Pool]:
    await migrate(empty)
    for name in NAMES:
        await empty.execute("INSERT INTO organisation VALUES ($1, $1, $1, NULL, '{bureau}')", name)
    async with asyncpg.create_pool(embedded.dsn(data), min_size=1, max_size=2) as made:
        yield made


def case(random: Random) -> Facts:
    """Any case there could be, and some that could not."""
    opener, responder = random.sample(NAMES, 2)
    opened = date(2025, 12, 1) + random.randrange((TODAY - date(2025, 12, 1)).days + 1) * DAY
    final = random.random() < 0.7

    def maybe(share: float, days: int) -> date | None:
        return opened + random.randrange(days) * DAY if random.random() < share else None

    since = datetime.combine(opened, time(1, 2, 3, random.randrange(10**6)), UTC)
    stage = None if final else Stage(random.choice(KINDS), (responder,), "accepted", since, None, 1)
    answered = maybe(0.7, 40)
    return Facts(
        protocol=random.choice(("errand", "case-assistance")),
        version="1.0",
        opener=opener,
        responder=responder,
        state="accepted",
        final=final,
        opened=since,
        opened_on=opened,
        due=None if final else maybe(0.9, 60),
        acknowledge_by=opened + 2 * DAY,
        acknowledged_on=maybe(0.8, 5),
        accept_by=opened + 7 * DAY,
        accepted_on=maybe(0.8, 12),
        left_by_other=random.random() < 0.1,
        answered_on=answered,
        answer_due=maybe(0.9, 40) if answered else None,
        ended_on=maybe(1.0, 50) if final else None,
        reopened=random.random() < 0.1 if final else None,
        calendar=Spent(*(random.randrange(10**6) for _ in KINDS)),
        working=Spent(*(random.randrange(10**6) for _ in KINDS)),
        stage=stage,
    )


async def compared(connection: Connection, cases: dict[str, Facts], asked: Asked, by: By, sight: list[str]) -> None:
    seen = [one for one in cases.values() if (one.opener in sight or one.responder in sight) and asked.holds(one)]
    expected = scorecard.rows(seen, by, min(asked.last, TODAY), NOW)
    found = (await figures(connection, asked, by, sight, NOW)).rows
    assert {row.of: row for row in found} == {row.of: row for row in expected}
    if found:
        whole = scorecard.figure(seen, min(asked.last, TODAY), NOW)
        assert scorecard.added(row.figure for row in found) == whole
    assert [row.of for row in found] == sorted((row.of for row in found), key=lambda of: [name or "" for name in of])


@pytest.mark.parametrize("seed", range(2))
async def test_sums_say_what_the_cases_say(pool: Pool, seed: int) -> None:
    random = Random(seed)
    cases = {str(uuid.UUID(int=random.getrandbits(128))): case(random) for _ in range(500)}
    async with pool.acquire() as connection:
        await keep(connection, cases)
        for _ in range(4):  # cases change, settle, are reopened
            changed = {id: case(random) for id in random.sample(sorted(cases), 80)}
            # A case keeps its protocol, its opener and the day it was opened.
            kept = {id: _as_before(one, cases[id]) for id, one in changed.items()}
            cases |= kept
            await keep(connection, kept)
        for by in get_args(By):
            for sight in SIGHTS.values():
                for first, last in PERIODS.values():
                    await compared(connection, cases, Asked(first, last), by, sight)
            await compared(connection, cases, Asked(*PERIODS["the year"], protocol="errand"), by, NAMES)


@pytest.mark.parametrize("region", ["11", "1301", "411002", "411002-health", "99"])
async def test_a_region_is_every_organisation_whose_code_begins_like_it(pool: Pool, region: str) -> None:
    random = Random(3)
    cases = {str(uuid.UUID(int=random.getrandbits(128))): case(random) for _ in range(300)}
    async with pool.acquire() as connection:
        await keep(connection, cases)
        for asked in (
            Asked(*PERIODS["the year"], opener=region),
            Asked(*PERIODS["the year"], responder=region),
            Asked(*PERIODS["the year"], opener="41", responder=region),
        ):
            await compared(connection, cases, asked, "pair", NAMES)
            named = (await contributions(connection, asked, NAMES, None, 1000)).items
            assert {one.case for one in named} == {id for id, one in cases.items() if asked.holds(one)}


def _as_before(one: Facts, before: Facts) -> Facts:
    kept = {name: getattr(before, name) for name in ("protocol", "opened", "opened_on", "acknowledge_by", "accept_by")}
    return Facts(**{name: getattr(one, name) for name in Facts.__struct_fields__} | kept)
