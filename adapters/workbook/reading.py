"""A filled-in workbook read back: rows of data, and in words what in them can't be read.

Which column is which, and for which message the sheet was made, stands in a hidden row above the first request, so
that columns may be moved, retitled, left out or added. Formulas are never evaluated.
"""

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from openpyxl import load_workbook

from adapters.desk import forms
from adapters.desk.forms import Field, Words
from adapters.workbook.admission import WorkbookInvalid, admit, parsing
from adapters.workbook.columns import (
    LEAST_REASON,
    LONGEST_REASON,
    MISSING,
    PROBLEMS,
    REASON,
    TO,
    Column,
    Finding,
    Row,
    Sheet,
    columns,
    finding,
)

MARKS: Final = 3
"""The number of the hidden row in a template: titles in Chinese, titles in English, then what each column is."""
MAX_CELL: Final = 10_000
"""Characters of a cell."""
_WIDTH, _TOP, _LAST = 512, 20, 1 << 20
_EXACT = 10**15
"""From here on Excel keeps of a number no more than its first fifteen digits."""
_DAY = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_SEPARATORS = re.compile(r"[、,;\n]")

FORMULA = Words("是公式，请填写数值或文字本身", "is a formula; write the value itself")
ERROR = Words("单元格有错误值", "holds an error of Excel's")
TOO_LONG = Words(f"最多 {MAX_CELL} 个字", f"at most {MAX_CELL} characters")
NO_DATE = Words("应填日期，例如 2026-10-12", "a day is wanted, e.g. 2026-10-12")
NO_NUMBER = Words("应填数字", "a number is wanted")
NO_INTEGER = Words("应填整数", "a whole number is wanted")
NO_TEXT = Words("应填文字", "a text is wanted")
A_DATE = Words(
    "已被 Excel 变成日期或时间，请将单元格设为文本后重新填写",
    "was made a date or time by Excel; make the cell a text and write it again",
)
LOST_DIGITS = Words(
    "超过 15 位的数字已被 Excel 截断，请将单元格设为文本后重新填写",
    "Excel has cut a number of more than 15 digits; make the cell a text and write it again",
)
NOT_LISTED = Words("请从列表中选择", "choose one of the list")
NO_ORGANISATION = Words("没有这个机构，请从列表中选择", "there is no such organisation; choose one of the list")
SHORT_REASON = Words(f"至少 {LEAST_REASON} 个字", f"at least {LEAST_REASON} characters")
LONG_REASON = Words(f"最多 {LONGEST_REASON} 个字", f"at most {LONGEST_REASON} characters")
NO_SHEET = Words("工作簿中没有本系统的填写表，请使用模板", "no sheet in the workbook is one of ours; use the template")
TWICE = Words("有的列出现了两次，请删去一列", "a column stands there twice; delete one of them")
SHIFTED = Words("表头中插入了行，请删去", "rows were put among the headings; delete them")


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell; `type` is the letter that openpyxl gives it: f a formula, e an error."""

    value: Any
    type: str

    @property
    def filled(self) -> bool:
        """Whether anything is in it."""
        return bool(self.value.strip()) if isinstance(self.value, str) else self.value is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sheet's columns are, by their keys, and below which row the requests stand."""

    row: int
    columns: Mapping[str, int]


def read(sheet: Sheet, content: bytes) -> list[Row]:
    """The requests of a workbook, those that are all right and those that are not; empty rows are passed over.

    Raises WorkbookInvalid where it is no workbook, one made for another message, or has more rows than a sheet takes.
    """
    known = columns(sheet)
    return [_row(sheet, known, number, cells) for number, cells in _filled(sheet, content)]


def opened(content: bytes, read_only: bool) -> Any:
    """The workbook as openpyxl has it, once it was let in. Raises WorkbookInvalid."""
    admitted = admit(content)
    with parsing():
        return load_workbook(io.BytesIO(admitted), read_only=read_only, keep_links=False)


