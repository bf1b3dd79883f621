"""Work on a hub's data directory, beside the running hub or without one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from hub import config as configuration
from hub import processes
from hub.commands.faults import DataDirectoryAbsent
from hub.config import Config
from hub.identity import PUBLISHED, gone
from hub.store import Connection

_T = TypeVar("_T")


@contextlib.asynccontextmanager
async def database(data: Path, config: Config, any_schema: bool = False) -> AsyncIterator[Connection]:
    """A connection to the hub's database, which is of this version unless `any_schema` will do.

    Raises DatabaseUnavailable, SchemaOutdated, MigrationMismatch.
    """
    attached = processes.attached(data.resolve(), config, any_schema)
    async with attached as dsn, processes.connected(dsn) as connection:
        yield connection


def run(data: Path, config: Path | None, work: Callable[[Connection], Awaitable[_T]], any_schema: bool = False) -> _T:
    """What `work` does on the database of the hub in `data`, as `database` opens it.

    Raises ConfigInvalid, DataDirectoryAbsent and others.
    """
    settings = existing(data, config)

    async def connected() -> _T:
        async with database(data, settings, any_schema) as connection:
            return await work(connection)

    return asyncio.run(connected())


def existing(data: Path, config: Path | None) -> Config:
    """The configuration, once the directory is known to be a hub's: looking must not make one.

    Raises ConfigInvalid, DataDirectoryAbsent; RestoreUnfinished where a hub was to be put back, HubKeyGone.
    """
    settings = configuration.load(config)
    processes.require_restored(data)
    if not (data / "keys").is_dir():
        if any((data / PUBLISHED).glob("*")):
            raise gone(data)
        raise DataDirectoryAbsent(f"{data} holds no hub; xieban serve --data {data} makes one")
    return settings
