"""What an adapter did, in a SQLite file: cursors, offers with their signed bytes, back-off, when a side last spoke."""

import json
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from adapters.running.database import opened
from adapters.running.partner import Offer

State = Literal["new", "signed", "taken", "refused", "settled"]
"""Come in; signed and kept; taken or refused by the hub; the partner knows."""
OPEN: Final[tuple[State, ...]] = ("new", "signed", "taken", "refused")
FIRST: Final = 1.0
LONGEST: Final = 900.0
"""Seconds of the first and of the longest pause."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS note (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS offer (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, state TEXT NOT NULL,"
    " body BLOB NOT NULL, id TEXT, compact BLOB, receipt BLOB, problem TEXT, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS offer_open ON offer (number) WHERE state <> 'settled'",
    "CREATE TABLE IF NOT EXISTS backoff (way TEXT PRIMARY KEY, failures INTEGER NOT NULL, until REAL NOT NULL,"
    " why TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS again (organisation TEXT NOT NULL, source TEXT NOT NULL, id TEXT NOT NULL,"
    " PRIMARY KEY (organisation, source, id)) WITHOUT ROWID",
)


@dataclass(frozen=True, slots=True)
class Kept:
    """An offer with what was done about it."""

    offer: Offer
    state: State
    id: str | None
    compact: bytes | None
    receipt: Any
    problem: str | None


@dataclass(frozen=True, slots=True)
class Backoff:
    """A way that is not tried before a moment (seconds since 1970), after so many failures in a row, and why."""

    way: str
    failures: int
    until: float
    why: str


class Store:
    """The file of one adapter; a second process may look into it, and reset what is in it, while the first runs."""

    def __init__(self, folder: Path) -> None:
        """Raises AdapterConfigInvalid where the folder can't be used."""
        self.folder = folder
        self._alone = threading.RLock()
        self._database = opened(folder, "adapter.db", _TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # Notes ------------------------------------------------------------------------------------------------

    def note(self, name: str, value: Any) -> None:
        """Keep a small value."""
        with self._transaction():
            self._note(name, value)

    def noted(self, name: str) -> Any:
        """A small value, or None."""
        row = self._database.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def notes(self, begins: str) -> dict[str, Any]:
        """Every small value whose name begins like this."""
        rows = self._database.execute(
            "SELECT name, value FROM note WHERE substr(name, 1, ?) = ?", (len(begins), begins)
        )
        return {str(name): json.loads(value) for name, value in rows.fetchall()}

    # Offers -----------------------------------------------------------------------------------------------

    def take(self, offers: Sequence[Offer], cursor: str | None = None) -> int:
        """Keep what a partner offered, and how far it was asked, in one step; how many were not known yet."""
        with self._transaction():
            before = self._database.total_changes
            for offer in offers:
                self._database.execute(
                    "INSERT OR IGNORE INTO offer (key, state, body, at) VALUES (?, 'new', ?, ?)",
                    (offer.key, msgspec.json.encode(offer), time.time()),
                )
            fresh = self._database.total_changes - before
            if cursor is not None:
                self._note("cursor/partner", cursor)
        return fresh

    def offers(self, *states: State, limit: int = 100) -> list[Kept]:
        """Offers in one of these states, in the order they came."""
        marks = ", ".join("?" * len(states))
        rows = self._database.execute(
            f"SELECT body, state, id, compact, receipt, problem FROM offer WHERE state <> 'settled'"
            f" AND state IN ({marks}) ORDER BY number LIMIT ?",
            (*states, limit),
        )
        return [_kept(row) for row in rows.fetchall()]

    def offer(self, key: str) -> Kept | None:
        """One offer, whatever its state."""
        row = self._database.execute(
            "SELECT body, state, id, compact, receipt, problem FROM offer WHERE key = ?", (key,)
        ).fetchone()
        return None if row is None else _kept(row)

    def signed(self, key: str, id: str, compact: bytes) -> None:
        """Keep the bytes that are sent for an offer, before they are."""
        self._change("UPDATE offer SET state = 'signed', id = ?, compact = ? WHERE key = ?", (id, compact, key))

    def decided(self, key: str, receipt: Any, problem: str | None) -> None:
        """Keep what the hub said to it."""
        state, body = ("taken", msgspec.json.encode(receipt)) if receipt is not None else ("refused", None)
        self._change("UPDATE offer SET state = ?, receipt = ?, problem = ? WHERE key = ?", (state, body, problem, key))

    def settled(self, key: str) -> None:
        """Note that the partner knows; what was signed and offered is not needed any more."""
        empty = msgspec.json.encode(Offer(key=key))
        self._change("UPDATE offer SET state = 'settled', body = ?, compact = NULL WHERE key = ?", (empty, key))

    def renew(self, offer: Offer) -> None:
        """Try a refused offer again, as it is now."""
        self._change(
            "INSERT INTO offer (key, state, body, at) VALUES (?, 'new', ?, ?) ON CONFLICT (key) DO UPDATE"
            " SET state = 'new', body = excluded.body, id = NULL, compact = NULL, receipt = NULL, problem = NULL"
            " WHERE state IN ('refused', 'settled') AND receipt IS NULL",
            (offer.key, msgspec.json.encode(offer), time.time()),
        )

    def counted(self) -> dict[str, int]:
        """How many offers are in which state."""
        rows = self._database.execute("SELECT state, count(*) FROM offer GROUP BY state").fetchall()
        return {str(state): int(count) for state, count in rows}

    # Deliveries to be made again --------------------------------------------------------------------------

    def want_again(self, organisation: str, source: str, id: str) -> None:
        """Have a message delivered again."""
        self._change("INSERT OR IGNORE INTO again VALUES (?, ?, ?)", (organisation, source, id))

    def wanted_again(self) -> list[tuple[str, str, str]]:
        """Which messages are to be delivered again."""
        return [(str(a), str(b), str(c)) for a, b, c in self._database.execute("SELECT * FROM again").fetchall()]

    def done_again(self, organisation: str, source: str, id: str) -> None:
        """Note that one of them was."""
        self._change("DELETE FROM again WHERE organisation = ? AND source = ? AND id = ?", (organisation, source, id))

    # Back-off ---------------------------------------------------------------------------------------------

    def failed(self, way: str, why: str, asked: float | None = None) -> float:
        """Note that a way failed once more; for how many seconds it is left alone, doubled each time."""
        row = self._database.execute("SELECT failures FROM backoff WHERE way = ?", (way,)).fetchone()
        failures = int(row[0]) + 1 if row else 1
        pause = max(min(FIRST * 2.0 ** min(failures - 1, 20), LONGEST), min(asked or 0.0, 4 * LONGEST))
        self._change(
            "INSERT OR REPLACE INTO backoff VALUES (?, ?, ?, ?)", (way, failures, time.time() + pause, why[:500])
        )
        return pause

    def succeeded(self, way: str) -> None:
        """Note that a way works, or that its partner spoke."""
        if self._database.execute("SELECT 1 FROM backoff WHERE way = ?", (way,)).fetchone():
            self._change("DELETE FROM backoff WHERE way = ?", (way,))
        self.note(f"spoke/{way}", time.time())

    def reset(self, way: str | None = None) -> int:
        """Try at once again, by hand; how many ways were waiting."""
        with self._transaction():
            found = self._database.execute("DELETE FROM backoff WHERE ? IS NULL OR way = ?", (way, way))
            return found.rowcount

    def waiting(self) -> list[Backoff]:
        """The ways that failed last."""
        rows = self._database.execute("SELECT way, failures, until, why FROM backoff ORDER BY way").fetchall()
        return [Backoff(str(way), int(failures), float(until), str(why)) for way, failures, until, why in rows]

    def until(self, way: str) -> float:
        """When a way may be tried again, in seconds since 1970; 0 for at once."""
        row = self._database.execute("SELECT until FROM backoff WHERE way = ?", (way,)).fetchone()
        return float(row[0]) if row else 0.0

    def _note(self, name: str, value: Any) -> None:
        self._database.execute("INSERT OR REPLACE INTO note VALUES (?, ?)", (name, json.dumps(value)))

    def _change(self, statement: str, values: Sequence[Any]) -> None:
        with self._transaction():
            self._database.execute(statement, values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._alone:
            self._database.execute("BEGIN IMMEDIATE")
            with self._database:
                yield


def _kept(row: Sequence[Any]) -> Kept:
    body, state, id, compact, receipt, problem = row
    return Kept(msgspec.json.decode(body, type=Offer), state, id, compact and bytes(compact),
                receipt and msgspec.json.decode(receipt), problem)  # fmt: skip
