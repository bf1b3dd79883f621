"""Figures over the courses of cases, as published: what `protocols.scorecard` says, worked out by the database."""

import operator
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache

from asyncpg import Record

from hub.arrangements.reading import loaded
from hub.store import Connection
from hub.store.queries import SQL
from protocols import deadlines, scorecard
from protocols.calendar import Calendar
from protocols.course import Facts
from protocols.scorecard import (
    ACCEPTED,
    BY_DATE,
    DAYS,
    IN_TIME,
    REOPENED,
    Asked,
    By,
    Contribution,
    Contributions,
    Figure,
    Figures,
    Row,
)
from protocols.turnaround import Spent, Stage

_COUNTED = {
    IN_TIME: ("acknowledged_met", "acknowledged_of"),
    ACCEPTED: ("accepted_met", "accepted_of"),
    DAYS: ("days", "answered"),
    BY_DATE: ("dated_met", "dated_of"),
    REOPENED: ("reopened_met", "reopened_of"),
}
_EARLIEST = date(2010, 1, 1)
_EPOCH = date(1970, 1, 1)
_DAY = timedelta(days=1)
_GRAINS: Mapping[str, str] = {
    "all": "all",
    "month": "all",
    "protocol": "all",
    "opener": "opener",
    "responder": "responder",
    "province": "province",
}
"""Which sums a group is added up from; the others are worked out from the cases."""
_TIMES = ("transit", "unread", "responding", "waiting")
_SUMS = (
    "cases", "open", "overdue", "answered", "acknowledged_met", "acknowledged_of", "accepted_met", "accepted_of",
    "days", "dated_met", "dated_of", "reopened_met", "reopened_of", *_TIMES, *(f"working_{name}" for name in _TIMES),
)  # fmt: skip
"""The columns of what a group comes to, after the four that say which group it is."""
_NOTHING = (0,) * len(_SUMS)


async def figures(connection: Connection, asked: Asked, by: By, sight: Sequence[str], at: datetime) -> Figures:
    """What the cases come to in which one of `sight` is opener or responder, each group by itself.

    The connection is to see one moment throughout (`hub.store.glimpse`): what a case is counted by must not change.
    Who sees most cases gets the sums of all that have ended, the open ones, and less those out of sight: the answer is
    the same, and takes no longer for ten million cases than for one.
    """
    through = await connection.fetchval(SQL["course_head"])
    reading = _Reading(connection, asked, by, at, (await loaded(connection, through)).calendar)
    others = {row["id"] for row in await connection.fetch(SQL["organisation_ids"])} - set(sight)
    if asked.opener or asked.responder or by not in _GRAINS or len(sight) <= len(others):
        await reading.add(1, "in_sight", list(sight))
        return Figures(asked, by, at, through, reading.rows())
    first, last = await reading.add_sums()
    await reading.add(1, "open", [])
    for begin, end in ((asked.first, first - _DAY), (last + _DAY, asked.last)) if first <= last else ():
        if begin <= end:
            await reading.add(1, "ended", [], begin, end)
    if first > last:
        await reading.add(1, "ended", [])
    if others:
        await reading.add(-1, "out_of_sight", list(others))
    return Figures(asked, by, at, through, reading.rows())


