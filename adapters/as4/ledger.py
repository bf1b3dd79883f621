"""What was sent and received, in a SQLite file: bytes to send again, receipts, and ids that are known already."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from adapters.as4.packing import Sealed
from adapters.running.database import opened

State = Literal["waiting", "receipted", "failed"]
"""On its way; the partner has signed for it; the partner does not take it."""
FORGET_PULLS: Final = 3600.0
"""Seconds after which the id of a pull request is not needed: its time is refused by then."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS sent (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL,"
    " content_type TEXT NOT NULL, body BLOB, digests TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,"
    " again REAL NOT NULL DEFAULT 0, receipt BLOB, problem TEXT, at REAL NOT NULL)",
    "CREATE INDEX IF NOT EXISTS sent_waiting ON sent (number) WHERE state = 'waiting'",
    "CREATE TABLE IF NOT EXISTS received (id TEXT PRIMARY KEY, digest TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS pulled (id TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID",
)
_SENT: Final = "SELECT id, state, content_type, body, digests, attempts, receipt, problem FROM sent"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of ours; `receipt` is the partner's envelope as it came."""

    id: str
    state: State
    sealed: Sealed
    attempts: int
    receipt: bytes | None
    problem: str | None


class Ledger:
    """The file of one access point, `as4.db` in the adapter's store."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        """Raises AdapterConfigInvalid where the folder can't be used."""
        self._clock = clock
        self._database = opened(folder, "as4.db", _TABLES)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    # Sent -------------------------------------------------------------------------------------------------

    def sent(self, id: str) -> Sent | None:
        """A message of ours."""
        row = self._database.execute(f"{_SENT} WHERE id = ?", (id,)).fetchone()
        return None if row is None else _sent(row)

    def keep(self, id: str, sealed: Sealed) -> Sent:
        """Keep a message before it is sent. The one that is known stays, its bytes are sent again."""
        self._database.execute(
            "INSERT OR IGNORE INTO sent (id, state, content_type, body, digests, at) VALUES (?, 'waiting', ?, ?, ?, ?)",
            (id, sealed.content_type, sealed.body, json.dumps(sorted(sealed.digests)), self._clock()),
        )
        found = self.sent(id)
        assert found is not None
        return found

    def drop(self, id: str) -> None:
        """Forget a message that failed: it is made anew when it is tried again."""
        self._database.execute("DELETE FROM sent WHERE id = ? AND state = 'failed'", (id,))

    def oldest(self) -> Sent | None:
        """The oldest message that may be handed out now."""
        row = self._database.execute(
            f"{_SENT} WHERE state = 'waiting' AND again <= ? ORDER BY number LIMIT 1", (self._clock(),)
        ).fetchone()
        return None if row is None else _sent(row)

    def handed_out(self, id: str, again: float) -> int:
        """Count that a message went out, not to go out again for so many seconds; how often it has by now."""
        self._database.execute(
            "UPDATE sent SET attempts = attempts + 1, again = ? WHERE id = ?", (self._clock() + again, id)
        )
        found = self.sent(id)
        return 0 if found is None else found.attempts

    def receipted(self, id: str, receipt: bytes) -> None:
        """Keep the partner's receipt; the bytes themselves are not needed any more."""
        self._database.execute(
            "UPDATE sent SET state = 'receipted', receipt = ?, body = NULL, problem = NULL"
            " WHERE id = ? AND state <> 'receipted'",
            (receipt, id),
        )

    def failed(self, id: str, problem: str) -> None:
        """Note that the partner does not take a message, and why."""
        self._database.execute(
            "UPDATE sent SET state = 'failed', problem = ?, body = NULL WHERE id = ? AND state = 'waiting'",
            (problem[:500], id),
        )

    # Received ---------------------------------------------------------------------------------------------

    def received(self, id: str) -> str | None:
        """The digest of a message of the partner that was taken."""
        row = self._database.execute("SELECT digest FROM received WHERE id = ?", (id,)).fetchone()
        return None if row is None else str(row[0])

    def take(self, id: str, digest: str) -> None:
        """Know the id of a message that was taken."""
        self._database.execute("INSERT OR IGNORE INTO received VALUES (?, ?, ?)", (id, digest, self._clock()))

    def pull(self, id: str) -> bool:
        """Know the id of a pull request; False where it is known already."""
        now = self._clock()
        self._database.execute("DELETE FROM pulled WHERE at < ?", (now - FORGET_PULLS,))
        return bool(self._database.execute("INSERT OR IGNORE INTO pulled VALUES (?, ?)", (id, now)).rowcount)


def _sent(row: tuple[Any, ...]) -> Sent:
    id, state, content_type, body, digests, attempts, receipt, problem = row
    held = frozenset((str(a), str(b), str(c)) for a, b, c in json.loads(digests))
    return Sent(id, state, Sealed(content_type, body or b"", held), attempts, receipt, problem)
