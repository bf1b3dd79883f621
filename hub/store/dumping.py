"""The database as `pg_dump` writes it and `pg_restore` reads it, in a stream; the programs are those of the wheel.

The rows of a table that is spread over a cluster are read and written apart, in the text format of COPY.
"""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import ClassVar, Final
from urllib.parse import quote, unquote, urlsplit

import asyncpg

from hub.store import Connection
from hub.store.embedded import program
from keys.errors import Fault

PASSING: Final = ("person_session", "person_link", "login_failure")
"""Tables whose rows do not come back: who was logged in is not logged in after a restore."""


class DumpFailed(Fault):
    """PostgreSQL's own program did not write, or read, the database."""

    code: ClassVar[str] = "dump-failed"


async def dump(dsn: str, snapshot: str, part: int, spread: Sequence[str] = ()) -> AsyncIterator[bytes]:
    """The database as a snapshot sees it, in parts of `part` bytes, the last one shorter. Raises DumpFailed.

    Without the rows of tables that are `spread` over a cluster, and without extensions: none is of the hub's schema.
    """
    without = [f"--exclude-table-data-and-children={table}" for table in (*PASSING, *spread)]
    options = "--format=custom", f"--snapshot={snapshot}", "--no-owner", "--no-privileges", "--exclude-extension=*"
    process = await _start("pg_dump", dsn, *options, *without)
    assert process.stdout is not None
    try:
        while True:
            try:
                yield await process.stdout.readexactly(part)
            except asyncio.IncompleteReadError as last:
                if last.partial:
                    yield last.partial
                break
        await _ended(process, "pg_dump")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def rows(connection: Connection, table: str, part: int, taken: Callable[[bytes], None]) -> None:
    """Hand the rows of a table to `taken`, in pieces of about `part` bytes that end where a row does.

    Shard after shard, past the coordinator's memory (Citus does so for COPY of a table, not of a query).
    """
    kept = bytearray()

    async def take(more: bytes) -> None:
        kept.extend(more)
        # Within a value the end of a line is escaped (PostgreSQL, COPY, "Text Format").
        if len(kept) >= part and (end := kept.rfind(b"\n") + 1):
            taken(bytes(kept[:end]))
            del kept[:end]

    await connection.copy_from_table(table, output=take, format="text", timeout=None)
    if kept:
        taken(bytes(kept))


async def put_rows(connection: Connection, table: str, parts: Iterable[bytes]) -> None:
    """Write rows, as `rows` gave them, into a table. Raises DumpFailed."""

    async def each() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    try:
        await connection.copy_to_table(table, source=each(), format="text", timeout=None)
    except (OSError, asyncpg.PostgresError) as error:
        raise DumpFailed(f"{table}: {error}") from error


class Restoring:
    """A database that is filled from a dump; all of it or nothing."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def begin(cls, dsn: str) -> "Restoring":
        """Start to fill the database, which is empty."""
        options = "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"
        return cls(await _start("pg_restore", dsn, *options))

    async def write(self, parts: Iterable[bytes]) -> None:
        """The next bytes of the dump. Raises DumpFailed where PostgreSQL does not take them."""
        assert self._process.stdin is not None
        for part in parts:
            try:
                self._process.stdin.write(part)
                await self._process.stdin.drain()
            except OSError:
                await _ended(self._process, "pg_restore")
                raise DumpFailed("pg_restore stopped before the end") from None

    async def finish(self) -> None:
        """The dump is at its end. Raises DumpFailed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await _ended(self._process, "pg_restore")

    async def abandon(self) -> None:
        """Leave the database as it was."""
        if self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def _start(name: str, dsn: str, *options: str) -> asyncio.subprocess.Process:
    """A program on the database; a password is not for the list of processes to show."""
    address, password = _without_password(dsn)
    environment = os.environ | ({"PGPASSWORD": password} if password is not None else {})
    reads = name == "pg_restore"
    command = program(name), *options, "--dbname", address
    return await asyncio.create_subprocess_exec(
        *map(str, command), stdin=PIPE if reads else None, stdout=None if reads else PIPE, stderr=PIPE, env=environment
    )


def _without_password(dsn: str) -> tuple[str, str | None]:
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn, None
    user, _, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{quote(unquote(user.partition(':')[0]))}@{host}").geturl(), unquote(parts.password)


async def _ended(process: asyncio.subprocess.Process, name: str) -> None:
    assert process.stderr is not None
    said = (await process.stderr.read()).decode(errors="replace")
    if await process.wait() != 0:
        raise DumpFailed(f"{name}: {said.strip()[-500:]}")
