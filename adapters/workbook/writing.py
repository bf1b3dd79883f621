"""Workbooks made: the template of a sheet, and plain tables; and how anything is put into a cell.

Every text is written as a text: none that begins like a formula becomes one, here or when somebody edits the cell.
"""

import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Final, Literal

from openpyxl import Workbook
from openpyxl.cell import MergedCell
from openpyxl.comments import Comment
from openpyxl.styles import Alignment, Font, PatternFill
from openpyxl.utils import get_column_letter, quote_sheetname
from openpyxl.workbook.defined_name import DefinedName
from openpyxl.worksheet.datavalidation import DataValidation

from adapters.desk.forms import Field, Words
from adapters.workbook.columns import PROBLEMS, Column, Sheet, columns
from adapters.workbook.reading import MARKS

Value = str | int | date | None
AUTHOR: Final = "xieban"
REQUESTS, GUIDE, ORGANISATIONS, LISTS = "填写", "说明", "机构", "选项"
FAULT, _OPEN, _SEALED = "00FFC7CE", "00DDEBF7", "00E2EFDA"
_FORMATS = {"date": "yyyy-mm-dd", "integer": "0", "number": "General"}
_WIDTHS = {"long": 44, "choice": 22, "choices": 28, "date": 14, "integer": 12, "number": 12, "yes-or-no": 12}
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 has no place for (§2.2)."""
_HINTS = {
    "date": Words("日期，例如 2026-10-12", "a day, e.g. 2026-10-12"),
    "integer": Words("整数", "a whole number"),
    "number": Words("数字", "a number"),
    "choice": Words("从列表中选择", "one of the list"),
    "choices": Words("可填几项，用“、”分隔", "one or several, with “、” or “;” between them"),
    "yes-or-no": Words("是或者否", "是 (yes) or 否 (no)"),
}


def template(sheet: Sheet) -> bytes:
    """The workbook that is filled in: a page for the requests, one row each, a guide, and the lists to choose from."""
    book = Workbook()
    book.properties.title, book.properties.creator = sheet.title.zh, AUTHOR
    page = book.active
    page.title = REQUESTS
    known = columns(sheet)
    for name, lines in ((GUIDE, _guide(sheet, known)), (ORGANISATIONS, _organisations(sheet))):
        _write(book.create_sheet(name), lines)
    lists = book.create_sheet(LISTS)
    lists.sheet_state = "hidden"
    for at, column in enumerate(known, 1):
        head(page, at, column, sheet)
        if column.field.options:
            _offer(book, at, column.field, sheet.rows)
    page.row_dimensions[MARKS].hidden = True
    page.freeze_panes = page.cell(MARKS + 1, 2)
    return saved(book)


def table(
    title: Words, columns: Sequence[Words], rows: Sequence[Sequence[Value]], language: Literal["zh", "en"] = "zh"
) -> bytes:
    """Rows under titled columns, as a workbook of one page."""
    book = Workbook()
    page = book.active
    said = [words.en if language == "en" else words.zh for words in (title, *columns)]
    page.title = re.sub(r"[\[\]:*?/\\]", " ", _clean(said[0])).strip(" '")[:31] or "1"
    _write(page, [said[1:], *rows])
    page.freeze_panes = "A2"
    return saved(book)


def head(page: Any, at: int, column: Column | None, sheet: Sheet, marks: int = MARKS) -> None:
    """The cells over a column, down to the row `marks`; over that of the problems where there is no other."""
    title = column.title if column else Words("问题", "Problems")
    star = " *" if column and column.required else ""
    sealed = column is not None and column.key.startswith("sealed.")
    above = [title.zh + star, title.en + star][: marks - 1]
    for row, text in enumerate(above, 1):
        cell = put(page, row, at, text)
        cell.font = Font(bold=row == 1, color=None if row == 1 else "00595959")
        cell.fill = colour((_SEALED if sealed else _OPEN) if column else FAULT)
        cell.alignment = Alignment(wrap_text=True, vertical="top")
    put(page, marks, at, f"{sheet.identity} {column.key if column else PROBLEMS}")
    # Excel takes no workbook that says the width of a column twice, alone and among its neighbours.
    if not any((one.min or 0) <= at <= (one.max or 0) for one in page.column_dimensions.values()):
        page.column_dimensions[get_column_letter(at)].width = _WIDTHS.get(column.field.kind, 20) if column else 60
    if column:
        page.column_dimensions[get_column_letter(at)].number_format = _FORMATS.get(column.field.kind, "@")
        note(page.cell(1, at), _help(column))


def _help(column: Column) -> list[Words]:
    field = column.field
    found = [field.help, _HINTS.get(field.kind)]
    if field.required and not column.required:
        found.append(Words("填写本组任何一项时必填", "must be filled in where anything of its group is"))
    if field.kind == "choices":
        found += [words for _, words in field.options]
    if field.longest:
        found.append(Words(f"最多 {field.longest} 个字", f"at most {field.longest} characters"))
    return [words for words in found if words is not None]


def _offer(book: Any, at: int, field: Field, rows: int) -> None:
    """A list to choose from: named, for Excel keeps no longer one in the cell, nor one on another page by its place."""
    titles = Counter(words.zh for _, words in field.options)
    for row, (value, words) in enumerate(field.options, 1):
        put(book[LISTS], row, at, words.zh if titles[words.zh] == 1 else value)
    letter, name = get_column_letter(at), f"xieban_list_{at}"
    place = f"{quote_sheetname(LISTS)}!${letter}$1:${letter}${len(field.options)}"
    book.defined_names[name] = DefinedName(name, attr_text=place)
    check = DataValidation(type="list", formula1=name, allow_blank=True, errorStyle="warning")
    check.showErrorMessage = field.kind != "choices"
    check.error = "不在列表中。Not in the list."
    check.add(f"{letter}{MARKS + 1}:{letter}{MARKS + rows}")
    book[REQUESTS].add_data_validation(check)


def _guide(sheet: Sheet, known: Sequence[Column]) -> Iterator[Sequence[Value]]:
    yield sheet.title
    yield from (
        Words(
            f"在“{REQUESTS}”页中每行填写一件请求，最多 {sheet.rows} 行。",
            f"Write one request in each row of the page “{REQUESTS}”, at most {sheet.rows} rows.",
        ),
        Words("带 * 的列必须填写，每件请求各有理由。", "Columns with * must be filled in; each request has a reason."),
        Words("全部行都正确之前，一件也不会发出。", "Nothing is sent until all rows are right."),
        Words(f"向同一机构每日最多发出 {sheet.daily} 件。", f"At most {sheet.daily} a day go to one organisation."),
        Words("绿色的列是密封内容，只有对方机构能够阅读。", "Green columns are sealed, for the other side alone."),
        Words("请填写数值本身，不要使用公式。列可以移动，隐藏的第 3 行请勿改动。",
              "Write values, no formulas. Columns may be moved; leave the hidden row 3 as it is."),
        Words("含有个人信息，请妥善保管，用后删除。", "It holds personal data: keep it safe, and delete it after use."),
    )  # fmt: skip
    yield ()
    yield "列", "Column", "必填 Required", "填写说明", "How to fill it in"
    for column in known:
        told = [" ".join(half) for half in zip(*_help(column), strict=True)]
        yield (*column.title, "是 yes" if column.required else "", *told)


def _organisations(sheet: Sheet) -> Iterator[Sequence[Value]]:
    yield "机构编号 Id", "名称", "Name"
    for id, words in sheet.organisations:
        yield id, *words


def _write(page: Any, rows: Iterator[Sequence[Value]] | Sequence[Sequence[Value]]) -> None:
    """Rows under a bold first one, with columns as wide as what stands in them, within reason."""
    wide: Counter[int] = Counter()
    for number, row in enumerate(rows, 1):
        for at, value in enumerate(row, 1):
            cell = put(page, number, at, value)
            cell.alignment = Alignment(wrap_text=True, vertical="top")
            cell.font = Font(bold=number == 1)
            # A Chinese character takes the width of two others.
            wide[at] = max(wide[at], sum(2 if ord(one) > 0x2E7F else 1 for one in str(value or "")[:60]))
    for at, width in wide.items():
        page.column_dimensions[get_column_letter(at)].width = min(60, max(10, width + 2))


def put(page: Any, row: int, at: int, value: Value) -> Any:
    """Write a value into a cell: a text as a text, a day as a day, a number that Excel would cut as a text."""
    if isinstance(value, datetime):
        value = value.strftime("%Y-%m-%d %H:%M")
    elif (isinstance(value, date) and value.year < 1901) or (isinstance(value, int) and abs(value) >= 10**15):
        value = str(value)
    cell = page.cell(row, at)
    if isinstance(cell, MergedCell):
        return cell
    cell.value = _clean(value) if isinstance(value, str) else value
    if isinstance(value, str):
        cell.data_type, cell.number_format, cell.quotePrefix = "s", "@", True
    elif isinstance(value, date):
        cell.number_format = _FORMATS["date"]
    return cell


def note(cell: Any, said: Sequence[Words]) -> None:
    text = _clean("\n".join(f"{words.zh} · {words.en}" for words in said))
    if text and not isinstance(cell, MergedCell):
        cell.comment = Comment(text, AUTHOR, height=40 + 20 * (text.count("\n") + len(text) // 40), width=320)


def _clean(text: str) -> str:
    # Excel reads _x0041_ as the character of that number (ISO/IEC 29500-1 §22.9.2.19, ST_Xstring).
    return re.sub(r"_(?=x[0-9A-Fa-f]{4}_)", "_x005F_", _UNWRITABLE.sub("", text))


def colour(colour: str) -> PatternFill:
    return PatternFill("solid", start_color=colour)


def saved(book: Any) -> bytes:
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()
