"""The last checkpoint that left this machine, kept beside the database: what it covers, the database must still have.

Each process writes a file of its own, after the commit and before the receipts leave, so that no lock is needed; every
second it goes through to the disk. The file outlives a process that is killed and a database that is set back; only
together with a loss of power can a second of it be missing (docs/decisions/0037-backup.md).
"""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from hub.identity import PUBLISHED
from hub.store import CONNECTION_LOST, Connection, Pool
from hub.store.queries import SQL
from keys import checkpoint
from keys.checkpoint import Checkpoint
from keys.errors import BadCheckpoint, Fault
from keys.jwk import VerifyingKey

EVERY = 1.0
LENGTH = 1024
"""Bytes of a file: a shorter note leaves nothing of a longer one behind it."""


class LogNotCurrent(Fault):
    """The database is older than what was published; use the newer one, or go on by `xieban restore --not-current`."""

    code: ClassVar[str] = "log-not-current"


class DatabaseElsewhere(Fault):
    """The database is empty: this hub's log lies in another one."""

    code: ClassVar[str] = "database-elsewhere"


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint that was published."""

    checkpoint: Checkpoint
    note: str


class Published:
    """This process's file. What is noted is never smaller than before, as long as the origin stays."""

    def __init__(self, data: Path) -> None:
        folder = data / PUBLISHED
        folder.mkdir(mode=0o700, exist_ok=True)
        self._file = os.open(folder / str(os.getpid()), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._origin, self._size = "", -1

    def note(self, origin: str, size: int, note: str) -> None:
        """Keep the checkpoint, where it is larger than the last; it survives this process at once."""
        if (origin, size) == (self._origin, self._size) or (origin == self._origin and size < self._size):
            return
        self._origin, self._size = origin, size
        os.pwrite(self._file, note.encode().ljust(LENGTH, b"\n"), 0)

    def require_current(self, origin: str, size: int) -> None:
        """Raise LogNotCurrent where the database has fewer entries than this process has published."""
        if origin == self._origin and size < self._size:
            raise LogNotCurrent(f"the log has {size} entries; {self._size} were published")

    async def keep_for_ever(self, pool: Pool) -> None:
        """Note what other processes entered, and have it on disk, every second."""
        while True:
            with contextlib.suppress(*CONNECTION_LOST):
                async with pool.acquire() as connection:
                    head = await connection.fetchrow(SQL["head"])
                assert head is not None
                self.note(head["origin"], head["size"], head["note"])
                await asyncio.to_thread(os.fdatasync, self._file)
            await asyncio.sleep(EVERY)


def kept(data: Path, keys: Sequence[VerifyingKey]) -> list[Kept]:
    """What was published from this data directory, as far as it is whole and signed with one of `keys`."""
    found = []
    for file in sorted((data / PUBLISHED).glob("*")):
        # A hub that starts gathers them; one of a process that was killed at once may be empty.
        with contextlib.suppress(FileNotFoundError, BadCheckpoint):
            note = file.read_text("utf-8", "replace").rstrip("\n") + "\n"
            found.append(Kept(checkpoint.verify_checkpoint(note, keys), note))
    return found


def gather(data: Path, keys: Sequence[VerifyingKey]) -> None:
    """Put the largest of each origin in one file, for no process writes the others any more."""
    folder, newest = data / PUBLISHED, dict[str, Kept]()
    for one in kept(data, keys):
        known = newest.get(one.checkpoint.origin)
        if known is None or known.checkpoint.size < one.checkpoint.size:
            newest[one.checkpoint.origin] = one
    folder.mkdir(mode=0o700, exist_ok=True)
    old = set(folder.glob("*"))
    for one in newest.values():
        place = folder / f"last-{one.checkpoint.origin.rpartition('/')[2]}"
        temporary = folder / f".{place.name}"
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(one.note)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(place)
        old.discard(place)
    for stale in old:
        stale.unlink(missing_ok=True)


async def filled(connection: Connection) -> bool:
    """Whether there is a log in the database, whatever its schema."""
    made = await connection.fetchval("SELECT to_regclass('log_head') IS NOT NULL")
    return bool(made and await connection.fetchval("SELECT EXISTS (SELECT FROM log_head)"))


async def require_made(connection: Connection) -> None:
    """Raise DatabaseElsewhere where the database has none of a hub's tables."""
    if await connection.fetchval("SELECT to_regclass('migration') IS NULL"):
        raise DatabaseElsewhere(
            "the database has no hub's tables: [database] url names another one than the hub's; or the hub is new, and"
            " xieban serve makes them"
        )


async def require_filled(connection: Connection, published: Sequence[Kept]) -> None:
    """Raise DatabaseElsewhere where the database is empty and entries were published; asked before a migration."""
    size = max((one.checkpoint.size for one in published), default=0)
    if size == 0:
        return
    if not await filled(connection):
        raise DatabaseElsewhere(
            f"the database is empty, and this hub has published {size} entries: [database] url names another one than"
            " before; xieban backup --final and xieban restore --moved take a hub from one database to another"
        )


async def require_current(connection: Connection, published: Sequence[Kept]) -> None:
    """Raise LogNotCurrent unless the database's log has every checkpoint that was published, or names it as lost."""
    if (missing := await lost(connection, published)) is not None:
        raise LogNotCurrent(
            f"the database's log lacks the checkpoint of {missing.checkpoint.size} entries that was published under"
            f" {missing.checkpoint.origin}; if no newer database can be had: xieban restore --not-current",
            published=missing.note,
        )


async def lost(connection: Connection, published: Sequence[Kept]) -> Kept | None:
    """The largest published checkpoint that the database's log lacks, under its present origin or one it never had."""
    head = await connection.fetchrow(SQL["head"])
    if head is None:
        return max(published, key=lambda one: one.checkpoint.size, default=None)
    earlier = {row["origin"] for row in await connection.fetch(SQL["origins"])} - {head["origin"]}
    missing = []
    for one in published:
        size = one.checkpoint.size
        if size == 0 or one.checkpoint.origin in earlier:
            continue  # what an earlier origin signed beyond its end was given up when it ended
        (row,) = await connection.fetch(SQL["checkpoints"], [size]) or [None]
        if row is None or checkpoint.parse_body(checkpoint.open_note(row["note"])[0]) != one.checkpoint:
            missing.append(one)
    return max(missing, key=lambda one: one.checkpoint.size, default=None)
