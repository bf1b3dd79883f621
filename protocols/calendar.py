"""Working days in China: the statutory calendar with its make-up days; weekends alone where unpublished."""

from datetime import date, datetime
from functools import lru_cache

from chinese_calendar import holidays, workdays

_SATURDAY = 5
_PUBLISHED = range(min(holidays).year, max(holidays).year + 1)


def is_published(year: int) -> bool:
    """Whether the State Council's holiday arrangement for `year` is known here."""
    return year in _PUBLISHED


@lru_cache(maxsize=8192)
def is_working_day(day: date) -> bool:
    """Whether authorities work on `day`: make-up Saturdays and Sundays count, statutory holidays do not.

    In a year whose calendar is not published only weekends are rest days. Raises TypeError for a datetime,
    which equals no date and would silently be judged by its weekday alone.
    """
    if isinstance(day, datetime):
        raise TypeError("a day is a date, not a moment")
    return day in workdays or (day.weekday() < _SATURDAY and day not in holidays)
