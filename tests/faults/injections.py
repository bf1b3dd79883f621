"""The faults: each does its harm, waits until it shows or for a moment, and takes it back."""

import asyncio
import contextlib
import os
import random
import resource
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import asyncpg

from hub.store import embedded
from tests.conftest import RunningHub
from tests.faults import network
from tests.faults.network import Cable
from tests.faults.proxy import Proxy
from tests.faults.stage import Stage, children, workers

Fault = Callable[[Stage, random.Random], Coroutine[Any, Any, None]]
SHOWS_WITHIN = 15.0
"""Seconds within which a full disk, say, is to be noticed by somebody."""
LOCKED_AT_MOST = 10.0
"""Seconds after which PostgreSQL ends who holds the log's lock and says nothing (hub/intake/batch.py)."""
CRASHES = (
    "before lock_head", "after lock_head", "after known", "after cases", "after counters", "before add_messages",
    "after add_messages", "after set_cases", "after set_counters", "before append", "after append", "before COMMIT",
    "after COMMIT",
)  # fmt: skip
"""Where in a batch a worker dies, in its order; the receipts leave after the last."""


def moment(chance: random.Random) -> float:
    """Seconds for which a fault stands that shows at once."""
    return chance.uniform(0.3, 1.2)


def strike(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may just have gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


# Processes --------------------------------------------------------------------------------------------


async def kill_worker(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of a worker of either node."""
    strike(chance.choice(workers(stage.first) + workers(stage.second)), signal.SIGKILL)


async def _killed_and_started(hub: RunningHub) -> None:
    strike(hub.process.pid, signal.SIGKILL)
    await asyncio.to_thread(hub.process.wait)
    await asyncio.to_thread(hub.start)


async def kill_parent(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of the first node's parent, which holds the database; the operator starts it again."""
    await _killed_and_started(stage.first)


async def kill_other_parent(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of the second node's parent."""
    await _killed_and_started(stage.second)


async def kill_database(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of PostgreSQL as a whole."""
    strike(stage.postmaster(), signal.SIGKILL)


async def kill_backend(stage: Stage, chance: random.Random) -> None:
    """SIGKILL of one process of PostgreSQL, which makes it recover."""
    strike(chance.choice(children(stage.postmaster())), signal.SIGKILL)


async def _stopped(pid: int, chance: random.Random) -> None:
    strike(pid, signal.SIGSTOP)
    await asyncio.sleep(moment(chance))
    strike(pid, signal.SIGCONT)


async def stop_worker(stage: Stage, chance: random.Random) -> None:
    """SIGSTOP of a worker, SIGCONT after a moment."""
    await _stopped(chance.choice(workers(stage.first)), chance)


async def stop_parent(stage: Stage, chance: random.Random) -> None:
    """SIGSTOP of a parent."""
    await _stopped(stage.first.process.pid, chance)


async def stop_database(stage: Stage, chance: random.Random) -> None:
    """SIGSTOP of PostgreSQL's first process, and of one that serves."""
    postmaster = stage.postmaster()
    backend = chance.choice(children(postmaster))
    await asyncio.gather(_stopped(postmaster, chance), _stopped(backend, chance))


def crash(order: str) -> Fault:
    """A worker dies at a step of its batch."""

    async def crashed(stage: Stage, chance: random.Random) -> None:
        await _crashed(stage.crash_order, order)

    crashed.__name__ = f"crash {order}"
    return crashed


async def _crashed(path: Path, order: str) -> None:
    done = path.with_name(path.name + ".done")
    done.unlink(missing_ok=True)
    staged = path.with_name(path.name + ".new")
    staged.write_text(order)
    staged.rename(path)
    async with asyncio.timeout(60):
        while not done.exists():
            await asyncio.sleep(0.02)


# What runs out ----------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _until_logged(stage: Stage, word: str) -> AsyncIterator[None]:
    """Leave when PostgreSQL has complained of it."""
    log = stage.first.data / "postgres.log"
    start = log.stat().st_size
    yield
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SHOWS_WITHIN):
            while word.encode() not in log.read_bytes()[start:]:
                await asyncio.sleep(0.05)


async def disk_full(stage: Stage, chance: random.Random) -> None:
    """Not a byte is free where the database lies, until it says so, and a moment longer."""
    ballast = stage.first.data / "ballast"
    try:
        # The log of PostgreSQL lies on the same disk: what tells is that it can write no more of anything.
        with open(ballast, "wb") as file:
            for _ in range(20):
                with contextlib.suppress(OSError):
                    while True:
                        os.write(file.fileno(), bytes(1 << 20))
                with contextlib.suppress(OSError):
                    while True:
                        os.write(file.fileno(), bytes(4096))
                await asyncio.sleep(0.1)
    finally:
        ballast.unlink(missing_ok=True)


async def read_only(stage: Stage, chance: random.Random) -> None:
    """Nothing in the database's folder may be written, and it comes up anew."""
    folder = stage.first.data / "postgres"
    paths = [folder, *(path for path in folder.rglob("*") if path.is_dir() or path.is_file())]
    async with _until_logged(stage, "Permission denied"):
        for path in paths:
            with contextlib.suppress(FileNotFoundError):
                path.chmod(0o500 if path.is_dir() else 0o400)
        strike(chance.choice(children(stage.postmaster())), signal.SIGKILL)
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            path.chmod(0o700 if path.is_dir() else 0o600)


async def connections_exhausted(stage: Stage, chance: random.Random) -> None:
    """Somebody takes every connection that PostgreSQL has, those of the hub too."""
    dsn = embedded.dsn(stage.first.data)
    held: list[asyncpg.Connection[Any]] = []
    try:
        held.append(await asyncpg.connect(dsn))
        await held[0].execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"
        )
        until = asyncio.get_running_loop().time() + moment(chance) + 0.5
        while asyncio.get_running_loop().time() < until:
            try:
                held.append(await asyncpg.connect(dsn, timeout=2))
            except (asyncpg.PostgresError, OSError, TimeoutError):
                await asyncio.sleep(0.01)
    finally:
        for connection in held:
            connection.terminate()


async def descriptors_exhausted(stage: Stage, chance: random.Random) -> None:
    """No process of the first node can open a file or a connection more."""
    everybody = [*workers(stage.first), stage.postmaster(), *children(stage.postmaster())]
    limits = {}
    for pid in everybody:
        with contextlib.suppress(OSError):
            limits[pid] = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            used = len(os.listdir(f"/proc/{pid}/fd"))
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (used, limits[pid][1]))
    stage.doors[0].sever()
    await asyncio.sleep(moment(chance))
    for pid, limit in limits.items():
        with contextlib.suppress(OSError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limit)


# Disk, clock, network ---------------------------------------------------------------------------------


async def slow_fsync(stage: Stage, chance: random.Random) -> None:
    """Each fsync takes a third of a second longer."""
    assert stage.interposed is not None
    stage.interposed.wish(fsync_delay=0.3)
    await asyncio.sleep(2 * moment(chance))
    stage.interposed.wish()


async def failing_fsync(stage: Stage, chance: random.Random) -> None:
    """Each fsync fails with EIO, until PostgreSQL has given up over it."""
    assert stage.interposed is not None
    async with _until_logged(stage, "PANIC"):
        stage.interposed.wish(fsync_failing=True)
    stage.interposed.wish()


async def clock_forward(stage: Stage, chance: random.Random) -> None:
    """The first node's clock, its database's too, is ten minutes to an hour ahead, and right again after a moment."""
    await _clock(stage, chance, +1)


async def clock_back(stage: Stage, chance: random.Random) -> None:
    """The same clock is so much behind."""
    await _clock(stage, chance, -1)


async def _clock(stage: Stage, chance: random.Random, direction: int) -> None:
    assert stage.interposed is not None
    stage.interposed.wish(clock_ahead=direction * chance.randint(600, 3600))
    await asyncio.sleep(moment(chance))
    stage.interposed.wish()


async def _partitioned(proxies: Sequence[Proxy], chance: random.Random) -> None:
    for proxy in proxies:
        proxy.hold()
    await asyncio.sleep(moment(chance))
    for proxy in proxies:
        proxy.sever()
        proxy.release()


async def database_partitioned(stage: Stage, chance: random.Random) -> None:
    """Nothing passes between the second node and the database; then all connections are broken."""
    await _partitioned([stage.database], chance)


async def partners_partitioned(stage: Stage, chance: random.Random) -> None:
    """Nothing passes between partners and hub."""
    await _partitioned(stage.doors, chance)


async def database_unplugged(stage: Stage, chance: random.Random) -> None:
    """The second node loses the database in the midst of a batch, longer than a lock may be held by who is silent."""
    assert stage.machine is not None
    await _unplugged(stage.machine.database, LOCKED_AT_MOST + 5 + moment(chance))


async def partners_unplugged(stage: Stage, chance: random.Random) -> None:
    """The second node loses its partners; it and the database see each other."""
    assert stage.machine is not None
    await _unplugged(stage.machine.partners, 2 * moment(chance))


async def _unplugged(cable: Cable, seconds: float) -> None:
    cable.unplug()
    try:
        await asyncio.sleep(seconds)
    finally:
        cable.plug()


async def network_slow(stage: Stage, chance: random.Random) -> None:
    """Every piece takes 50 ms longer, to the database and to the partners."""
    proxies = [stage.database, *stage.doors]
    for proxy in proxies:
        proxy.delay = 0.05
    await asyncio.sleep(2 * moment(chance))
    for proxy in proxies:
        proxy.delay = 0.0


FAULTS: tuple[Fault, ...] = (
    kill_worker, kill_backend, kill_database, kill_other_parent, kill_parent, stop_worker, stop_parent, stop_database,
    *map(crash, CRASHES), disk_full, read_only, connections_exhausted, descriptors_exhausted, slow_fsync, failing_fsync,
    clock_forward, clock_back, database_partitioned, partners_partitioned, database_unplugged, partners_unplugged,
    network_slow,
)  # fmt: skip
SHORT = (
    "kill_worker", "kill_backend", "kill_database", "crash before COMMIT", "crash after COMMIT", "disk_full",
    "database_partitioned", "database_unplugged",
)  # fmt: skip
"""The names of those in the short form."""
WRONG_CLOCK: tuple[Fault, ...] = (clock_forward, clock_back)
ONE_CUT_OFF: tuple[Fault, ...] = (database_unplugged,)
"""Those that the first node has to go on under, before they are over."""


def missing(fault: Fault, stage: Stage) -> str | None:
    """Why a fault can't be had here."""
    if fault is disk_full and not stage.own_disk:
        return "needs root and mount(2), for a file system of its own"
    if fault in (slow_fsync, failing_fsync, *WRONG_CLOCK) and stage.interposed is None:
        return "needs gcc"
    if fault in (database_unplugged, partners_unplugged) and stage.machine is None:
        return network.missing()
    return None
