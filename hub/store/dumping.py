"""The database as `pg_dump` writes it and `pg_restore` reads it, in a stream; the programs are those of the wheel."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterable
from typing import ClassVar, Final
from urllib.parse import quote, unquote, urlsplit

from hub.store.embedded import program
from keys.errors import Fault

PASSING: Final = ("person_session", "person_link", "login_failure")
"""Tables whose rows do not come back: who was logged in is not logged in after a restore."""


class DumpFailed(Fault):
    """PostgreSQL's own program did not write, or read, the database."""

    code: ClassVar[str] = "dump-failed"


async def dump(dsn: str, snapshot: str, part: int) -> AsyncIterator[bytes]:
    """The database as a snapshot sees it, in parts of `part` bytes, the last one shorter. Raises DumpFailed."""
    without = [f"--exclude-table-data={table}" for table in PASSING]
    process = await _start(
        "pg_dump", dsn, "--format=custom", f"--snapshot={snapshot}", "--no-owner", "--no-privileges", *without
    )
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
