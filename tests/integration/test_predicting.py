"""Predictions: what the database foretells is what the statistic says in plain words, and hits are counted truly."""

import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random

import asyncpg
import msgspec
import pytest

from hub.store import Connection, Pool, embedded
from hub.store.migrate import migrate
from hub.supervision import predicting
from hub.supervision.following import keep
from protocols.course import Facts
from protocols.turnaround import Spent, Stage

TODAY = date(2026, 6, 10)
DAY = timedelta(days=1)
NAMES = ("411002-health", "440306-health", "320583-health")
PROMPT = NAMES[0]


async def nobody_else(_: Connection) -> None:
    """The lead is not what is tested here."""


@pytest.fixture
async def pool(data: Path, empty: Connection) -> AsyncIterator[Pool]:
    await migrate(empty)
    async with asyncpg.create_pool(embedded.dsn(data), min_size=1, max_size=2) as made:
        yield made


def case(random: Random) -> Facts:
    opener, responder = random.sample(NAMES, 2)
    opened = TODAY - random.randrange(400) * DAY
    allowed = random.choice((10, 20, 30))
    due = opened + allowed * DAY
    ended = random.random() < 0.2
    taken = random.randrange(1, allowed + 1 if responder == PROMPT else 45)
    answered = opened + taken * DAY if opened + taken * DAY < TODAY and not (ended and random.random() < 0.5) else None
    final = ended and (answered is not None or random.random() < 0.5)
    stage = None if final else Stage("responder", (responder,), "accepted", at(opened), None, 1)
    return Facts(
        protocol=random.choice(("errand", "case-assistance")),
        version="1.0",
        opener=opener,
        responder=responder,
        state="accepted",
        final=final,
        opened=at(opened),
        opened_on=opened,
        due=None if final else due,
        acknowledge_by=opened,
        acknowledged_on=None,
        accept_by=opened,
        accepted_on=None,
        left_by_other=False,
        answered_on=answered,
        answer_due=due if answered else None,
        ended_on=TODAY if final else None,
        reopened=None,
        calendar=Spent(),
        working=Spent(),
        stage=stage,
    )


def at(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def foretold(facts: Facts, others: list[Facts]) -> tuple[int, int] | None:
    """The late ones and all of the earlier cases that a prediction is made by; None where none is made."""
    if facts.final or facts.answered_on is not None or facts.due is None or facts.due < TODAY:
        return None
    age = TODAY - facts.opened_on
    if age.days < ((facts.due - facts.opened_on).days + 1) // 2:
        return None
    late = earlier = 0
    for one in others:
        alike = (one.opener, one.responder, one.protocol) == (facts.opener, facts.responder, facts.protocol)
        if not alike or one is facts or one.opened_on < TODAY - 366 * DAY:
            continue
        overdue = not one.final and one.due is not None and one.due < TODAY
        if (one.answered_on is None and not overdue) or (one.answered_on or TODAY) - one.opened_on <= age:
            continue
        earlier += 1
        late += one.answered_on is None or (one.answer_due is not None and one.answered_on > one.answer_due)
    return (late, earlier) if earlier >= predicting.LEAST else None


async def stored(pool: Pool) -> Mapping[str, asyncpg.Record]:
    return {str(row["case_id"]): row for row in await pool.fetch("SELECT * FROM prediction")}


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_foretold_is_the_share_of_earlier_cases(pool: Pool, seed: int) -> None:
    random = Random(seed)
    cases = {str(uuid.UUID(int=random.getrandbits(128))): case(random) for _ in range(900)}
    async with pool.acquire() as connection:
        await keep(connection, cases)
    expected = {id: said for id, one in cases.items() if (said := foretold(one, list(cases.values()))) is not None}
    assert await predicting.predict(pool, nobody_else, TODAY, page=7) == len(expected) > 5
    found = await stored(pool)
    assert {id: (row["late"], row["earlier"]) for id, row in found.items()} == expected
    assert all(row["probably_late"] == (2 * row["late"] >= row["earlier"]) for row in found.values())
    assert {row["probably_late"] for row in found.values()} == {True, False}
    assert await predicting.predict(pool, nobody_else, TODAY) == 0  # each case once


async def test_hits_are_counted_by_what_came_of_it(pool: Pool) -> None:
    random = Random(7)
    cases = {str(uuid.UUID(int=random.getrandbits(128))): case(random) for _ in range(4000)}
    async with pool.acquire() as connection:
        await keep(connection, cases)
        await predicting.predict(pool, nobody_else, TODAY)
        made = await stored(pool)
        assert (await predicting.record(connection, TODAY.replace(day=1))).settled == 0
        came: dict[str, bool | None] = {}
        changed: dict[str, Facts] = {}
        for n, id in enumerate(made):
            due = cases[id].due
            assert due is not None
            answered = {0: due, 1: due + DAY, 2: None, 3: None}[n % 4]
            withdrawn = n % 4 == 3
            came[id] = {0: False, 1: True, 2: True, 3: None}[n % 4]
            changed[id] = facts_with(cases[id], answered, due, withdrawn)
        await keep(connection, changed)
        await predicting.predict(pool, nobody_else, TODAY + 40 * DAY)
        record = await predicting.record(connection, TODAY.replace(day=1))
        nothing = await predicting.record(connection, TODAY)
    known = {id: late for id, late in came.items() if late is not None}
    said = {id: row["probably_late"] for id, row in made.items() if id in known}
    assert record == predicting.Record(
        foretold_late=sum(said.values()),
        came_late=sum(said[id] and known[id] for id in said),
        foretold_in_time=sum(not one for one in said.values()),
        came_in_time=sum(not said[id] and not known[id] for id in said),
        late=sum(known.values()),
        settled=len(known),
    )
    assert record.came_late and record.came_in_time and nothing.settled == 0


def facts_with(one: Facts, answered: date | None, due: date, withdrawn: bool) -> Facts:
    final = answered is not None or withdrawn
    return msgspec.structs.replace(
        one, answered_on=answered, answer_due=due if answered else None, final=final, due=None if final else due
    )
