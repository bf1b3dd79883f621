"""What the log says was erased: that much may be missing, and no more."""

from datetime import datetime

from hub.audit.page import Page
from hub.store import Connection
from hub.store.queries import SQL
from protocols import entries
from protocols.entries import Carried, Erased


class Erasures:
    """Knows beforehand what was erased; holds the table `erasure` against the entries, and each month's rest."""

    def __init__(self) -> None:
        self._cases: dict[str, int] = {}
        self._months: dict[str, tuple[int, int]] = {}
        self._rows: dict[int, Erased] = {}
        self._left: dict[str, int] = {}
        self.touched: set[str] = set()
        """Cases of which something is missing."""

    async def prepare(self, connection: Connection) -> None:
        """Read what is said to have been erased; whether the log says so too is seen on the way."""
        rows = [row["log_index"] for row in await connection.fetch(SQL["erasures"])]
        for row in await connection.fetch(SQL["entries"], rows):
            entry = entries.decode(row["leaf"])
            if not isinstance(entry, Erased):
                continue
            self._rows[row["index"]] = entry
            if entry.case is not None:
                self._cases[entry.case] = max(row["index"], self._cases.get(entry.case, 0))
            elif entry.month is not None:
                self._months[entry.month] = max((row["index"], entry.kept or 0), self._months.get(entry.month, (0, 0)))

    def missing(self, index: int, entry: Carried) -> bool:
        """Whether the message of this entry may be gone; it is noted as gone."""
        month, _ = self._months.get(_month(entry), (0, 0))
        case = self._cases.get(entry.subject, 0)
        if index >= max(case, month):
            return False
        self.touched.add(entry.subject)
        if index < month < case:
            self._left[_month(entry)] = self._left.get(_month(entry), 0) + 1
        return True

    def present(self, index: int, entry: Carried) -> list[str]:
        """A message that is there although its case was erased."""
        month, _ = self._months.get(_month(entry), (0, 0))
        if index < month:
            self._left[_month(entry)] = self._left.get(_month(entry), 0) + 1
        gone = index < self._cases.get(entry.subject, 0)
        return [f"message at {index} is there, though its case was erased"] if gone else []

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """The erasures of a stretch are in the table."""
        found = []
        for index, entry in page.entries.items():
            if isinstance(entry, Erased) and self._rows.pop(index, None) != entry:
                found.append(f"entry {index} erases what the store does not know to be erased")
        return found

    async def finish(self, connection: Connection) -> list[str]:
        """Nothing is said to be erased that the log does not; of each month what was kept is there."""
        found = [f"the store says that entry {index} erased something; it did not" for index in self._rows]
        for month, (_, kept) in sorted(self._months.items()):
            left = self._left.get(month, 0)
            if left != kept:
                found.append(f"of {month} {kept} messages were kept, and {left} are there")
        return found


def _month(entry: Carried) -> str:
    return f"{datetime.fromisoformat(entry.at):%Y-%m}"
