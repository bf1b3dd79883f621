"""Notices of deadlines, as they are written: page by page, each once, however often it is tried.

A case's due date and whose turn it is are those that the log's entries come to (`case_course`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta

from hub import organisations
from hub.bulletins import standing
from hub.scheduler.leading import Lead
from hub.store import Connection, Pool
from hub.store.queries import SQL
from protocols import deadlines
from protocols.calendar import Calendar
from protocols.loading import Catalogue

PAGE = 1_000
REST = 0.2
"""Seconds between two pages: after an outage everything is made up for, but not all at once."""


async def remind(
    pool: Pool, lead: Lead, hub: str, today: date, before: Sequence[int], calendar: Calendar, page: int = PAGE
) -> int:
    """Tell who is to act so many working days before a due date; of reminders that were missed only the last."""
    furthest = max(before, default=0)
    wanted: dict[date, int] = {}
    day = today
    while before and deadlines.working_days_before(day, furthest, calendar) <= today:
        reached = [days for days in before if deadlines.working_days_before(day, days, calendar) <= today]
        wanted[day] = min(reached)
        day += timedelta(days=1)
    columns = list(wanted), list(wanted.values())
    return await _paged(pool, lead, lambda c: c.fetchval(SQL["remind"], *columns, hub, page), page)


async def mark_overdue(pool: Pool, lead: Lead, hub: str, today: date, page: int = PAGE) -> int:
    """Tell both sides that a due date has passed; how many cases that were."""
    return await _paged(pool, lead, lambda c: c.fetchval(SQL["mark_overdue"], today, hub, page), page)


async def escalate(pool: Pool, lead: Lead, today: date, after: int, calendar: Calendar, page: int = PAGE) -> int:
    """Tell the superior of whoever is late by `after` working days, today among them."""
    first = deadlines.working_days_before(today + timedelta(days=1), max(after, 1), calendar)
    until = first - timedelta(days=1)
    return await _paged(pool, lead, lambda c: c.fetchval(SQL["escalate"], until, page), page)


async def tell_moves(pool: Pool, lead: Lead, hub: str, page: int = PAGE) -> int:
    """Tell both sides of a case that its due date moved without a message."""
    return await _paged(pool, lead, lambda c: c.fetchval(SQL["tell_moves"], hub, page), page)


async def tell_missing(pool: Pool, lead: Lead, catalogue: Catalogue, today: date) -> int:
    """Tell departments whose information bulletin of the last month is missing, once it is overdue.

    A lead department is one that had a bulletin in the last year.
    """
    month = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    told = 0
    async with pool.acquire() as connection:
        directory = await organisations.load(connection)
        leads = await connection.fetch(SQL["bulletin_leads"], f"{today.year - 1}{month[4:]}")
        for row in leads:
            found = await standing.standing(connection, catalogue, directory, row["lead"], month, today)
            silent = [one.reporter for one in found.reports if one.state == standing.MISSING and one.timely is False]
            async with connection.transaction():
                await lead.hold(connection)
                told += await connection.fetchval(SQL["tell_missing"], silent, found.due, row["lead"])
    return told


async def _paged(pool: Pool, lead: Lead, step: Callable[[Connection], Awaitable[int]], page: int) -> int:
    done = 0
    while True:
        async with pool.acquire() as connection, connection.transaction():
            await lead.hold(connection)
            some = await step(connection)
        done += some
        if some < page:
            return done
        await asyncio.sleep(REST)
