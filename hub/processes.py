"""The parent process: holds the data directory, the database and the workers, and starts again what dies."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import ClassVar

import asyncpg
import structlog

from hub import config as configuration
from hub import journal, metrics
from hub.identity import establish, hub_key
from hub.store import embedded, partitions
from hub.store.migrate import migrate
from keys.errors import Fault

logger = structlog.get_logger()
STOP_WITHIN = 20.0
METRICS = "metrics"


class PortInUse(Fault):
    """Another program listens on this port; choose another --port."""

    code: ClassVar[str] = "port-in-use"


async def supervise(
    data: Path, port: int, workers: int, config_path: Path | None, on_ready: Callable[[str], None]
) -> None:
    """Run a hub until SIGTERM or SIGINT. Raises PortInUse, DataDirectoryBusy, DatabaseUnavailable."""
    journal.configure()
    config = configuration.load(config_path)
    data.mkdir(parents=True, exist_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with embedded.locked(data), _reserved(config.server.host, port):
        server = None if config.database.url else await embedded.start(data)
        dsn = config.database.url or embedded.dsn(data)
        try:
            await prepare(data, dsn, config)
            _empty(data / METRICS)
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(_worker(data, dsn, port, config_path)) for _ in range(workers)]
                if server is not None:
                    running.append(tasks.create_task(_database(data, server)))
                tasks.create_task(_announce(config.server.host, port, on_ready, stop))
                await stop.wait()
                for task in running:
                    task.cancel()
        finally:
            if server is not None:
                await _current.pop(data, server).stop()


def _empty(folder: Path) -> None:
    """The numbers of an earlier run are gone, as Prometheus expects of a restart."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


_current: dict[Path, embedded.Server] = {}


async def prepare(data: Path, dsn: str, config: configuration.Config) -> None:
    """Migrate the database and give a new hub its identity."""
    # Unlocking the key takes a while: done first, so that no connection lies idle meanwhile.
    key = await asyncio.to_thread(hub_key, data)
    connection = await asyncpg.connect(dsn)
    try:
        await migrate(connection)
        await establish(connection, config.hub.id, key)
        await partitions.prepare(connection)
    finally:
        await connection.close()


async def _worker(data: Path, dsn: str, port: int, config_path: Path | None) -> None:
    arguments = [str(data), str(port)] + ([str(config_path)] if config_path else [])
    delay = 0.1
    while True:
        # The worker's standard input is a pipe that only this process holds: it ends when we do.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "hub.worker",
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
        logger.error("worker-died", status=status, restart_in=delay)
        await asyncio.sleep(delay)


async def _database(data: Path, server: embedded.Server) -> None:
    _current[data] = server
    while True:
        status = await _current[data].wait()
        logger.error("database-died", status=status)
        try:
            _current[data] = await embedded.start(data)
        except Fault as fault:
            logger.error("database-not-started", detail=fault.detail)
            await asyncio.sleep(1)


async def _announce(host: str, port: int, on_ready: Callable[[str], None], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.close()
        on_ready(f"http://{host}:{port}")
        return


class _reserved:
    """The port, held so that no other hub shares it unseen; the workers join by SO_REUSEPORT."""

    def __init__(self, host: str, port: int) -> None:
        self._where = (host, port)

    def __enter__(self) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(self._where)
            except OSError:
                raise PortInUse(f"port {self._where[1]} is in use; choose another --port") from None
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._socket.bind(self._where)

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@contextlib.asynccontextmanager
async def attached(data: Path, config: configuration.Config) -> AsyncIterator[str]:
    """A DSN of the migrated database, beside a running hub or without one."""
    journal.configure()
    if config.database.url:
        await prepare(data, config.database.url, config)
        yield config.database.url
        return
    async with embedded.attached(data) as dsn:
        await prepare(data, dsn, config)
        yield dsn
