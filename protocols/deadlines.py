"""Due dates: counted in working or calendar days, never on a rest day, ending at 24:00 in China.

`calendar` says which days are worked; by default what every hub knows from the start (`protocols/calendar.py`).
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Literal

from protocols.calendar import STATUTORY, Calendar

Unit = Literal["working", "calendar"]

# A constant offset, not a time zone database: China keeps one time zone and no summer time since 1992,
# and a hub on a bare machine must not depend on a database being installed.
SHANGHAI = timezone(timedelta(hours=8), "Asia/Shanghai")

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Due:
    """The last day of a deadline, until 24:00 of it; `provisional` while a day counted may yet change."""

    date: date
    provisional: bool


@lru_cache(maxsize=16384)
def due_date(start: date, days: int, unit: Unit, calendar: Calendar = STATUTORY) -> Due:
    """The due date `days` days after `start`, the day after `start` being day 1.

    Working days count working days only; a calendar deadline that falls on a rest day ends on the next
    working day. Zero days is `start` itself, or the next working day. Provisional when a day counted lies in
    a year whose calendar is not published. Raises ValueError for negative days.
    """
    if days < 0:
        raise ValueError("a deadline has no negative days")
    if unit == "calendar" or days == 0:
        end = _next_working_day(start + days * _DAY, calendar)
    else:
        end = _after_working_days(start, days, calendar)
    return Due(end, _provisional(start if days == 0 else start + _DAY, end, calendar))


def postponed(day: date, calendar: Calendar = STATUTORY) -> Due:
    """`day`, or the next working day when `day` is a rest day."""
    return due_date(day, 0, "calendar", calendar)


def days_left(day: date, due: Due, unit: Unit, calendar: Calendar = STATUTORY) -> int:
    """How many days of `unit` follow `day` up to and including the due date.

    0 on the due date itself (the deadline stands until 24:00), negative when overdue.
    """
    if unit == "calendar":
        return (due.date - day).days
    if day <= due.date:
        return working_days(day, due.date, calendar)
    return -working_days(due.date, day, calendar)


def resumed(due: Due, paused_on: date, resumed_on: date, unit: Unit, calendar: Calendar = STATUTORY) -> Due:
    """The due date after a pause: the days left at the pause are left at the resumption.

    A deadline already missed when the clock was paused stays missed, and none gets earlier. Raises ValueError
    when the resumption lies before the pause.
    """
    if resumed_on < paused_on:
        raise ValueError("a clock is resumed after it was paused")
    left = days_left(paused_on, due, unit, calendar)
    if due.date < paused_on:
        return due
    return later(due, due_date(resumed_on, left, unit, calendar))


def later(a: Due, b: Due) -> Due:
    """The later of the two; on the same day the one that is settled."""
    return max(a, b, key=lambda due: (due.date, not due.provisional))


def local_date(moment: datetime) -> date:
    """The day in China at `moment`. Raises ValueError when `moment` has no offset."""
    if moment.tzinfo is None:
        raise ValueError("a moment needs its offset from UTC")
    return moment.astimezone(SHANGHAI).date()


def written(moment: datetime | None) -> str | None:
    """`moment` as people in China read it, to the second: `2026-10-08 09:30:00`; None where there is none."""
    return None if moment is None else moment.astimezone(SHANGHAI).strftime("%Y-%m-%d %H:%M:%S")


def end_of_month(month: str) -> date:
    """The last day of a month, written `2026-10`. Raises ValueError."""
    first = date.fromisoformat(f"{month}-01")
    return (first + 31 * _DAY).replace(day=1) - _DAY


def next_day(day: date) -> date:
    """The day after `day`."""
    return day + _DAY


def start_of(day: date) -> datetime:
    """0:00 of `day` in China."""
    return datetime.combine(day, time(), SHANGHAI)


def end_of(day: date) -> datetime:
    """24:00 of `day` in China, the first moment at which a deadline on `day` is missed."""
    return datetime.combine(day + _DAY, time(), SHANGHAI)


def working_days(after: date, through: date, calendar: Calendar = STATUTORY) -> int:
    """How many working days follow `after` up to and including `through`; 0 where `through` is not later."""
    return sum(calendar.is_working_day(after + n * _DAY) for n in range(1, (through - after).days + 1))


def working_days_before(day: date, count: int, calendar: Calendar = STATUTORY) -> date:
    """The day `count` working days before `day`; `day` itself for none."""
    while count:
        day -= _DAY
        count -= calendar.is_working_day(day)
    return day


def _next_working_day(day: date, calendar: Calendar) -> date:
    while not calendar.is_working_day(day):
        day += _DAY
    return day


def _after_working_days(day: date, count: int, calendar: Calendar) -> date:
    while count:
        day += _DAY
        count -= calendar.is_working_day(day)
    return day


def _provisional(first: date, last: date, calendar: Calendar) -> bool:
    return not all(calendar.is_published(year) for year in range(first.year, last.year + 1))
