"""Excel workbooks (ISO/IEC 29500) of many requests at once: made from a message's forms, read back row by row.

Nothing here sends anything or touches a file: bytes go in and come out. A sheet's columns are the leaves of the forms
(`columns`), what comes from outside is let in by `admission`, a filled-in sheet becomes rows of data with what is wrong
in them (`reading`), `writing` makes the template and plain tables, `marking` a copy with what is
wrong or what became of each row, and `many` (which does know the catalogue) says what may be asked so, and judges it.
It loads openpyxl, which takes a fifth of a second: import it where it is wanted. Reading takes up to a second or two
for the largest workbook: do it in a thread.
"""

from adapters.workbook.admission import WorkbookInvalid
from adapters.workbook.columns import Column, Finding, Row, Sheet, columns, judged
from adapters.workbook.marking import marked, returned
from adapters.workbook.reading import read
from adapters.workbook.writing import table, template

__all__ = [
    "Column",
    "Finding",
    "Row",
    "Sheet",
    "WorkbookInvalid",
    "columns",
    "judged",
    "marked",
    "read",
    "returned",
    "table",
    "template",
]
