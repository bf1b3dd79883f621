"""One worker process: the HTTP application on a shared port, with its own writer. Dies with its parent."""

import asyncio
import contextlib
import gc
import os
import resource
import sys
from pathlib import Path

import structlog
import uvloop
from aiohttp import web

from hub import config as configuration
from hub import ending, journal, metrics, published, succession, telemetry
from hub import limits as bounds
from hub.api.app import application
from hub.api.health import VITALS
from hub.attachments.keeping import Attachments, Limits
from hub.attachments.store import opened
from hub.bulletins.duties import fulfil_for_ever
from hub.console import verifying
from hub.console.app import console, verification
from hub.expiry import sweep_for_ever
from hub.identity import Identity, establish, hub_key
from hub.published import Published
from hub.scheduler.jobs import Means
from hub.scheduler.leading import Lead
from hub.scheduler.running import Scheduler
from hub.service import Hub
from hub.snapshot.publishing import publish, publish_for_ever
from hub.store import CONNECTION_LOST, Pool, connecting, partitions
from hub.store.reader import reader
from hub.vitals import Vitals
from protocols.loading import Catalogue

logger = structlog.get_logger()
POOL = 16
LOOK_EVERY = 2.0
BACKLOG = 4096
"""Connections that may wait to be taken up: partners come back all at once after an outage."""


async def serve(data: Path, dsn: str, port: int, config: configuration.Config) -> None:
    """Serve until SIGTERM or until the parent is gone; what was accepted is finished first."""
    _allow_connections()
    pool = await connecting.pool(dsn, POOL, least=1)
    async with pool.acquire() as connection:
        identity: Identity = await establish(connection, config.hub.id, hub_key(data))
        await published.require_current(connection, published.kept(data, [identity.key.public]))
        await publish(connection, identity)
    of = config.attachments
    limits = Limits(of.largest, of.quota, of.unnamed, of.days)
    name = {"zh": config.hub.name_zh, "en": config.hub.name_en}
    attachments = Attachments(pool, opened(of.store, data), data / "attachments" / "incoming", limits)
    keeping, within = Published(data), bounds.Limits(config.limits)
    reads = await reader(pool, config.database.replica, POOL)
    hub = Hub(identity, name, pool, config.catalogue(), attachments, keeping, config.witnesses(), within, reads)
    stop = ending.told()
    settle_memory()
    served = application(hub)
    served[VITALS] = Vitals(hub, data)
    metrics.STARTS.inc()
    served.add_subapp("/console", console(config.console.origin, frozenset(config.server.proxies)))
    served.add_subapp(verifying.PATH, verification(config.console.origin))
    runner = web.AppRunner(served, access_log=None, shutdown_timeout=5, keepalive_timeout=config.limits.idle)
    async with asyncio.TaskGroup() as tasks:
        writer = tasks.create_task(hub.sequencer.run())
        means = Means(pool, Lead(), hub.sequencer, identity, hub.catalogue, config)
        scheduling = tasks.create_task(Scheduler(means).run())
        background = [
            tasks.create_task(_listen(dsn, hub)),
            tasks.create_task(_look_for_waiters(hub)),
            tasks.create_task(sweep_for_ever(pool, hub.sequencer, identity, hub.catalogue)),
            tasks.create_task(fulfil_for_ever(pool, hub.sequencer, identity, hub.catalogue)),
            tasks.create_task(_carry_out_successions(pool, identity, hub.catalogue)),
            tasks.create_task(_keep_partitions(pool)),
            tasks.create_task(publish_for_ever(pool, identity)),
            tasks.create_task(keeping.keep_for_ever(pool)),
            tasks.create_task(attachments.collect_for_ever()),
            tasks.create_task(reads.watch_for_ever()),
            scheduling,
        ]
        await runner.setup()
        await web.TCPSite(runner, config.server.host, port, reuse_port=True, backlog=BACKLOG).start()
        logger.info("worker-ready", port=port)
        await stop.wait()
        for task in background:
            task.cancel()
        await asyncio.wait([scheduling])  # it says that it leads no more, while there is a pool to say it by
        hub.waiters.close()
        await runner.cleanup()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(hub.sequencer.drain(), 10)
        writer.cancel()
    reads.close()
    await pool.close()


def _allow_connections() -> None:
    """As many open connections as the system lets this process have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def settle_memory() -> None:
    """What a worker has loaded by now stays for good: the collector looks at it no more."""
    gc.collect()
    gc.freeze()


async def _carry_out_successions(pool: Pool, identity: Identity, catalogue: Catalogue) -> None:
    """Once a minute: whose day has come takes over."""
    while True:
        with contextlib.suppress(*CONNECTION_LOST):
            async with pool.acquire() as connection:
                await succession.carry_out(connection, identity, catalogue)
        await asyncio.sleep(60)


async def _listen(dsn: str, hub: Hub) -> None:
    """Wake waiting polls when any process commits; polling works without it."""
    servers = connecting.Servers(dsn)
    while True:
        with contextlib.suppress(*CONNECTION_LOST):
            connection = await servers.connect()
            gone = asyncio.Event()
            connection.add_termination_listener(lambda _, gone=gone: gone.set())
            await connection.add_listener("xieban", lambda *notice: hub.waiters.wake(notice[3].split() or None))
            await gone.wait()
        await asyncio.sleep(0.5)


async def _look_for_waiters(hub: Hub) -> None:
    """Notifications can be lost with a connection, or on their way through a pooler: a look now and then finds all."""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        with contextlib.suppress(*CONNECTION_LOST):
            async with hub.pool.acquire() as connection:
                await hub.waiters.look(connection)


async def _keep_partitions(pool: Pool) -> None:
    """The months ahead have their partitions long before they begin."""
    while True:
        with contextlib.suppress(*CONNECTION_LOST):
            async with pool.acquire() as connection:
                await partitions.prepare(connection)
        await asyncio.sleep(3600)


def main() -> None:
    """`python -m hub.worker DATA PORT [CONFIG]`, the DSN in XIEBAN_DSN."""
    journal.configure(worker=os.getpid())
    data, port, *rest = sys.argv[1:]
    config = configuration.load(Path(rest[0]) if rest else None)
    with telemetry.traced(config.telemetry, "xieban", f"{config.hub.id}/{os.getpid()}"):
        uvloop.run(serve(Path(data), os.environ["XIEBAN_DSN"], int(port), config))


if __name__ == "__main__":
    main()
