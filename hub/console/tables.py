"""A table as a page shows it and as a file holds it."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar, overload

from hub.console.words import LIGHTS, T

_Item = TypeVar("_Item")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What spreadsheet programs begin a formula by, in their Chinese editions in full width too (OWASP, CSV Injection)."""


@dataclass(frozen=True, slots=True)
class Link:
    """A text that leads somewhere inside the console."""

    text: str | T
    href: str


@dataclass(frozen=True, slots=True)
class Light:
    """A value with its traffic light."""

    value: float | None
    rating: str
    unit: str | T = "%"


@dataclass(frozen=True, slots=True)
class Heat:
    """A number with how strong it is among its neighbours, 0 to 4."""

    value: float | None
    strength: int
    href: str = ""


Cell = str | int | float | date | T | Link | Light | Heat | None


class Rows(Sequence[Sequence[Cell]]):
    """Rows that are made of `items` when they are looked at: a page shows a hundred of three thousand."""

    def __init__(self, items: Sequence[_Item], made: Callable[[_Item], Sequence[Cell]]) -> None:
        self._items: Sequence[Any] = items
        self._made = made

    def __len__(self) -> int:
        return len(self._items)

    @overload
    def __getitem__(self, place: int) -> Sequence[Cell]: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Sequence[Cell]]: ...
    def __getitem__(self, place: int | slice) -> Sequence[Cell] | Sequence[Sequence[Cell]]:
        if isinstance(place, slice):
            return [self._made(item) for item in self._items[place]]
        return self._made(self._items[place])


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under titled columns; `name` names it in the address of its export."""

    name: str
    caption: T
    columns: Sequence[T | str]
    rows: Sequence[Sequence[Cell]]
    note: T | None = None


def plain(cell: Cell, language: str) -> str | int | float | date | None:
    """The cell as a file holds it."""
    match cell:
        case T():
            return cell.say(language)
        case Link(text=text):
            return plain(text, language)
        case Light(value=None):
            return None
        case Light(value=value, rating=rating, unit=unit):
            return f"{value}{unit.say(language) if isinstance(unit, T) else unit} {LIGHTS[rating].say(language)}"
        case Heat(value=value):
            return value
        case _:
            return cell


def as_csv(table: Table, language: str) -> bytes:
    """The table as CSV (RFC 4180) in UTF-8, with the mark that spreadsheet programs look for."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([plain(column, language) for column in table.columns])
    for row in table.rows:
        writer.writerow([_harmless(plain(cell, language)) for cell in row])
    return out.getvalue().encode("utf-8-sig")


def as_xlsx(table: Table, language: str) -> bytes:
    """The table as an Excel workbook (ISO/IEC 29500)."""
    # Loaded where it is wanted: a fifth of a second that no process pays for at its start.
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet(table.name[:31])
    sheet.append([plain(column, language) for column in table.columns])
    for row in table.rows:
        sheet.append([_harmless(plain(cell, language)) for cell in row])
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _harmless(value: str | int | float | date | None) -> str | int | float | date | None:
    """No text of a partner's becomes a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
