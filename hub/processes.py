"""The parent process: holds the data directory, the database, the workers and the follower; starts again what dies."""

import asyncio
import contextlib
import errno
import os
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import ClassVar

import asyncpg
import structlog

from hub import config as configuration
from hub import ending, journal, metrics, published, telemetry
from hub.backup import RestoreUnfinished
from hub.identity import Identity, establish, gone, holds_keys, hub_key
from hub.store import connecting, embedded, partitions
from hub.store.migrate import migrate, require_current
from hub.store.queries import SQL
from keys import keystore
from keys.errors import Fault
from keys.jwk import SigningKey
from protocols.refusals import CatalogueInvalid

logger = structlog.get_logger()
STOP_WITHIN = 20.0
PORT_WITHIN = 5.0
"""Seconds to wait for the port: the workers of a hub that was killed leave it a moment later."""
METRICS = "metrics"
MOVED = "moved"
"""A file in the data directory of a hub that goes on elsewhere."""
UNFINISHED = "restore-unfinished"
"""A file in the data directory while a backup is restored into it."""
PORT = "port"
"""The file that says where the hub listened last, for `xieban doctor`."""


class PortInUse(Fault):
    """Another program listens on this port; choose another --port."""

    code: ClassVar[str] = "port-in-use"


class AddressUnusable(Fault):
    """Nobody may listen at this address here."""

    code: ClassVar[str] = "address-unusable"


class HubMoved(Fault):
    """This hub's final backup was made: it must not run here any more, or its log would fork."""

    code: ClassVar[str] = "hub-moved"


class FolderTaken(Fault):
    """The folder is somebody's already, and no hub's: none is made in it."""

    code: ClassVar[str] = "folder-taken"


class DatabaseAbsent(Fault):
    """There is no database in this data directory; one of the hub's own is named by --config."""

    code: ClassVar[str] = "database-absent"


async def supervise(
    data: Path, port: int, workers: int, config_path: Path | None, on_ready: Callable[[str], None]
) -> None:
    """Run a hub until SIGTERM or SIGINT.

    Raises ConfigInvalid, CatalogueInvalid, FolderTaken, PortInUse, AddressUnusable, DataDirectoryBusy,
    DatabaseUnavailable.
    """
    journal.configure()
    config = configuration.load(config_path)
    require_restored(data)
    telemetry.require(config.telemetry)
    if config.protocols != configuration.ProtocolsSection():
        config.catalogue()  # one's own: what is wrong with them is said before there is a database
    _require_free(data)
    os.umask(0o077)
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    stop = ending.signalled()
    async with contextlib.AsyncExitStack() as held:
        held.enter_context(embedded.locked(data))
        held.enter_context(await _reserved(config.server.host, port))
        dsn, keep = config.database.url, None
        if dsn is None:
            dsn, keep = embedded.dsn(data), await held.enter_async_context(embedded.kept(data))
        identity = await prepare(data, dsn, config)
        published.gather(data, [identity.key.public])
        _empty(data / METRICS)
        (data / PORT).write_text(str(port))
        async with asyncio.TaskGroup() as tasks:
            modules = ["hub.worker"] * workers + ["hub.supervision"]
            running = [tasks.create_task(_child(module, data, dsn, port, config_path)) for module in modules]
            announcing = tasks.create_task(_announce(config.server.host, port, on_ready))
            keeping = tasks.create_task(keep()) if keep is not None else None
            await stop.wait()
            announcing.cancel()
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            if keeping is not None:
                keeping.cancel()


def _require_free(data: Path) -> None:
    """Raise FolderTaken for a mistyped folder that would be spoilt: a key store, PostgreSQL's own."""
    for name, what in ((keystore.LISTING, "a key store"), ("PG_VERSION", "a PostgreSQL database")):
        if (data / name).exists():
            raise FolderTaken(f"{data} is {what} (it holds {name}), not a hub's data directory")


def last_port(data: Path) -> int | None:
    """The port on which a hub listened last, None where none did."""
    try:
        return int((data / PORT).read_text())
    except (OSError, ValueError):
        return None


def _empty(folder: Path) -> None:
    """The numbers of an earlier run are gone, as Prometheus expects of a restart."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


async def prepare(data: Path, dsn: str, config: configuration.Config, migrating: bool = True) -> Identity:
    """Migrate the database and give a new hub its identity, which is returned.

    Without `migrating` the schema must be this version's already: raises SchemaOutdated where it is not. Raises
    DatabaseUnavailable, MigrationMismatch, LogNotCurrent; RestoreUnfinished where a restore did not come to its
    end; HubKeyGone where the database has a log and no key is here; HubMoved.
    """
    require_restored(data)
    await _require_key(data, dsn)
    # Unlocking the key takes a while: done first, so that no connection lies idle meanwhile.
    key = await asyncio.to_thread(hub_key, data)
    async with connected(dsn) as connection:
        identity = await settle(data, connection, config, key, migrating)
        await published.require_current(connection, published.kept(data, [key.public]))
        return identity


async def _require_key(data: Path, dsn: str) -> None:
    """Raises HubKeyGone: where there is a log, a key that is made up now is not the one that signs it."""
    if holds_keys(data):
        return
    async with connected(dsn) as connection:
        # Another process may have made both meanwhile, the key first.
        if await published.filled(connection) and not holds_keys(data):
            raise gone(data)


def require_restored(data: Path) -> None:
    """Raises RestoreUnfinished where a restore was begun that did not come to its end."""
    if (data / UNFINISHED).exists():
        raise RestoreUnfinished(
            f"{data} holds part of a backup, or one that did not pass its audit: run xieban restore into it again"
        )


@contextlib.asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection. Raises DatabaseUnavailable."""
    try:
        connection = await connecting.connect(dsn)
    except connecting.REFUSED as error:
        raise embedded.DatabaseUnavailable(f"the database does not let us in: {error}", check="refused") from error
    try:
        yield connection
    finally:
        await connection.close()


