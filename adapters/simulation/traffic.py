"""The cases of a year in the order of their opening, each with everything that is said in it and when.

Each day has a random stream of its own: whatever slice is asked for, its cases are the same.
"""

import heapq
import math
import zlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache, partial
from random import Random

from adapters.simulation.assumptions import Behaviour, Course, Kind, behaviour, value
from adapters.simulation.country import Country, Weighted
from adapters.simulation.hours import HOUR, OFFICE, WORKED, OfficeHours, Season, midnight
from protocols import deadlines
from protocols.departments import organisation_id

BULLETIN = "information-bulletin"
_SUMMER = (7, 8, 9)
_CAUGHT_UP = (4.0, 0.7)
"""Office hours until who was silent has caught up: median and spread."""
_REMINDERS = 2
_WAITED_FOR = {"answer", "close", "correct"}
"""What a responder may remind an opener of."""


@dataclass(frozen=True, slots=True)
class Step:
    """One message: when, by whom, to whom. `at` is in seconds since the epoch."""

    at: float
    message: str
    sender: str
    recipients: tuple[str, ...]
    file: int = 0
    """Bytes of the file that is attached, 0 where none is."""


@dataclass(frozen=True, slots=True)
class Case:
    """A case with all that is said in it; `complete` unless somebody never comes back to it."""

    name: str
    """Its day and its number on that day: unique in one run of one country."""
    protocol: str
    opener: str
    responder: str
    steps: tuple[Step, ...]
    done: int | None
    """Which step answers it first."""
    complete: bool

    @property
    def opened(self) -> float:
        """When it is opened."""
        return self.steps[0].at

    @property
    def ended(self) -> float:
        """When it ends, infinity where it does not."""
        return self.steps[-1].at if self.complete else math.inf


