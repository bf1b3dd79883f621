"""What stands in a sheet of requests: its columns, made from the forms of a message, and what was read of a row.

A column's key is the path to its value: `to`, `reason`, then `open.…` and `sealed.…` as in a form's names and in the
pointers of its problems. A group is spread over columns "组 · 项"; a list has columns for as many entries as it must
have, and for one where it may be empty. Whoever needs more entries in one request writes it in the desk's own form.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from adapters.desk.forms import Field, Words, said
from protocols.schemas import Problem

TO: Final = "to"
REASON: Final = "reason"
PROBLEMS: Final = "problems"
"""The column that a marked copy has besides; what stands in it is never read."""
LEAST_REASON, LONGEST_REASON = 4, 500
MISSING = Words("必须填写", "must be filled in")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What a workbook is made for: many requests by one message of one protocol.

    `open` and `sealed` are its forms, without what the desk fills in itself; `organisations` are those that a request
    may go to, by id; `daily` is how many may be sent to one of them a day, `rows` how many one workbook takes.
    """

    protocol: str
    version: str
    message: str
    title: Words
    open: Field
    sealed: Field | None
    organisations: Sequence[tuple[str, Words]]
    daily: int
    rows: int = 200

    @property
    def identity(self) -> str:
        """What the hidden row of the sheet says of every column, before its key."""
        return f"xieban/1 {self.protocol}/{self.version}/{self.message}"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: `field` says how it is filled in, `required` whether every row needs it."""

    key: str
    title: Words
    field: Field
    required: bool


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in a row, at the column of this key; at none of them where the key is empty."""

    column_title: Words
    words: Words
    column_key: str


@dataclass(frozen=True, slots=True)
class Row:
    """One request as it was filled in, at the number that Excel shows.

    What could not be read is in `findings`, and not in `data` or `content` (None where nothing is to be sealed).
    """

    number: int
    to: str | None
    reason: str
    data: dict[str, Any]
    content: dict[str, Any] | None
    findings: tuple[Finding, ...]


def columns(sheet: Sheet) -> list[Column]:
    """The columns in the order in which the template has them."""
    to = Field(
        TO,
        "choice",
        Words("对方机构", "Other organisation"),
        Words("机构编号，或者机构全称", "its id, or its Chinese name in full"),
        True,
        options=tuple(sheet.organisations),
    )
    why = Words(
        f"为什么提出这一件请求，{LEAST_REASON} 至 {LONGEST_REASON} 个字",
        f"why this request is made, {LEAST_REASON} to {LONGEST_REASON} characters",
    )
    reason = Field(REASON, "long", Words("理由", "Reason"), why, True, longest=LONGEST_REASON)
    found = [Column(one.key, one.title, one, True) for one in (to, reason)]
    for part, form in (("open", sheet.open), ("sealed", sheet.sealed)):
        if form is not None:
            found += _leaves(part, form, (), True)
    return found


def _leaves(name: str, field: Field, around: tuple[Words, ...], required: bool) -> Iterator[Column]:
    match field.kind:
        case "group":
            for part in field.parts:
                yield from _leaves(f"{name}.{part.key}", part, (*around, part.title), required and part.required)
        case "list":
            (part,) = field.parts
            count = max(field.least, 1)
            for n in range(count):
                *outer, last = around
                own = last if count == 1 else Words(f"{last.zh} {n + 1}", f"{last.en} {n + 1}")
                yield from _leaves(f"{name}.{n}", part, (*outer, own), required and n < field.least)
        case _:
            title = Words(" · ".join(one.zh for one in around), " · ".join(one.en for one in around))
            yield Column(name, title, field, required)


def judged(sheet: Sheet, row: Row, problems: Sequence[Problem]) -> Row:
    """The row with what a schema found wrong in it as well, each at its column in the words of a form.

    The pointers begin with `/open` or `/sealed`. Where a cell could not be read, that it is missing is not said too.
    """
    known = columns(sheet)
    unread = {finding.column_key for finding in row.findings}
    found = list(row.findings)
    for problem in problems:
        name = problem.pointer.removeprefix("/").replace("/", ".")
        if not any(key == name or key.startswith(f"{name}.") for key in unread):
            found.append(finding(_nearest(known, name), said(problem)))
    return replace(row, findings=tuple(dict.fromkeys(found)))


def finding(column: Column | None, words: Words) -> Finding:
    """What is wrong at the column, or in the row as a whole."""
    return Finding(column.title, words, column.key) if column else Finding(Words("本行", "This row"), words, "")


def _nearest(known: Sequence[Column], name: str) -> Column | None:
    """The column of this name, else one within it, else one nearest around it; None for a whole part."""
    while "." in name:
        inside = [one for one in known if one.key == name or one.key.startswith(f"{name}.")]
        if inside:
            return next((one for one in inside if one.field.required), inside[0])
        name = name.rpartition(".")[0]
    return None
