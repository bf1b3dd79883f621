"""An adapter that is stopped stops, even where a bus's library keeps the cancellation to itself."""

import asyncio
import contextlib
from pathlib import Path

from adapters.running.partner import Collected, Delivery, Partner
from adapters.running.station import Station
from adapters.running.store import Store


class Swallowing(Partner):
    """A partner whose library takes a cancellation for the end of a wait."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()

    async def deliver(self, delivery: Delivery) -> None:
        raise AssertionError("there is nothing to deliver")

    async def collect(self, cursor: str | None) -> Collected:
        self.waiting.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return Collected((), cursor)


async def test_a_cancellation_that_a_library_swallows_stops_the_adapter_all_the_same(tmp_path: Path) -> None:
    partner, store = Swallowing(), Store(tmp_path)
    running = asyncio.create_task(Station(store, partner, {}, 0.05).run())
    await partner.waiting.wait()
    running.cancel()
    done, _ = await asyncio.wait({running}, timeout=10)
    store.close()
    assert done
