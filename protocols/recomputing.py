"""The facts of cases worked out anew from all entries of a log in order, with nothing else at hand."""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec

from protocols import deadlines
from protocols.arrangements import Arrangements
from protocols.between_hubs import Marked
from protocols.calendar import Calendar
from protocols.course import Course, Facts
from protocols.entries import Accepted, Acknowledged, DueChanged, Entry, Fetched, Succeeded
from protocols.loading import Catalogue
from protocols.scorecard import Figures, Row, rows
from protocols.turnaround import Event


class Difference(msgspec.Struct, frozen=True):
    """Something published of a case that the log's entries do not say: None where it is not there at all."""

    case: str
    field: str
    published: Any
    recomputed: Any


def differences(published: Mapping[str, Facts], recomputed: Mapping[str, Facts]) -> list[Difference]:
    """Everything in which what is published of cases differs from what the entries come to."""
    found = []
    for case in sorted(published.keys() | recomputed.keys()):
        one, other = published.get(case), recomputed.get(case)
        if one is None or other is None:
            found.append(Difference(case, "case", one and one.state, other and other.state))
            continue
        for name in Facts.__struct_fields__:
            if getattr(one, name) != getattr(other, name):
                found.append(Difference(case, name, getattr(one, name), getattr(other, name)))
    return found


Wanted = Callable[[Accepted], bool]
"""Whether the case that an entry opens is looked at."""


def opened_between(first: date, last: date) -> Wanted:
    """Cases opened from the day `first` through `last` (Asia/Shanghai)."""
    return lambda entry: first <= deadlines.local_date(datetime.fromisoformat(entry.at)) <= last


@dataclass(frozen=True, slots=True)
class Recomputed:
    """What is published and what the log comes to, group by group, with every case behind it.

    `rooted` says that all `entries` of the log make the root that the hub signed.
    """

    published: Figures
    rows: list[Row]
    cases: dict[str, Facts]
    differences: list[Difference]
    entries: int
    rooted: bool

    @property
    def holds(self) -> bool:
        """Whether the log is whole and says what is published."""
        ours, theirs = ({row.of: row for row in rows} for rows in (self.rows, self.published.rows))
        return self.rooted and not self.differences and ours == theirs


class Recomputation:
    """Takes every entry of a log; keeps the courses of the cases that are `wanted`."""

    def __init__(self, catalogue: Catalogue, wanted: Wanted) -> None:
        self._catalogue, self._wanted = catalogue, wanted
        self._courses: dict[str, Course | None] = {}
        self._boxes: dict[str, list[tuple[int, str]]] = {}
        self._arrangements = Arrangements()

    def take(self, index: int, entry: Entry) -> None:
        """The next entry."""
        self._arrangements.take(index, entry)
        match entry:
            case Accepted(subject=case):
                course = self._course(case, entry)
                if course is not None:
                    course.take(Event(index, entry))
                    for name, position in entry.recipients.items():
                        self._boxes.setdefault(name, []).append((position, case))
            case DueChanged(subject=case):
                if (course := self._courses.get(case)) is not None:
                    course.take(Event(index, entry))
            case Fetched(recipient=box, from_=first, through=through):
                self._between(index, entry, box, first, through)
            case Acknowledged(recipient=box, from_=first, through=through):
                self._between(index, entry, box, first, through)
            case Marked(recipient=box, positions=positions):
                held = dict(self._boxes.get(box, ()))
                self._mark(index, entry, [held[at] for at in positions if at in held])
            case Succeeded():
                for one in self._courses.values():
                    if one is not None:
                        one.take(Event(index, entry))

    @property
    def calendar(self) -> Calendar:
        """Which days are worked, by the entries so far."""
        return self._arrangements.calendar

    def courses(self) -> dict[str, Course]:
        """The course of each case that is kept, by its id."""
        return {case: course for case, course in self._courses.items() if course is not None}

    def facts(self) -> dict[str, Facts]:
        """What each case comes to, by its id."""
        found = {case: course.facts(self.calendar) for case, course in self.courses().items()}
        return {case: facts for case, facts in found.items() if facts is not None}

    def against(self, published: Figures, stored: Mapping[str, Facts], entries: int, rooted: bool) -> Recomputed:
        """What is published, and of each case stored, beside what the entries taken so far come to."""
        asked = published.asked
        found = {case: facts for case, facts in self.facts().items() if asked.holds(facts)}
        redone = rows(found.values(), published.by, published.day, published.at, self.calendar)
        return Recomputed(published, redone, found, differences(stored, found), entries, rooted)

    def _course(self, case: str, entry: Accepted) -> Course | None:
        if case not in self._courses:
            protocol = self._catalogue.protocols.get((entry.type.partition(".")[0], entry.version))
            known = protocol is not None and self._wanted(entry)
            self._courses[case] = Course(protocol.flow) if protocol is not None and known else None
        return self._courses[case]

    def _between(self, index: int, entry: Entry, box: str, first: int, through: int) -> None:
        positions = self._boxes.get(box, [])
        begin, end = bisect_left(positions, (first, "")), bisect_left(positions, (through + 1, ""))
        self._mark(index, entry, [case for _, case in positions[begin:end]])

    def _mark(self, index: int, entry: Entry, cases: Iterable[str]) -> None:
        """Every case with a message at the positions, each once."""
        for case in dict.fromkeys(cases):
            course = self._courses[case]
            assert course is not None
            course.take(Event(index, entry))