async def settle(
    data: Path, connection: asyncpg.Connection, config: configuration.Config, key: SigningKey, migrating: bool = True
) -> Identity:
    """The database migrated (found so, without `migrating`), and given its identity; not asked whether it is current.

    Raises DatabaseElsewhere, MigrationMismatch, ConfigInvalid, CatalogueInvalid, HubMoved.
    """
    if (data / MOVED).exists():
        raise HubMoved(f"it goes on elsewhere; {data / MOVED} may go only if that backup is never restored")
    await published.require_filled(connection, published.kept(data, [key.public]))
    if not migrating:
        await published.require_made(connection)
    await (migrate(connection) if migrating else require_current(connection))
    identity = await establish(connection, config.hub.id, key)
    await partitions.prepare(connection)
    await _offer(connection, list(config.catalogue().protocols) if migrating else config.protocol_names())
    return identity


async def _offer(connection: asyncpg.Connection, protocols: Sequence[tuple[str, str]]) -> None:
    """No case may be left without the protocol that it follows. Raises CatalogueInvalid naming those that are gone."""
    columns = [list(column) for column in zip(*protocols, strict=True)]
    gone = [f"{row['protocol']} {row['version']}" for row in await connection.fetch(SQL["protocols_gone"], *columns)]
    if gone:
        said = f"cases follow {', '.join(gone)}, which the catalogue no longer has"
        raise CatalogueInvalid(said, check="gone", problems=gone)
    await connection.execute(SQL["offer_protocols"], *columns)


async def _child(module: str, data: Path, dsn: str, port: int, config_path: Path | None) -> None:
    arguments = [str(data), str(port)] + ([str(config_path)] if config_path else [])
    delay = 0.1
    while True:
        # Its standard input is a pipe that only this process holds: it ends when we do.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            env=os.environ | {"XIEBAN_DSN": dsn, metrics.FOLDER: str(data / METRICS)},
        )
        started = asyncio.get_running_loop().time()
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), STOP_WITHIN)
            except TimeoutError:
                process.kill()
            raise
        delay = 0.1 if asyncio.get_running_loop().time() - started > 10 else min(2 * delay, 5.0)
        metrics.forget(process.pid, data / METRICS)
        logger.error("worker-died", module=module, status=status, restart_in=delay)
        await asyncio.sleep(delay)


async def _announce(host: str, port: int, on_ready: Callable[[str], None]) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        on_ready(f"http://{host}:{port}")
        return


async def _reserved(host: str, port: int) -> socket.socket:
    """The port, held so that no other hub shares it unseen; the workers join by SO_REUSEPORT.

    Raises PortInUse, AddressUnusable.
    """
    until = asyncio.get_running_loop().time() + PORT_WITHIN
    while True:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or asyncio.get_running_loop().time() > until:
                    raise unbound(host, port, error) from None
        await asyncio.sleep(0.1)
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind((host, port))
    return held


def unbound(host: str, port: int, error: OSError, named: str = "[server] host") -> PortInUse | AddressUnusable:
    """Why this address could not be had, as the system said it; `named` is where the host was said."""
    said = f"{host}:{port} can't be had ({error.strerror})"
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"{said}; choose another --port")
    if isinstance(error, PermissionError):
        return AddressUnusable(f"{said}: choose a --port of 1024 or above", check="port")
    return AddressUnusable(f"{said}: {named} is an address of this machine, or 0.0.0.0", check="host")


@contextlib.asynccontextmanager
async def attached(data: Path, config: configuration.Config, any_schema: bool = False) -> AsyncIterator[str]:
    """A DSN of the hub's database, beside a running hub or without one.

    Only a hub that starts, and `xieban store`, change the schema: a command of a newer version would take it from under
    a hub that runs. Raises SchemaOutdated where it is older than this version, unless `any_schema` will do;
    DatabaseAbsent where none was made yet, for looking must not make one.
    """
    if config.database.url is None and not embedded.made(data):
        raise DatabaseAbsent(f"{data} holds no database; where the hub has one of its own, say so by --config")
    async with database(data, config) as dsn:
        if not any_schema:
            await prepare(data, dsn, config, migrating=False)
        yield dsn


@contextlib.asynccontextmanager
async def database(data: Path, config: configuration.Config, least: str = "info") -> AsyncIterator[str]:
    """A DSN of the database as it is, beside a running hub or without one; `least` is the level of what is noted."""
    journal.configure(least)
    if config.database.url:
        yield config.database.url
        return
    async with embedded.attached(data) as dsn:
        yield dsn


@contextlib.asynccontextmanager
async def held(data: Path, config: configuration.Config) -> AsyncIterator[str]:
    """A DSN of the database as it is, for whoever holds the data directory (`embedded.locked`)."""
    journal.configure()
    if config.database.url:
        yield config.database.url
        return
    async with embedded.started(data) as dsn:
        yield dsn
