"""Whether a bulletin's counts conform: they add up, go on from the month before, and agree with the counterpart's."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from protocols.table import Check

COUNTS = "counts"
"""The field of a bulletin that holds its counts; a zero report has none, and each of its counts is zero."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A check that does not hold: the field it is about, what was reported and what was expected instead.

    `department` is the counterpart whose figure it is, where there is one.
    """

    check: str
    field: str
    reported: int
    expected: int
    department: str | None = None


def findings(
    checks: Mapping[str, Check],
    data: Mapping[str, Any],
    department: str,
    earlier: Mapping[str, Any] | None,
    others: Mapping[str, Mapping[str, Any]],
) -> list[Finding]:
    """What in the bulletin `data` of `department` does not conform, in the order of the checks.

    `earlier` is its bulletin of the month before, `others` those of the same month by department; what is not there
    is not held against it.
    """
    counts = data.get(COUNTS)
    before = None if earlier is None else earlier.get(COUNTS, {})
    theirs = {name: other.get(COUNTS, {}) for name, other in others.items()}
    found: list[Finding] = []
    for name, check in checks.items():
        found += _KINDS[check.kind](name, check, counts, department, before, theirs)
    return found


Counts = Mapping[str, Any]


def _balance(
    name: str, check: Check, counts: Counts | None, own: str, before: Counts | None, theirs: Mapping[str, Counts]
) -> Iterator[Finding]:
    left = sum(_count(counts, field) for field in check.left)
    right = sum(_count(counts, field) for field in check.right)
    if left != right:
        yield Finding(
            name, check.right[-1], _count(counts, check.right[-1]), _count(counts, check.right[-1]) + left - right
        )


def _carried(
    name: str, check: Check, counts: Counts | None, own: str, before: Counts | None, theirs: Mapping[str, Counts]
) -> Iterator[Finding]:
    assert check.field is not None and check.earlier is not None
    if before is None:
        return
    reported, expected = _count(counts, check.field), _count(before, check.earlier)
    if reported != expected:
        yield Finding(name, check.field, reported, expected)


def _counterpart(
    name: str, check: Check, counts: Counts | None, own: str, before: Counts | None, theirs: Mapping[str, Counts]
) -> Iterator[Finding]:
    assert check.field is not None
    mine = _exchanged(counts, check.field)
    for department, other in sorted(theirs.items()):
        sent, received = mine.get(department, (0, 0))
        they_sent, they_received = _exchanged(other, check.field).get(own, (0, 0))
        if sent != they_received:
            yield Finding(name, check.field, sent, they_received, department)
        if received != they_sent:
            yield Finding(name, check.field, received, they_sent, department)


def _counted(
    name: str, check: Check, counts: Counts | None, own: str, before: Counts | None, theirs: Mapping[str, Counts]
) -> Iterator[Finding]:
    if counts is not None and not any(_numbers(counts)):
        yield Finding(name, COUNTS, 0, 1)


_KINDS = {"balance": _balance, "carried": _carried, "counterpart": _counterpart, "counted": _counted}


def _count(counts: Counts | None, field: str) -> int:
    return int((counts or {}).get(field, 0))


def _exchanged(counts: Counts | None, field: str) -> dict[str, tuple[int, int]]:
    rows = (counts or {}).get(field, [])
    return {row["department"]: (int(row["sent"]), int(row["received"])) for row in rows}


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, Mapping):
        for below in value.values():
            yield from _numbers(below)
    elif isinstance(value, (list, tuple)):
        for below in value:
            yield from _numbers(below)
    elif isinstance(value, int):
        yield value