def placed(sheet: Sheet, cells: Iterable[tuple[int, int, Any]]) -> Place | None:
    """Where the columns are, by the cells (row, column, value) of a page from its top; None on any other page.

    Raises WorkbookInvalid where the page was made for another message or its headings are not as they were.
    """
    start = sheet.identity.partition(" ")[0] + " "
    marks = [(row, at, value) for row, at, value in cells if isinstance(value, str) and value.startswith(start)]
    if not marks:
        return None
    if marks[0][0] > MARKS:
        raise WorkbookInvalid(SHIFTED)
    keys = {one.key for one in columns(sheet)} | {PROBLEMS}
    found: dict[str, int] = {}
    # What a row further down says is something that was filled in.
    for at, value in [(at, value) for row, at, value in marks if row == marks[0][0]]:
        identity, _, key = value.rpartition(" ")
        if identity != sheet.identity or key not in keys:
            raise WorkbookInvalid(_another(sheet), anothers=True)
        if found.setdefault(key, at) != at:
            raise WorkbookInvalid(TWICE)
    return Place(marks[0][0], found)


def _another(sheet: Sheet) -> Words:
    return Words(
        f"这份工作簿不是为“{sheet.title.zh}”（{sheet.protocol} {sheet.version}）的现行表格制作的，请重新下载模板",
        f"this workbook was not made for the present form of “{sheet.title.en}” ({sheet.protocol} {sheet.version});"
        " get the template again",
    )


def _filled(sheet: Sheet, content: bytes) -> list[tuple[int, dict[str, Cell]]]:
    """The rows that have anything in a column of ours, with their numbers."""
    book = opened(content, read_only=True)
    with parsing():
        for page in book.worksheets:
            top = page.iter_rows(max_row=_TOP, max_col=_WIDTH, values_only=True)
            place = placed(
                sheet, ((row, at, one) for row, cells in enumerate(top, 1) for at, one in enumerate(cells, 1))
            )
            if place is not None:
                found = []
                for row in _below(page, place):
                    found.append(row)
                    if len(found) > sheet.rows:
                        raise WorkbookInvalid(
                            Words(
                                f"最多 {sheet.rows} 行，请分几次上传",
                                f"at most {sheet.rows} rows; make it several files",
                            )
                        )
                return found
    raise WorkbookInvalid(NO_SHEET)


def _below(page: Any, place: Place) -> Iterator[tuple[int, dict[str, Cell]]]:
    ours = {key: at for key, at in place.columns.items() if key != PROBLEMS}
    first = place.row + 1
    rows = page.iter_rows(min_row=first, max_row=_LAST, max_col=max(place.columns.values()))
    for number, cells in enumerate(rows, first):
        if any(one.value is not None for one in cells):
            row = {key: Cell(cells[at - 1].value, cells[at - 1].data_type) for key, at in ours.items()}
            kept = {key: cell for key, cell in row.items() if cell.filled}
            if kept:
                yield number, kept


def _row(sheet: Sheet, known: Sequence[Column], number: int, cells: Mapping[str, Cell]) -> Row:
    findings: list[Finding] = []
    submitted: dict[str, Sequence[str]] = {}
    for column in known:
        cell = cells.get(column.key)
        values = _values(column.field, cell) if cell is not None else MISSING if column.key in (TO, REASON) else ()
        if isinstance(values, Words):
            findings.append(finding(column, values))
        else:
            submitted[column.key] = values
    reason = "".join(submitted.get(REASON, ())).strip()
    if REASON in submitted and not LEAST_REASON <= len(reason) <= LONGEST_REASON:
        column = next(one for one in known if one.key == REASON)
        findings.append(finding(column, SHORT_REASON if len(reason) < LEAST_REASON else LONG_REASON))
    content = forms.read(sheet.sealed, _within(submitted, "sealed")) if sheet.sealed is not None else None
    return Row(
        number,
        next(iter(submitted.get(TO, ())), None),
        reason,
        forms.read(sheet.open, _within(submitted, "open")),
        content or None,
        tuple(findings),
    )


