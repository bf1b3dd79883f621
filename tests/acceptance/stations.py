"""An adapter's station at work in a test, and waiting for what it does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

from adapters.client import Client
from adapters.running.partner import Partner
from adapters.running.station import Station
from adapters.running.store import Store


@contextlib.asynccontextmanager
async def running(
    folder: Path, partner: Partner, clients: Mapping[str, Callable[[], Client]], every: float
) -> AsyncIterator[Station]:
    """A partner's station, looking every so many seconds, its store in the folder."""
    store = Store(folder)
    made = Station(store, partner, clients, every)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
            await task
        store.close()


async def until(what: Callable[[], object], within: float = 30) -> None:
    """Wait for it, at most so many seconds."""
    end = asyncio.get_running_loop().time() + within
    while not what():
        assert asyncio.get_running_loop().time() < end, "it never came"
        await asyncio.sleep(0.02)
