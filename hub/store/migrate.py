"""Migrations: each applied once, in order, under a lock, and never changed afterwards."""

import hashlib
from pathlib import Path
from typing import ClassVar

from hub.store import Connection
from keys.errors import Fault

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x7869656261


class MigrationMismatch(Fault):
    """The database was made by other migrations than this version's."""

    code: ClassVar[str] = "migration-mismatch"


async def migrate(connection: Connection, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; the names applied. Raises MigrationMismatch."""
    applied = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
        await connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, sha256 text NOT NULL)")
        done = {row["name"]: row["sha256"] for row in await connection.fetch("SELECT name, sha256 FROM migration")}
        files = {file.stem: file.read_text("utf-8") for file in sorted(folder.glob("*.sql"))}
        if newer := sorted(done.keys() - files.keys()):
            raise MigrationMismatch(f"the database has {newer[-1]}, which this version does not know; upgrade xieban")
        for name, text in files.items():
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name not in done:
                await connection.execute(text)
                await connection.execute("INSERT INTO migration VALUES ($1, $2)", name, digest)
                applied.append(name)
            elif done[name] != digest:
                raise MigrationMismatch(f"{name} was changed after it was applied")
    return applied
