"""What was put in and what became of it, what was handed out, and the rows of workbooks: a SQLite file of its own.

It says nothing of what the hub took: that is the adapter's store (`adapters.running.store`). Here stands which file an
offer was, so that the same bytes are known again and a file is moved once the hub has said its word.
"""

import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from adapters.exchange import names
from adapters.running.database import opened

Kind = Literal["message", "workbook", "unfit"]
"""A message, a workbook of rows that were offered, or something that can't be offered."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS thing (key TEXT PRIMARY KEY, name TEXT NOT NULL, real BLOB NOT NULL, digest TEXT NOT"
    " NULL, kind TEXT NOT NULL, reference TEXT, placed TEXT, same TEXT UNIQUE, taken INTEGER, moved INTEGER NOT NULL"
    " DEFAULT 0, original BLOB, marked BLOB) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS thing_digest ON thing (digest)",
    "CREATE INDEX IF NOT EXISTS thing_open ON thing (key) WHERE moved = 0",
    "CREATE TABLE IF NOT EXISTS line (key TEXT NOT NULL, number INTEGER NOT NULL, day TEXT NOT NULL, whom TEXT NOT"
    " NULL, same BLOB NOT NULL, outcome TEXT, whose_case TEXT, taken INTEGER, PRIMARY KEY (key, number)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS line_same ON line (same)",
    "CREATE INDEX IF NOT EXISTS line_case ON line (whose_case) WHERE whose_case IS NOT NULL",
    "CREATE TABLE IF NOT EXISTS handed (organisation TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,"
    " PRIMARY KEY (organisation, source, id)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS arrived (day TEXT NOT NULL, organisation TEXT NOT NULL, source TEXT NOT NULL, id TEXT"
    " NOT NULL, cells TEXT NOT NULL, number INTEGER PRIMARY KEY, UNIQUE (organisation, source, id))",
    "CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class Thing:
    """A file that was put in: `name` as it is shown, `real` as the folder has it, `placed` where it is kept after.

    `taken` says what became of it, once that is known; `moved` whether it left `in/`.
    """

    key: str
    name: str
    real: str
    digest: str
    kind: Kind
    reference: str | None = None
    placed: str | None = None
    taken: bool | None = None
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a workbook: to whom, on which day it was offered, what became of it (JSON)."""

    key: str
    number: int
    day: str
    whom: str
    same: bytes
    outcome: dict[str, Any] | None = None


