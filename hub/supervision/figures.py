"""Figures over the courses of cases, as published: what `protocols.scorecard` says, worked out by the database."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
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


async def figures(connection: Connection, asked: Asked, by: By, sight: Sequence[str], at: datetime) -> Figures:
    """What the cases come to in which one of `sight` is opener or responder, each group by itself."""
    through = await connection.fetchval(SQL["course_head"])
    days, before, works = _calendar(deadlines.local_date(at), (await loaded(connection, through)).calendar)
    today = deadlines.local_date(at)
    passed = (at - deadlines.start_of(today)) // timedelta(microseconds=1) if works[-1] else 0
    until = before[-1] + Decimal(passed) / 1_000_000
    period = asked.first, asked.last, sight, asked.protocol, by, min(asked.last, today), at
    rows = await connection.fetch(
        SQL["figures"], *period, days, before, works, until, _EARLIEST, asked.opener, asked.responder
    )
    return Figures(asked, by, at, through, [_row(row) for row in rows])


async def contributions(
    connection: Connection, asked: Asked, sight: Sequence[str], after: str | None, limit: int
) -> Contributions:
    """The cases behind such a figure, in the order of their ids."""
    rows = await connection.fetch(
        SQL["figure_cases"], asked.first, asked.last, sight, asked.protocol, asked.opener, asked.responder, after, limit
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


def _row(row: Record) -> Row:
    indicators = {name: scorecard.indicator(name, row[met], row[of]) for name, (met, of) in _COUNTED.items()}
    found = Figure(
        row["cases"],
        row["open"],
        row["overdue"],
        row["answered"],
        indicators,
        _spent(row, ""),
        _spent(row, "working_"),
    )
    return Row(found, row["opener"], row["responder"], row["month"], row["protocol"])


def _spent(row: Record, of: str) -> Spent:
    return Spent(row[f"{of}transit"], row[f"{of}unread"], row[f"{of}responding"], row[f"{of}waiting"])


@lru_cache(maxsize=2)
def _calendar(today: date, calendar: Calendar) -> tuple[list[date], list[int], list[bool]]:
    """Every day until `today`: how many working seconds lie before it, and whether it is a working day."""
    days = [_EARLIEST + timedelta(days=n) for n in range((today - _EARLIEST).days + 1)]
    works = [calendar.is_working_day(day) for day in days]
    before, total = [], 0
    for one in works:
        before.append(total)
        total += 86_400 if one else 0
    return days, before, works
