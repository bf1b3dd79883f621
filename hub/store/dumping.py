"""The database as `pg_dump` writes it and `psql` takes it, in a stream; the programs are those of the wheel.

`pg_restore` makes a script of the dump rather than fill the database itself, for it says what not every server takes:
filling one itself, it would fail at the PostgreSQL that Debian 12 comes with. The rows of a table that is spread over a
cluster are read and written apart, in the text format of COPY.
"""

import asyncio
import os
import re
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
_LEFT_OUT: Final = re.compile(
    rb"SET transaction_timeout = 0;\n|ALTER TABLE ONLY \S+ ALTER COLUMN \S+ SET \(pg_attver=\d+\);\n"
)
"""Lines before the first rows that not every server takes: a setting that there is from PostgreSQL 17 on, and what
security releases note of a column for themselves, which an older `pg_dump` takes for an option of it."""
_PART: Final = 1 << 20


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

    def __init__(self, reading: asyncio.subprocess.Process, filling: asyncio.subprocess.Process) -> None:
        self._reading, self._filling = reading, filling
        self._passing = asyncio.create_task(_pass_on(reading, filling))

    @classmethod
    async def begin(cls, dsn: str) -> "Restoring":
        """Start to fill the database, which is empty."""
        reading = await _start("pg_restore", None, "--no-owner", "--no-privileges", "--file=-")
        quiet = "--no-psqlrc", "--quiet", "--output=/dev/null"
        return cls(reading, await _start("psql", dsn, *quiet, "--set=ON_ERROR_STOP=1"))

    async def write(self, parts: Iterable[bytes]) -> None:
        """The next bytes of the dump. Raises DumpFailed where PostgreSQL does not take them."""
        assert self._reading.stdin is not None
        for part in parts:
            try:
                self._reading.stdin.write(part)
                await self._reading.stdin.drain()
            except OSError:
                await self._require_ended()
                raise DumpFailed("pg_restore stopped before the end") from None

    async def finish(self) -> None:
        """The dump is at its end, and is committed. Raises DumpFailed."""
        assert self._reading.stdin is not None
        self._reading.stdin.close()
        await self._require_ended()

    async def abandon(self) -> None:
        """Leave the database as it was, unless the dump is in it whole."""
        self._passing.cancel()
        await asyncio.wait([self._passing])
        for process in (self._filling, self._reading):
            if process.returncode is None:
                process.kill()
            assert process.stdin is not None
            process.stdin.close()
            await process.communicate()  # one that is waited for with its pipe full is never seen to end

    async def _require_ended(self) -> None:
        await self._passing
        assert self._filling.stdin is not None
        if self._filling.returncode is None:
            # Only now, when the dump was read whole: what ends before it, for whatever reason, leaves nothing.
            await _ended(self._reading, "pg_restore")
            self._filling.stdin.write(b"COMMIT;\n")
            self._filling.stdin.close()
        await _ended(self._filling, "psql")


async def _pass_on(reading: asyncio.subprocess.Process, filling: asyncio.subprocess.Process) -> None:
    """The script, until it ends or psql takes no more of it; then what reads it has nobody to write to either."""
    assert reading.stdout is not None and filling.stdin is not None
    try:
        filling.stdin.write(b"BEGIN;\n")
        rows = False
        while not rows and (line := await reading.stdout.readline()):
            rows = line.startswith(b"COPY ")
            if not _LEFT_OUT.fullmatch(line):
                filling.stdin.write(line)
        while part := await reading.stdout.read(_PART):
            filling.stdin.write(part)
            await filling.stdin.drain()
    except OSError:
        await filling.wait()
        reading.kill()


async def _start(name: str, dsn: str | None, *options: str) -> asyncio.subprocess.Process:
    """A program, on the database if it is on one; a password is not for the list of processes to show."""
    address, password = _without_password(dsn) if dsn is not None else (None, None)
    environment = os.environ | ({"PGPASSWORD": password} if password is not None else {})
    command = program(name), *options, *(("--no-password", "--dbname", address) if address is not None else ())
    return await asyncio.create_subprocess_exec(
        *map(str, command), stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
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
