"""Office hours on the calendar: a moment as so many hours worked, and back; and when in a year cases are opened.

Moments are seconds since the epoch, days are those of China.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

from adapters.simulation.assumptions import value
from protocols import deadlines
from protocols.calendar import STATUTORY, Calendar

HOUR = 3600.0
DAY = 24 * HOUR
OFFICE = ((8.5, 12.0), (14.0, 17.5))
"""When offices are open on a working day: seven hours."""
WORKED = sum(end - begin for begin, end in OFFICE)
_BUSY = {8.5: 0.6, 9.0: 1.3, 10.0: 1.4, 11.0: 1.0, 14.0: 1.0, 15.0: 1.3, 16.0: 1.0, 17.0: 0.6}
"""How busy the office hours are that begin then; the first and the last are half hours."""
_ANY_TIME = (7.0, 22.0)
"""Between these hours cases are opened outside office hours and on rest days."""
_HOLIDAY = 3


def midnight(day: date) -> float:
    """0:00 of a day in China."""
    return deadlines.start_of(day).timestamp()


def day_of(moment: float) -> date:
    """The day in China at a moment."""
    return deadlines.local_date(datetime.fromtimestamp(moment, UTC))


class OfficeHours:
    """Office hours between two days, counted from the first."""

    def __init__(self, first: date, last: date, calendar: Calendar = STATUTORY) -> None:
        self._first = midnight(first)
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        self._worked = [calendar.is_working_day(day) for day in days]
        self._before = [0.0, *accumulate(WORKED if worked else 0.0 for worked in self._worked)]

    def at(self, moment: float) -> float:
        """How many office hours have passed at a moment. Raises IndexError for one outside these days."""
        day, second = divmod(moment - self._first, DAY)
        if not self._worked[int(day)]:
            return self._before[int(day)]
        hour = second / HOUR
        return self._before[int(day)] + sum(max(0.0, min(hour, end) - begin) for begin, end in OFFICE)

    def when(self, hours: float) -> float:
        """The moment at which so many office hours have passed; the last days' end where there are not so many."""
        day = bisect_left(self._before, hours) - 1
        if day < 0:
            return self._first
        if day >= len(self._worked):
            return self._first + len(self._worked) * DAY
        left = hours - self._before[day]
        for begin, end in OFFICE:
            if left <= end - begin:
                return self._first + day * DAY + (begin + left) * HOUR
            left -= end - begin
        return self._first + day * DAY + OFFICE[-1][1] * HOUR


class Hours:
    """When within a day things begin: a distribution over its hours, to be drawn from by a number between 0 and 1."""

    def __init__(self, spans: Sequence[tuple[float, float, float]]) -> None:
        """`spans` are hours from, until, and the weight of what lies between them."""
        self._spans = spans
        self._sums = list(accumulate(weight for _, _, weight in spans))

    def at(self, share: float) -> float:
        """The second of the day at which this share of a day's openings has come; it grows with the share."""
        sought = share * self._sums[-1]
        place = min(bisect_right(self._sums, sought), len(self._spans) - 1)
        begin, end, weight = self._spans[place]
        return (begin + (end - begin) * (1 - (self._sums[place] - sought) / weight)) * HOUR


def _working_day() -> Hours:
    """Office hours as they are busy, and a little before, between and after them."""
    spans = [(start, _end(start), weight) for start, weight in _BUSY.items()]
    gaps = [(_ANY_TIME[0], OFFICE[0][0]), (OFFICE[0][1], OFFICE[1][0]), (OFFICE[1][1], _ANY_TIME[1])]
    length = sum(end - begin for begin, end in gaps)
    outside = sum(_BUSY.values()) * value("out_of_hours") / (1 - value("out_of_hours"))
    spans += [(begin, end, outside * (end - begin) / length) for begin, end in gaps]
    return Hours(sorted(spans))


def _end(start: float) -> float:
    following = [begin for begin in _BUSY if begin > start] + [OFFICE[-1][1]]
    return min(OFFICE[0][1], following[0]) if start < OFFICE[0][1] else following[0]


ON_WORKING_DAYS = _working_day()
ON_REST_DAYS = Hours([(*_ANY_TIME, 1.0)])


class Season:
    """How much of a year's cases is opened on each of its days."""

    def __init__(self, year: int, calendar: Calendar = STATUTORY) -> None:
        first = date(year, 1, 1)
        self.days = [first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days)]
        self.working = {day: calendar.is_working_day(day) for day in self.days}
        self.festival = _spring_festival(self.days, self.working)
        weights = {day: self._weight(day) for day in self.days}
        total = sum(weights.values())
        self.share = {day: weight / total for day, weight in weights.items()}

    def opened(self, day: date) -> Hours:
        """When on that day."""
        return ON_WORKING_DAYS if self.working[day] else ON_REST_DAYS

    def _weight(self, day: date) -> float:
        if not self.working[day]:
            return value("rest_day")
        weight = {0: value("monday"), 4: 2 - value("monday")}.get(day.weekday(), 1.0)
        before = self._worked(day, self.festival[0])
        after = self._worked(self.festival[1], day + timedelta(days=1))
        if 0 < before <= 10:
            weight *= value("before_festival")
        elif 0 < after <= 15:
            weight *= value("after_festival")
        if all(not self.working.get(day - timedelta(days=n), True) for n in range(1, _HOLIDAY + 1)):
            weight *= value("after_holiday")
        return weight

    def _worked(self, first: date, last: date) -> int:
        """Working days from `first` on and before `last`; 0 where it is not later."""
        return sum(self.working[day] for day in self.days if first <= day < last)


def _spring_festival(days: Sequence[date], working: dict[date, bool]) -> tuple[date, date]:
    """The first day of the Spring Festival holiday and the first day after it: the longest rest before April."""
    longest = (days[0], days[0])
    start: date | None = None
    for day in (day for day in days if day.month < 4):
        if working[day]:
            if start is not None and day - start > longest[1] - longest[0]:
                longest = start, day
            start = None
        elif start is None:
            start = day
    return longest
