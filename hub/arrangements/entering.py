"""Holiday arrangements and outages entered in the log: from there on due dates are counted by them."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from hub.entering import opened
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.intake.store import store
from hub.organisations import load
from hub.store import Connection
from hub.store.queries import SQL
from protocols import calendar, deadlines
from protocols.arrangements import Cause
from protocols.calendar import Calendar
from protocols.entries import CalendarPublished, Outage
from protocols.envelope import rfc3339

MISSED = timedelta(hours=4)
"""So much of a day without the hub, and what was due on it is postponed; or its last moment."""


async def publish(
    connection: Connection, identity: Identity, year: int, holidays: Iterable[date], workdays: Iterable[date]
) -> int | None:
    """Enter that `year` is arranged like this; its log index, None where the log says so already.

    Raises CalendarInvalid.
    """
    rest, worked = sorted(holidays), sorted(workdays)
    async with connection.transaction():
        ledger = await opened(connection)
        known = ledger.directory.calendar
        if same(known, known.arranged(year, rest, worked), year):
            return None
        said = [day.isoformat() for day in rest], [day.isoformat() for day in worked]
        return await _entered(connection, identity, ledger, CalendarPublished(year, *said, ledger.at))


async def publish_shipped(connection: Connection, identity: Identity) -> list[int]:
    """Enter every year that the installed calendar knows and the log does not; which those are."""
    known = (await load(connection)).calendar
    years = [year for year in calendar.shipped() if not known.is_published(year)]
    return [year for year in years if await publish(connection, identity, year, *calendar.shipped()[year]) is not None]


async def declare(connection: Connection, identity: Identity, begins: datetime, until: datetime) -> int:
    """Enter that the hub could not be reached from `begins` until `until`; the log index."""
    async with connection.transaction():
        ledger = await opened(connection)
        days, to = missed(begins, until, ledger.directory.calendar)
        said = rfc3339(begins), rfc3339(until), [day.isoformat() for day in days], to.isoformat()
        return await _entered(connection, identity, ledger, Outage(*said, ledger.at))


def missed(begins: datetime, until: datetime, counted: Calendar) -> tuple[list[date], date]:
    """The days on which nobody could be held to a due date for an outage, and the day on which it then is due.

    A day counts that lost four hours of its own, or its last moment: deadlines end at 24:00.
    """
    days, day, last = [], deadlines.local_date(begins), deadlines.local_date(until)
    while day <= last:
        ends = deadlines.end_of(day)
        lost = min(until, ends) - max(begins, deadlines.start_of(day))
        if lost >= MISSED or begins < ends <= until:
            days.append(day)
        day = deadlines.next_day(day)
    after = deadlines.next_day(days[-1]) if days else last
    return days, deadlines.postponed(max(after, last), counted).date


def same(one: Calendar, other: Calendar, year: int) -> bool:
    """Whether both know the year, and have the same working days in it."""
    first = date(year, 1, 1)
    days = [first + timedelta(days=n) for n in range(366)]
    return one.is_published(year) and all(one.is_working_day(day) == other.is_working_day(day) for day in days)


async def _entered(connection: Connection, identity: Identity, ledger: Ledger, cause: Cause) -> int:
    index = ledger.append(cause)
    await store(connection, ledger, identity)
    await connection.execute(SQL["add_arrangement"], index, ledger.size + len(ledger.leaves))
    # Whoever judges a message afterwards reads the directory again first, and this with it.
    await connection.execute(SQL["bump_key_epoch"])
    return index