def _within(submitted: Mapping[str, Sequence[str]], part: str) -> dict[str, Sequence[str]]:
    start = f"{part}."
    return {key.removeprefix(start): values for key, values in submitted.items() if key.startswith(start) and values}


def _values(field: Field, cell: Cell) -> Sequence[str] | Words:
    """What a browser would send for the cell, or what is wrong with it."""
    value = cell.value
    if cell.type == "f":
        return FORMULA
    if cell.type == "e":
        return ERROR
    if isinstance(value, str):
        value = value.replace("_x000D_", "").replace("_x005F_", "_").replace("\r\n", "\n")
        if len(value) > MAX_CELL:
            return TOO_LONG
    match field.kind:
        case "date":
            return _day(value)
        case "integer" | "number":
            return _figure(value, field.kind == "integer")
        case "yes-or-no" if isinstance(value, bool):
            return ["true" if value else "false"]
        case "choice" | "choices" | "yes-or-no":
            text = _text(value)
            return text if isinstance(text, Words) else _chosen(field, text)
    text = _text(value)
    return text if isinstance(text, Words) else [text]


def _text(value: Any) -> str | Words:
    match value:
        case str():
            return value
        case bool():
            return NO_TEXT
        case datetime() | date() | time() | timedelta():
            return A_DATE
        case int() | float() if not abs(value) < _EXACT:
            return LOST_DIGITS
        case int() | float():
            return str(int(value)) if value == int(value) else format(value, ".15g")
    return NO_TEXT


def _day(value: Any) -> Sequence[str] | Words:
    if isinstance(value, datetime):
        return [value.date().isoformat()] if value.time() == time() else NO_DATE
    if isinstance(value, date):
        return [value.isoformat()]
    found = _DAY.fullmatch(_spelt(value)) if isinstance(value, str) else None
    try:
        return [date(*map(int, found.groups())).isoformat()] if found else NO_DATE
    except ValueError:
        return NO_DATE


def _figure(value: Any, whole: bool) -> Sequence[str] | Words:
    if isinstance(value, str):
        text = _spelt(value)
        wanted = r"-?\d{1,15}" if whole else r"-?\d{1,15}(\.\d{1,15})?"
        return [text] if re.fullmatch(wanted, text, re.ASCII) else NO_INTEGER if whole else NO_NUMBER
    text_or_words = _text(value)
    if isinstance(text_or_words, Words):
        return NO_NUMBER
    return NO_INTEGER if whole and value != int(value) else [text_or_words]


def _chosen(field: Field, text: str) -> Sequence[str] | Words:
    """The values of the options that are named by their value or by a title."""
    one = _option(field, text)
    if field.kind != "choices" or not isinstance(one, Words):
        return one if isinstance(one, Words) else [one]
    several = [_option(field, part) for part in _SEPARATORS.split(unicodedata.normalize("NFKC", text)) if part.strip()]
    wrong = next((part for part in several if isinstance(part, Words)), None)
    return wrong or [part for part in several if isinstance(part, str)] or NOT_LISTED


def _option(field: Field, text: str) -> str | Words:
    wanted = _spelt(text)
    for value, _ in field.options:
        if _spelt(value) == wanted:
            return value
    named = [value for value, words in field.options if wanted in (_spelt(words.zh), _spelt(words.en))]
    if len(named) > 1:
        codes = "、".join(named[:5])
        return Words(f"有同名的，请填写编号：{codes}", f"several are named so; write the id: {codes}")
    return named[0] if named else NO_ORGANISATION if field.key == TO else NOT_LISTED


def _spelt(text: str) -> str:
    """One spelling of a short text typed with different keyboards: full width, capitals and blanks do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