class _Reading:
    """Adds up what parts of the cases come to, group by group."""

    def __init__(self, connection: Connection, asked: Asked, by: By, at: datetime, calendar: Calendar) -> None:
        self._connection, self._asked, self._by, self._at, self._calendar = connection, asked, by, at, calendar
        self._today = deadlines.local_date(at)
        self._sums: dict[tuple[str | None, ...], tuple[int, ...]] = {}

    async def add(
        self, sign: int, which: str, names: Sequence[str], first: date | None = None, last: date | None = None
    ) -> None:
        """Add, or take away, the cases of one kind, opened within the period or from `first` through `last`."""
        asked, today = self._asked, self._today
        before, works = _calendar(today, self._calendar)
        passed = (self._at - deadlines.start_of(today)) // timedelta(microseconds=1) if works[-1] else 0
        until = 1_000_000 * before[-1] + passed
        first_day = (_EARLIEST - _EPOCH).days
        now = (self._at - deadlines.start_of(_EPOCH)) // timedelta(microseconds=1)
        statement = SQL["figures"].replace("{which}", SQL[which])
        period = first or asked.first, last or asked.last, names, asked.protocol, self._by, min(asked.last, today)
        sides = *_between(asked.opener), *_between(asked.responder)
        width = scorecard.REGIONS.get(self._by, 0)
        rows = await self._connection.fetch(statement, *period, now, first_day, before, works, until, *sides, width)
        self._take(sign, rows)

    async def add_sums(self) -> tuple[date, date]:
        """Add what is settled of the whole months in the period; from which day through which they are."""
        asked = self._asked
        first = asked.first if asked.first.day == 1 else (asked.first.replace(day=1) + 31 * _DAY).replace(day=1)
        # Nothing is opened after today: a period until then or later ends with a whole month.
        last = deadlines.end_of_month(f"{asked.last:%Y-%m}")
        if asked.last < min(last, self._today):
            last = asked.last.replace(day=1) - _DAY
        grain = _GRAINS[self._by]
        if first <= last:
            rows = await self._connection.fetch(SQL["figure_sums"], grain, self._by, first, last, asked.protocol)
            self._take(1, rows)
            # What had not happened when a case ended counts there as missed; by the day that is asked about it may not.
            day, width = min(asked.last, self._today), scorecard.REGIONS.get(self._by, 0)
            pending = SQL["not_yet_missed"], day, self._by, width, first, last, asked.protocol
            for row in await self._connection.fetch(*pending):
                sums = list(self._sums[row[:4]])
                for name in ("acknowledged_of", "accepted_of"):
                    sums[_SUMS.index(name)] -= row[name]
                self._sums[row[:4]] = tuple(sums)
        return first, last

    def rows(self) -> list[Row]:
        """The figures of the groups that have cases, in their order."""
        groups = sorted((of for of, sums in self._sums.items() if sums[0]), key=lambda of: [n or "" for n in of])
        return [_row(of, self._sums[of]) for of in groups]

    def _take(self, sign: int, rows: Sequence[Record]) -> None:
        combined = operator.add if sign > 0 else operator.sub
        for row in rows:
            before = self._sums.get(row[:4], _NOTHING)
            self._sums[row[:4]] = tuple(map(combined, before, row[4:]))


def _between(wanted: str | None) -> tuple[str | None, str | None]:
    """The first and the last id that is meant: an organisation's own, or those of a region's digits."""
    return (wanted, f"{wanted}z" if wanted.isdigit() else wanted) if wanted else (None, None)


async def contributions(
    connection: Connection, asked: Asked, sight: Sequence[str], after: str | None, limit: int
) -> Contributions:
    """The cases behind such a figure, in the order of their ids."""
    rows = await connection.fetch(
        SQL["figure_cases"],
        asked.first,
        asked.last,
        sight,
        asked.protocol,
        *_between(asked.opener),
        *_between(asked.responder),
        after,
        limit,
    )
    through = await connection.fetchval(SQL["course_head"])
    items = [Contribution(str(row["case_id"]), facts_of(row)) for row in rows]
    return Contributions(asked, through, items, items[-1].case if len(items) == limit else None)


def facts_of(row: Record) -> Facts:
    """What a case contributes, from its row of `case_course`."""
    plain = {name: row[name] for name in Facts.__struct_fields__ if name not in ("calendar", "working", "stage")}
    stage = None
    if row["stage"] is not None:
        stage = Stage(
            row["stage"], tuple(row["stage_of"].split()), row["state"], row["stage_since"], None, row["stage_entry"]
        )
    return Facts(**plain, calendar=_spent(row, ""), working=_spent(row, "working_"), stage=stage)


def _row(of: tuple[str | None, ...], sums: Sequence[int]) -> Row:
    named = dict(zip(_SUMS, sums, strict=True))
    indicators = {name: scorecard.indicator(name, named[met], named[of]) for name, (met, of) in _COUNTED.items()}
    found = Figure(
        cases=named["cases"],
        open=named["open"],
        overdue=named["overdue"],
        answered=named["answered"],
        indicators=indicators,
        calendar=_spent(named, ""),
        working=_spent(named, "working_"),
    )
    return Row(found, *of)


def _spent(row: Mapping[str, int] | Record, of: str) -> Spent:
    return Spent(row[f"{of}transit"], row[f"{of}unread"], row[f"{of}responding"], row[f"{of}waiting"])


@lru_cache(maxsize=2)
def _calendar(today: date, calendar: Calendar) -> tuple[list[int], list[bool]]:
    """For every day until `today`: how many working seconds lie before it, and whether it is a working day."""
    days = [_EARLIEST + timedelta(days=n) for n in range((today - _EARLIEST).days + 1)]
    works = [calendar.is_working_day(day) for day in days]
    before, total = [], 0
    for one in works:
        before.append(total)
        total += 86_400 if one else 0
    return before, works