class Ledger:
    """The file; used from one event loop."""

    def __init__(self, folder: Path) -> None:
        """Raises AdapterConfigInvalid."""
        self._alone = threading.RLock()
        self._database = opened(folder, "exchange.db", _TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # What was put in --------------------------------------------------------------------------------------

    def enter(self, thing: Thing, lines: Sequence[Line] = (), original: bytes | None = None,
              marked: bytes | None = None) -> None:  # fmt: skip
        """Note a file before it is offered; again where that was not done before a crash."""
        with self._transaction() as database:
            database.execute("DELETE FROM line WHERE key = ?", (thing.key,))
            database.execute(
                "INSERT OR REPLACE INTO thing (key, name, real, digest, kind, reference, original, marked)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (thing.key, thing.name, names.raw(thing.real), thing.digest, thing.kind, thing.reference, original,
                 marked),
            )  # fmt: skip
            database.executemany(
                "INSERT INTO line (key, number, day, whom, same) VALUES (?, ?, ?, ?, ?)",
                [(thing.key, one.number, one.day, one.whom, one.same) for one in lines],
            )

    def forget(self, key: str) -> None:
        """A file that was noted and never offered: it is looked at anew."""
        with self._transaction() as database:
            database.execute("DELETE FROM line WHERE key = ?", (key,))
            database.execute("DELETE FROM thing WHERE key = ?", (key,))

    def things(self, where: Literal["open", "digest", "key"], value: str = "") -> list[Thing]:
        """Those not moved yet, those of these bytes, or the one of this key."""
        condition = {"open": "moved = 0 AND ? = ''", "digest": "digest = ?", "key": "key = ?"}[where]
        rows = self._database.execute(
            f"SELECT key, name, real, digest, kind, reference, placed, taken, moved FROM thing WHERE {condition}",
            (value,),
        )
        return [_thing(row) for row in rows.fetchall()]

    def place(self, key: str, placed: str, same: str) -> bool:
        """Choose the name by which a file is kept; False where another one has it."""
        try:
            with self._transaction() as database:
                database.execute("UPDATE thing SET placed = ?, same = ? WHERE key = ?", (placed, same, key))
        except sqlite3.IntegrityError:
            return False
        return True

    def decided(self, key: str, taken: bool) -> None:
        """Note what became of a file."""
        with self._transaction() as database:
            database.execute("UPDATE thing SET taken = ? WHERE key = ?", (taken, key))

    def moved(self, key: str) -> None:
        """Note that it is where it stays. What was kept of a workbook all of which was taken goes."""
        with self._transaction() as database:
            database.execute("UPDATE thing SET moved = 1, marked = NULL WHERE key = ?", (key,))
            database.execute(
                "UPDATE thing SET original = NULL WHERE key = ? AND NOT EXISTS"
                " (SELECT 1 FROM line WHERE line.key = thing.key AND taken IS NOT 1)",
                (key,),
            )

    def kept(self, key: str) -> tuple[bytes | None, bytes | None]:
        """A workbook, and its marked copy."""
        row = self._database.execute("SELECT original, marked FROM thing WHERE key = ?", (key,)).fetchone()
        return (row[0], row[1]) if row else (None, None)

    # Rows of workbooks ------------------------------------------------------------------------------------

    def answered(self, key: str, number: int, outcome: dict[str, Any], case: str | None) -> None:
        """Note what became of a row."""
        with self._transaction() as database:
            database.execute(
                "UPDATE line SET outcome = ?, whose_case = ?, taken = ? WHERE key = ? AND number = ?",
                (json.dumps(outcome, ensure_ascii=False), case, case is not None, key, number),
            )

    def lines(self, key: str) -> list[Line]:
        """The rows of a workbook."""
        rows = self._database.execute(
            "SELECT key, number, day, whom, same, outcome FROM line WHERE key = ? ORDER BY number", (key,)
        )
        return [Line(key, number, day, whom, bytes(same), outcome and json.loads(outcome))
                for key, number, day, whom, same, outcome in rows.fetchall()]  # fmt: skip

    def sent(self, day: str) -> dict[str, int]:
        """How many rows went to whom on a day, those that were refused left out."""
        rows = self._database.execute(
            "SELECT whom, count(*) FROM line WHERE day = ? AND taken IS NOT 0 GROUP BY whom", (day,)
        )
        return {str(whom): int(count) for whom, count in rows.fetchall()}

    def earlier(self, same: bytes, since: str) -> str | None:
        """The last day, from `since` on, on which a row that says the same was offered and not refused."""
        row = self._database.execute(
            "SELECT max(day) FROM line WHERE same = ? AND day >= ? AND taken IS NOT 0", (same, since)
        ).fetchone()
        return row[0] and str(row[0])

    def asked_by(self, case: str) -> tuple[str, int] | None:
        """The workbook and the row by which a case was opened."""
        row = self._database.execute(
            "SELECT thing.name, line.number FROM line JOIN thing USING (key) WHERE whose_case = ?", (case,)
        ).fetchone()
        return None if row is None else (str(row[0]), int(row[1]))

    # What was handed out ----------------------------------------------------------------------------------

    def has_handed(self, organisation: str, source: str, id: str) -> bool:
        """Whether the partner was handed this message."""
        found = self._database.execute(
            "SELECT 1 FROM handed WHERE organisation = ? AND source = ? AND id = ?", (organisation, source, id)
        )
        return found.fetchone() is not None

    def hand(self, organisation: str, source: str, id: str, day: str, cells: Sequence[str] | None) -> None:
        """Note that it was, with its cells in the day's workbook."""
        with self._transaction() as database:
            database.execute("INSERT OR IGNORE INTO handed VALUES (?, ?, ?)", (organisation, source, id))
            if cells is not None:
                database.execute(
                    "INSERT OR IGNORE INTO arrived (day, organisation, source, id, cells) VALUES (?, ?, ?, ?, ?)",
                    (day, organisation, source, id, json.dumps(cells, ensure_ascii=False)),
                )

    def arrivals(self) -> dict[str, int]:
        """For each day how many rows its workbook has."""
        rows = self._database.execute("SELECT day, count(*) FROM arrived GROUP BY day ORDER BY day")
        return {str(day): int(count) for day, count in rows.fetchall()}

    def arrived(self, day: str) -> list[list[str]]:
        """The rows of a day's workbook."""
        rows = self._database.execute("SELECT cells FROM arrived WHERE day = ? ORDER BY number", (day,))
        return [json.loads(row[0]) for row in rows.fetchall()]

    def clear(self, day: str) -> None:
        """Keep nothing of a day whose workbook is written and past."""
        with self._transaction() as database:
            database.execute("DELETE FROM arrived WHERE day = ?", (day,))
            database.execute("DELETE FROM note WHERE name = ?", (f"day/{day}",))

    # Notes ------------------------------------------------------------------------------------------------

    def note(self, name: str, value: Any) -> None:
        """Keep a small value."""
        with self._transaction() as database:
            database.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, json.dumps(value)))

    def noted(self, name: str) -> Any:
        """A small value, or None."""
        row = self._database.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._alone:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield self._database


def _thing(row: Sequence[Any]) -> Thing:
    key, name, real, digest, kind, reference, placed, taken, moved = row
    return Thing(key, name, names.unraw(real), digest, kind, reference, placed,
                 None if taken is None else bool(taken), bool(moved))  # fmt: skip
