"""Excel workbooks (ISO/IEC 29500) of many requests at once: made from a message's forms, read back row by row.

Nothing here knows a protocol, sends anything or touches a file: bytes go in and come out. A sheet's columns are the
leaves of the forms (`columns`), what comes from outside is let in by `admission`, a filled-in sheet becomes rows of
data with what is wrong in them (`reading`), and `writing` makes the template, the marked copy and plain tables.
It loads openpyxl, which takes a fifth of a second: import it where it is wanted. Reading takes up to a second or two
for the largest workbook: do it in a thread.
"""

from adapters.desk.workbook.admission import WorkbookInvalid
from adapters.desk.workbook.columns import Column, Finding, Row, Sheet, columns, judged
from adapters.desk.workbook.reading import read
from adapters.desk.workbook.writing import marked, table, template

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
    "table",
    "template",
]
