"""Whose number is which case: the platform's case numbers and our case ids, one to one, in a file of the adapter's."""

from pathlib import Path
from typing import ClassVar, Final

from adapters.running.database import opened
from keys.errors import Fault
from protocols.envelope import new_id

_TABLE: Final = "CREATE TABLE IF NOT EXISTS pair (number TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE) WITHOUT ROWID"


class NumberTaken(Fault):
    """This number, or this case, already belongs to another one."""

    code: ClassVar[str] = "number-taken"


class CaseNumbers:
    """The pairs of one platform. Each is on disk before anything is said that relies on it."""

    def __init__(self, folder: Path) -> None:
        """Raises AdapterConfigInvalid where the folder can't be used."""
        self._database = opened(folder, "case-numbers.db", [_TABLE])

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def case(self, number: str) -> str | None:
        """The case with this number."""
        row = self._database.execute("SELECT id FROM pair WHERE number = ?", (number,)).fetchone()
        return None if row is None else str(row[0])

    def number(self, case: str) -> str | None:
        """The number of this case."""
        row = self._database.execute("SELECT number FROM pair WHERE id = ?", (case,)).fetchone()
        return None if row is None else str(row[0])

    def reserve(self, number: str) -> str:
        """The case with this number; a new id where there is none, which the same number has from now on."""
        self._database.execute("INSERT OR IGNORE INTO pair VALUES (?, ?)", (number, new_id()))
        found = self.case(number)
        assert found is not None
        return found

    def link(self, number: str, case: str) -> None:
        """Keep that a case has this number. Raises NumberTaken."""
        self._database.execute("INSERT OR IGNORE INTO pair VALUES (?, ?)", (number, case))
        if self.case(number) != case:
            raise NumberTaken(f"the number {number[:60]} belongs to another case, or {case} has another number")
