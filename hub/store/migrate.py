"""Migrations: each applied once, in order, under a lock, and never changed afterwards; and the way back to a release.

All of a run is one transaction: one that is interrupted, or fails, leaves the database as it was.
"""

import hashlib
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import asyncpg
import msgspec
import structlog

from hub.store import Connection, connecting
from keys.errors import Fault

logger = structlog.get_logger()
FOLDER = Path(__file__).parent / "migrations"
DOWN = "down"
"""The folder, in that of the migrations, of each one's way back."""
LOCK = 0x7869656261
Told = Callable[[str, float], None]
"""Told of each migration that was run, or taken back, and how many seconds that took."""


class MigrationMismatch(Fault):
    """The database was made by other migrations than this version's."""

    code: ClassVar[str] = "migration-mismatch"


class SchemaOutdated(Fault):
    """The database is of an older version; bring it up to date with xieban store migrate, or start the hub."""

    code: ClassVar[str] = "schema-outdated"


class DowngradeRefused(Fault):
    """The database can't go back to that version without losing what it holds; nothing was changed."""

    code: ClassVar[str] = "downgrade-refused"


class Release(msgspec.Struct, frozen=True):
    """A released version, and the last migration that it has."""

    version: str
    through: str


class Schema(msgspec.Struct, frozen=True):
    """What a database's schema is: the migrations it has, those it lacks, and the newest release it has reached."""

    applied: list[str]
    missing: list[str]
    release: str | None


def releases() -> list[Release]:
    """The released versions, oldest first."""
    read = tomllib.loads(Path(__file__).with_name("releases.toml").read_text("utf-8"))
    return msgspec.convert(read["release"], list[Release])


async def migrate(
    connection: Connection, folder: Path = FOLDER, through: str | None = None, told: Told | None = None
) -> list[str]:
    """Apply what is missing, as far as the migration `through`; the names applied. Raises MigrationMismatch."""
    files, taken = _files(folder), dict[str, float]()
    async with connection.transaction():
        await _lock(connection)
        await connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 text NOT NULL)")
        done = await _applied(connection, files)
        missing = [name for name in files if name not in done and (through is None or name <= through)]
        for name in missing:
            began = time.monotonic()
            await connection.execute(files[name])
            await connection.execute("INSERT INTO migration VALUES ($1, $2)", name, _digest(files[name]))
            taken[name] = time.monotonic() - began
            if told is not None:
                told(name, taken[name])
    _note("migration-applied", taken)
    return missing


async def downgrade(
    connection: Connection, release: Release, folder: Path = FOLDER, told: Told | None = None
) -> list[str]:
    """Go back to the schema of an earlier release, the newest migration first; the names of those taken back.

    Raises MigrationMismatch, and DowngradeRefused where something would be lost.
    """
    files, taken = _files(folder), dict[str, float]()
    async with connection.transaction():
        await _lock(connection)
        done = await _applied(connection, files)
        if release.through not in done:
            raise DowngradeRefused(f"the database is older than {release.version}")
        back = sorted((name for name in done if name > release.through), reverse=True)
        for name in back:
            began = time.monotonic()
            await _take_back(connection, name, folder / DOWN / f"{name}.sql")
            taken[name] = time.monotonic() - began
    # One that is refused on the way is refused whole: what was done until then is not said to be.
    for name, seconds in taken.items():
        if told is not None:
            told(name, seconds)
    _note("migration-taken-back", taken)
    return back


async def schema(connection: Connection, folder: Path = FOLDER) -> Schema:
    """What the database's schema is. Raises MigrationMismatch where this version did not make it."""
    files = _files(folder)
    known = await connection.fetchval("SELECT to_regclass('migration') IS NOT NULL")
    done = await _applied(connection, files) if known else []
    reached = [release.version for release in releases() if release.through in done]
    return Schema(done, [name for name in files if name not in done], reached[-1] if reached else None)


async def require_current(connection: Connection) -> None:
    """Raises SchemaOutdated and MigrationMismatch: work on a schema that is another version's does harm."""
    found = await schema(connection)
    if found.missing:
        raise SchemaOutdated(f"the database lacks {found.missing[0]}; xieban store migrate brings it up to date")


async def require_alone(connection: Connection) -> None:
    """Raises DowngradeRefused while somebody else is connected: a hub would go on by the schema that it knows."""
    if others := await connecting.others(connection):
        said = f"{others} other connections are open; stop every hub on this database first"
        raise DowngradeRefused(said, check="in-use")


async def _take_back(connection: Connection, name: str, file: Path) -> None:
    if not file.is_file():
        raise DowngradeRefused(f"there is no way back from {name}; restore a backup of the older version")
    try:
        await connection.execute(file.read_text("utf-8"))
    except asyncpg.RaiseError as error:
        raise DowngradeRefused(f"{name}: {error}") from error
    await connection.execute("DELETE FROM migration WHERE name = $1", name)


async def _lock(connection: Connection) -> None:
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)


async def _applied(connection: Connection, files: dict[str, str]) -> list[str]:
    """The migrations that the database has, in order. Raises MigrationMismatch."""
    rows: Sequence[asyncpg.Record] = await connection.fetch("SELECT name, sha256 FROM migration ORDER BY name")
    for row in reversed(rows):
        name = row["name"]
        if name not in files:
            raise MigrationMismatch(f"the database has {name}, which this version does not know; upgrade xieban")
        if row["sha256"] != _digest(files[name]):
            raise MigrationMismatch(f"{name} was changed after it was applied", check="altered")
    return [row["name"] for row in rows]


def _files(folder: Path) -> dict[str, str]:
    return {file.stem: file.read_text("utf-8") for file in sorted(folder.glob("*.sql"))}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _note(event: str, taken: Mapping[str, float]) -> None:
    """Log what was committed, with the seconds that it took."""
    for name, seconds in taken.items():
        logger.info(event, name=name, seconds=round(seconds, 3))