class Traffic:
    """What happens in a country: `people` exchange cases, every department reports each month.

    `draw` tells runs of one country apart: other cases, the same counties, ties and silent organisations. `bulletins`
    is the share of the reporting organisations that is looked at.
    """

    def __init__(self, country: Country, year: int, people: float, draw: int = 0, bulletins: float = 1.0) -> None:
        self.country, self.year, self.people, self.draw, self.bulletins = country, year, people, draw, bulletins
        self._behaviour: Behaviour = behaviour()
        self._courses = Weighted([course.share for course in self._behaviour.courses])
        self._returned = Weighted([course.share for course in self._behaviour.bulletins])
        self._departments = {kind: Weighted(list(kind.departments.values())) for kind in self._behaviour.kinds}
        self._season = lru_cache(maxsize=4)(Season)
        self._office = OfficeHours(date(year - 1, 7, 1), date(year + 2, 12, 31))
        self._silence = lru_cache(maxsize=100_000)(partial(country.silence, year=year))
        self._reports = lru_cache(maxsize=3)(self._month)

    def opened(self, day: date) -> float:
        """How many cases are expected to be opened on a day, bulletins apart."""
        return self.people * value("exchanges") * self._season(day.year).share[day]

    def cases(self, first: date, last: date) -> Iterator[Case]:
        """Every case opened from the first to the last of these days, in order of time."""
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            yield from heapq.merge(self._exchanges(day), self._bulletins(day), key=lambda case: case.opened)

    def read(self, organisation: str, moment: float) -> float:
        """When an organisation reads what comes at a moment: its next reading; infinity where it never comes back."""
        at, silence = self._reading(organisation, moment), self._silence(organisation)
        if silence is None or not silence[0] <= at < silence[1]:
            return at
        return self._reading(organisation, silence[1]) if math.isfinite(silence[1]) else math.inf

    def _reading(self, organisation: str, moment: float) -> float:
        """Its next reading, were it never silent."""
        every = WORKED / value("readings")
        phase = _share(organisation) * every
        return self._office.when((math.floor((self._office.at(moment) - phase) / every) + 1) * every + phase)

    def _exchanges(self, day: date) -> Iterator[Case]:
        """The arrivals of a Poisson process whose intensity is the day's, in order of time."""
        chance = Random(f"{self.country.seed}/{self.draw}/{day}")
        hours, start, expected = self._season(day.year).opened(day), midnight(day), self.opened(day)
        kinds = self._behaviour.kinds
        mix = Weighted([kind.share * (kind.summer if day.month in _SUMMER else 1.0) for kind in kinds])
        come, number = chance.expovariate(1.0), 0
        while come < expected:
            number += 1
            yield self._exchange(f"{day}/{number}", start + hours.at(come / expected), kinds[mix.draw(chance)], chance)
            come += chance.expovariate(1.0)

    def _exchange(self, name: str, at: float, kind: Kind, chance: Random) -> Case:
        residence, registration = self.country.pair(chance)
        department = list(kind.departments)[self._departments[kind].draw(chance)]
        sides = residence, registration
        if chance.random() >= kind.residence:
            sides = registration, residence
        opener, responder = (organisation_id(code, department) for code in sides)
        course = self._behaviour.courses[self._courses.draw(chance)]
        elsewhere = next(other for other in self.country.departments if other != department)
        newcomer = organisation_id(sides[1], elsewhere)
        words = {"opens": kind.opens, "done": kind.done}
        return self._played(name, kind.protocol, course, at, (opener, responder, newcomer), words, kind.files, chance)

    def _bulletins(self, day: date) -> Iterator[Case]:
        """The monthly bulletins of a day: they come in the days around the due day."""
        months = sorted({(near.year, near.month) for near in (day, day + timedelta(days=14))})
        start, end = midnight(day), midnight(day + timedelta(days=1))
        for year, month in months:
            reports = self._reports(year, month)
            for at, organisation, lead in reports[bisect_left(reports, (start,)) : bisect_left(reports, (end,))]:
                chance = Random(f"{self.country.seed}/{self.draw}/{year}-{month}/{organisation}/course")
                course = self._behaviour.bulletins[self._returned.draw(chance)]
                words = {"report": "zero-report"} if self.country.has_nothing(organisation) else {}
                name = f"{year}-{month:02}/{organisation}"
                yield self._played(name, BULLETIN, course, at, (organisation, lead, ""), words, {}, chance)

    def _month(self, year: int, month: int) -> list[tuple[float, str, str]]:
        """When which organisation reports to whom in a month, in order of time."""
        due = deadlines.postponed(date(year, month, int(value("bulletin_day")))).date
        found = []
        for organisation, lead in self.country.reporting():
            name = f"{self.country.seed}/{self.draw}/{year}-{month}/{organisation}"
            if _share(name) < self.bulletins:
                found.append((_reported(due, Random(name)), organisation, lead))
        return sorted(found)

    def _played(
        self,
        name: str,
        protocol: str,
        course: Course,
        at: float,
        parties: Sequence[str],
        words: dict[str, str],
        files: Mapping[str, float],
        chance: Random,
    ) -> Case:
        """A case as it comes out: each step once what came before it was read, and by nobody who is silent."""
        opener, responder, newcomer = parties
        who = {"o": opener, "r": responder, "n": newcomer}
        steps, holder, done = list[Step](), responder, None
        for side, word in course.steps:
            message, sender = words.get(word, word), who[side]
            if steps:
                planned, at = self._next(steps[-1], sender, self._delay(side, message, chance), chance)
                if side != "o" or message in _WAITED_FOR:
                    steps += self._reminders(planned, at, sender, opener if side != "o" else holder)
            if not math.isfinite(at):
                return Case(name, protocol, opener, responder, tuple(steps), done, False)
            to: tuple[str, ...] = (holder,) if side == "o" else (opener,)
            if message == "forward":
                to, holder = (opener, newcomer), newcomer
            if done is None and (word == "done" or message == "decline"):
                done = len(steps)
            file = self._file(f"{name}/{len(steps)}", files[word]) if word in files else 0
            steps.append(Step(at, message, sender, to, file))
        return Case(name, protocol, opener, responder, tuple(steps), done, True)

    def _file(self, step: str, share: float) -> int:
        """The bytes of what is attached to a step; by a random stream of its own, which moves nothing else."""
        chance = Random(f"{self.country.seed}/{self.draw}/{step}/file")
        if chance.random() >= share:
            return 0
        return math.ceil(1024 * chance.lognormvariate(math.log(value("file_size")), value("file_spread")))

    def _delay(self, side: str, message: str, chance: Random) -> float:
        delay = self._behaviour.delay
        median, spread = delay.get(f"{side} {message}") or delay[message]
        return chance.lognormvariate(math.log(median), spread)

    def _next(self, last: Step, sender: str, delay: float, chance: Random) -> tuple[float, float]:
        """When the sender answers the last message, or goes on: as it would, and as its silence has it."""
        read = self._reading(sender, last.at) if sender in last.recipients else last.at
        planned, silence = self._after(read, delay), self._silence(sender)
        if silence is None or planned < silence[0] or read >= silence[1]:
            return planned, planned
        back = self.read(sender, silence[1]) if math.isfinite(silence[1]) else math.inf
        return planned, self._after(back, chance.lognormvariate(math.log(_CAUGHT_UP[0]), _CAUGHT_UP[1]))

    def _after(self, moment: float, hours: float) -> float:
        return self._office.when(self._office.at(moment) + hours) if math.isfinite(moment) else moment

    def _reminders(self, planned: float, at: float, silent: str, other: str) -> Iterator[Step]:
        """What the other side sends while the answer does not come, unless it is silent too."""
        for number in range(1, _REMINDERS + 1):
            due, silence = self._after(planned, number * value("reminded_after") * WORKED), self._silence(other)
            if due >= at or (silence is not None and silence[0] <= due < silence[1]):
                return
            yield Step(due, "remind", other, (silent,))


def _reported(due: date, chance: Random) -> float:
    """When a bulletin due on that day is sent."""
    share, hour = chance.random(), OFFICE[0][0] + chance.random() * (OFFICE[0][1] - OFFICE[0][0])
    day = due
    if (share := share - value("bulletin_early")) < 0:
        day = deadlines.working_days_before(due, chance.randint(1, 2))
    elif (share := share - value("bulletin_late")) < 0:
        day = deadlines.due_date(due, chance.randint(1, 2), "working").date
    elif share >= value("bulletin_morning"):
        hour = OFFICE[1][0] + chance.random() * (OFFICE[1][1] - OFFICE[1][0])
    return midnight(day) + hour * HOUR


def _share(name: str) -> float:
    """A number from 0 to below 1 that is always the same for a name."""
    return zlib.crc32(name.encode()) / 2**32
