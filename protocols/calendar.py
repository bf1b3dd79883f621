"""Working days in China: the statutory calendar with its make-up days; weekends alone where unpublished.

The State Council publishes a year's arrangement late in the year before. What a hub counts by is written in its log
(`protocols/arrangements.py`), so that whoever counts again later counts by the same: a calendar is data with a date.
"""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from functools import lru_cache

import chinese_calendar

from keys.errors import Fault

_SATURDAY = 5
THROUGH = 2026
"""The last year that every hub knows from its first entry on; a later one counts from its entry in the log."""


class CalendarInvalid(Fault):
    """This is no arrangement of a year's holidays."""

    code = "calendar-invalid"


class Calendar:
    """The years whose arrangements are known, each with its days of rest and the weekend days that are worked.

    A value: it never changes, and is told apart by identity.
    """

    __slots__ = ("_rest", "_worked", "_years")

    def __init__(self, years: Mapping[int, tuple[frozenset[date], frozenset[date]]]) -> None:
        self._years = dict(years)
        self._rest = frozenset(day for rest, _ in years.values() for day in rest)
        self._worked = frozenset(day for _, worked in years.values() for day in worked)

    def is_published(self, year: int) -> bool:
        """Whether the State Council's holiday arrangement for `year` is known."""
        return year in self._years

    def is_working_day(self, day: date) -> bool:
        """Whether authorities work on `day`: make-up Saturdays and Sundays count, statutory holidays do not.

        In a year whose arrangement is not known only weekends are rest days. Raises TypeError for a datetime,
        which equals no date and would silently be judged by its weekday alone.
        """
        if isinstance(day, datetime):
            raise TypeError("a day is a date, not a moment")
        return day in self._worked or (day.weekday() < _SATURDAY and day not in self._rest)

    def arranged(self, year: int, holidays: Iterable[date], workdays: Iterable[date]) -> "Calendar":
        """The calendar with this arrangement for `year`, in the place of what it had. Raises CalendarInvalid."""
        rest, worked = frozenset(holidays), frozenset(workdays)
        if strange := sorted(day for day in rest | worked if day.year != year):
            raise CalendarInvalid(f"{strange[0]} is no day of {year}")
        if both := sorted(rest & worked):
            raise CalendarInvalid(f"{both[0]} is both rest and worked")
        if not any(day.weekday() < _SATURDAY for day in rest):
            raise CalendarInvalid(f"{year} has no holiday on a weekday")
        return Calendar({**self._years, year: (rest, worked)})


@lru_cache(maxsize=1)
def shipped() -> Mapping[int, tuple[frozenset[date], frozenset[date]]]:
    """Every year that the installed calendar knows: its holidays, and the weekend days worked instead."""
    holidays, workdays = chinese_calendar.holidays, chinese_calendar.workdays
    return {
        year: (
            frozenset(day for day in holidays if day.year == year),
            frozenset(day for day in workdays if day.year == year),
        )
        for year in range(min(holidays).year, max(holidays).year + 1)
    }


STATUTORY = Calendar({year: days for year, days in shipped().items() if year <= THROUGH})
"""What every hub counts by from its first entry on."""
