"""Bulletins on their dates: of the months and half-years that are over and were not yet reported on."""

from collections.abc import Iterator
from datetime import date, timedelta

from hub.bulletins import ASSESSMENT, PROGRESS, issuing
from hub.bulletins.figures import Period
from hub.config import ScheduleSection
from hub.identity import Identity
from hub.intake.batch import Sequencer
from hub.scheduler.leading import Lead
from hub.store import Pool
from hub.store.queries import SQL
from protocols import deadlines
from protocols.calendar import Calendar
from protocols.loading import Catalogue

MADE_UP = 12
"""So many periods at most are made up for after a long absence."""


async def issue(
    pool: Pool,
    lead: Lead,
    sequencer: Sequencer,
    identity: Identity,
    catalogue: Catalogue,
    basis: str,
    schedule: ScheduleSection,
    today: date,
    calendar: Calendar,
) -> int:
    """Issue to every two organisations what they have not got yet; how many bulletins that were.

    Raises a Fault where the legal basis is not in force; what was issued before stays.
    """
    done = 0
    for kind, months, day in ((PROGRESS, 1, schedule.progress_day), (ASSESSMENT, 6, schedule.assessment_day)):
        if not day:
            continue
        async with pool.acquire() as connection:
            last = await connection.fetchval(SQL["bulletin_periods"], kind)
        for period in due(today, months, day, last, calendar):
            found = await issuing.issue(pool, sequencer, identity, catalogue, kind, period, basis)
            async with pool.acquire() as connection, connection.transaction():
                await lead.hold(connection)
                await connection.execute(SQL["bulletin_period_done"], kind, period.last)
            done += len(found.issued)
    return done


def due(today: date, months: int, day: int, last: date | None, calendar: Calendar) -> Iterator[Period]:
    """The periods of so many months that are to be reported on by now, the oldest first.

    A period is due on the `day` of the month after it, or the next working day. `last` is the end of the last one
    that was reported on; where there is none yet, only the newest is.
    """
    found: list[Period] = []
    first = date(today.year, (today.month - 1) // months * months + 1, 1)
    while len(found) < MADE_UP:
        ends = first - timedelta(days=1)
        first = _months_back(first, months)
        if last is not None and ends <= last:
            break
        if deadlines.postponed(ends + timedelta(days=day), calendar).date <= today:
            found.append(Period(first, ends))
            if last is None:
                break
    yield from reversed(found)


def _months_back(first: date, months: int) -> date:
    index = first.year * 12 + first.month - 1 - months
    return date(index // 12, index % 12 + 1, 1)
