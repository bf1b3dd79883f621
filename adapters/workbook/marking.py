"""Copies of a filled-in workbook: with what is wrong in it, or with what became of each request."""

from collections.abc import Mapping, Sequence
from typing import Any

from openpyxl.cell import MergedCell
from openpyxl.styles import Alignment, Font, PatternFill

from adapters.desk.forms import Words
from adapters.workbook.admission import TOO_MUCH, WorkbookInvalid, parsing
from adapters.workbook.columns import PROBLEMS, Row, Sheet
from adapters.workbook.reading import NO_SHEET, Place, opened, placed
from adapters.workbook.writing import AUTHOR, FAULT, colour, head, note, put, saved


def marked(sheet: Sheet, content: bytes, rows: Sequence[Row]) -> bytes:
    """A copy of a filled-in workbook with a column of what is wrong, and each cell at fault coloured and commented.

    What an earlier copy was marked with is gone. Raises WorkbookInvalid as `read` does.
    """
    book = opened(content, read_only=False)
    with parsing():
        page, place = _found(sheet, book)
        _unmark(page, place)
        at = place.columns.get(PROBLEMS) or _free(page)
        head(page, at, None, sheet, place.row)
        for row in rows:
            if row.findings:
                _mark(page, place, row, at)
        return saved(book)


def returned(sheet: Sheet, content: bytes, titles: Sequence[Words], said: Mapping[int, Sequence[str]]) -> bytes:
    """A copy with further columns of these titles: what is `said` of each row, by its number.

    Nothing stands in the hidden row above them, so that they are never read. Raises WorkbookInvalid as `read` does.
    """
    book = opened(content, read_only=False)
    with parsing():
        page, place = _found(sheet, book)
        first = _free(page)
        for at, title in enumerate(titles, first):
            for row, text in enumerate([title.zh, title.en][: place.row - 1], 1):
                put(page, row, at, text).font = Font(bold=row == 1)
        for number, values in said.items():
            for at, value in enumerate(values, first):
                put(page, number, at, value).alignment = Alignment(wrap_text=True, vertical="top")
        return saved(book)


def _found(sheet: Sheet, book: Any) -> tuple[Any, Place]:
    for page in book.worksheets:
        place = placed(sheet, ((row, at, cell.value) for (row, at), cell in sorted(_standing(page).items())))
        if place is not None:
            return page, place
    raise WorkbookInvalid(NO_SHEET)


def _standing(page: Any) -> dict[tuple[int, int], Any]:
    """The cells that there are; to ask openpyxl for a range would make those that there are not."""
    return dict(page._cells)


def _unmark(page: Any, place: Place) -> None:
    for (row, at), cell in _standing(page).items():
        if row > place.row and not isinstance(cell, MergedCell):
            if at == place.columns.get(PROBLEMS):
                cell.value = None
            if cell.comment is not None and cell.comment.author == AUTHOR:
                cell.comment = None
            if cell.fill.start_color.rgb == FAULT:
                cell.fill = PatternFill()


def _free(page: Any) -> int:
    """The first column with nothing in it or right of it."""
    free = 1 + max((at for (_, at), cell in _standing(page).items() if cell.value is not None), default=0)
    if free > 16384:
        raise WorkbookInvalid(TOO_MUCH)
    return free


def _mark(page: Any, place: Place, row: Row, at: int) -> None:
    lines = [f"{one.column_title.zh}：{one.words.zh} · {one.column_title.en}: {one.words.en}" for one in row.findings]
    put(page, row.number, at, "\n".join(lines)).alignment = Alignment(wrap_text=True, vertical="top")
    by_column: dict[str, list[Words]] = {}
    for one in row.findings:
        by_column.setdefault(one.column_key, []).append(one.words)
    for key in by_column.keys() & place.columns.keys():
        cell = page.cell(row.number, place.columns[key])
        cell.fill = colour(FAULT)
        if cell.comment is None:
            note(cell, by_column[key])
