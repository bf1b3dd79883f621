"""Work on a hub's data directory, beside the running hub or without one."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg

from hub import config as configuration
from hub import processes
from hub.commands.faults import DataDirectoryAbsent
from hub.config import Config
from hub.store import Connection


@contextlib.asynccontextmanager
async def database(data: Path, config: Config) -> AsyncIterator[Connection]:
    """A connection to the hub's database. Raises DatabaseUnavailable."""
    async with processes.attached(data.resolve(), config) as dsn:
        connection = await asyncpg.connect(dsn, timeout=10)
        try:
            yield connection
        finally:
            await connection.close()


def existing(data: Path, config: Path | None) -> Config:
    """The configuration, once the directory is known to be a hub's: looking must not make one.

    Raises ConfigInvalid, DataDirectoryAbsent.
    """
    settings = configuration.load(config)
    if not (data / "keys").is_dir():
        raise DataDirectoryAbsent(f"{data} holds no hub; xieban serve --data {data} makes one")
    return settings
