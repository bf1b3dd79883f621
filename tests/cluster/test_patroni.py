"""Patroni in strict synchronous mode: database servers fail in every way under load, and it goes on by itself."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise

import pytest

from tests.acceptance.bureaus import Bureau, mailbox
from tests.cluster import patroni
from tests.cluster.nodes import nodes
from tests.cluster.patroni import Cluster
from tests.cluster.test_nodes import audited, diagnosed, enroll, poll, send
from tests.conftest import RunningHub

TAKEN_OVER_WITHIN = 60.0
"""Patroni's ttl is 20 s; a new primary, a new standby and the senders' pauses come on top."""
SOME = 20

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(900),
    pytest.mark.skipif(patroni.missing() is not None, reason=str(patroni.missing())),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with patroni.cluster() as found:
        yield found


@pytest.fixture(scope="module")
def hubs(cluster: Cluster) -> Iterator[list[RunningHub]]:
    with nodes(cluster.dsn, 2) as found:
        yield found


class Load:
    """Bureaus that open cases all the time at both nodes, and what they hold receipts for."""

    def __init__(self, hubs: list[RunningHub]) -> None:
        self.senders = [Bureau(f"4110{n:02}-civil-affairs") for n in range(10, 16)]
        self.receiver = Bureau("440308-civil-affairs")
        enroll(hubs, *self.senders, self.receiver)
        self.taken: list[tuple[float, str]] = []
        self._stop = asyncio.Event()
        self._work = [asyncio.create_task(send(one, self.receiver, self.taken, self._stop)) for one in self.senders]

    async def more(self, count: int) -> None:
        """Wait until so many further messages have their receipts."""
        until = len(self.taken) + count
        async with asyncio.timeout(TAKEN_OVER_WITHIN + 30):
            while len(self.taken) < until:
                await asyncio.sleep(0.02)

    async def end(self) -> None:
        """No more is sent."""
        self._stop.set()
        await asyncio.gather(*self._work)

    def longest(self, since: float) -> float:
        """The longest time between two receipts since a moment, in seconds."""
        moments = [since, *(at for at, _ in self.taken if at > since)]
        return max(later - earlier for earlier, later in pairwise(moments))


@pytest.fixture
async def load(hubs: list[RunningHub]) -> AsyncIterator[Load]:
    found = Load(hubs)
    await found.more(SOME)
    yield found
    await found.end()


async def struck(cluster: Cluster, load: Load, what: Callable[[], Awaitable[None]]) -> float:
    """How long nothing was taken after a fault; afterwards there are a primary and two standbys again."""
    await asyncio.to_thread(cluster.settled)
    await load.more(SOME)
    begun = time.monotonic()
    await what()
    await load.more(SOME)
    await asyncio.to_thread(cluster.settled)
    return load.longest(begun)


async def test_the_primary_fails_in_every_way_and_what_has_a_receipt_is_there_once(
    cluster: Cluster, hubs: list[RunningHub], load: Load, capsys: pytest.CaptureFixture[str]
) -> None:
    async def machine_dies() -> None:
        primary = await asyncio.to_thread(cluster.primary)
        await asyncio.to_thread(primary.kill)
        await load.more(SOME)
        await asyncio.to_thread(primary.start)

    async def cable_is_pulled() -> None:
        primary = await asyncio.to_thread(cluster.primary)
        await asyncio.to_thread(primary.unplug)
        await load.more(SOME)
        await asyncio.to_thread(primary.plug)

    async def postgres_dies() -> None:
        await asyncio.to_thread(lambda: cluster.primary().kill_postgres())

    async def handed_over() -> None:
        await asyncio.to_thread(cluster.switch_over)

    away = {}
    for one in (handed_over, postgres_dies, machine_dies, cable_is_pulled):
        away[one.__name__.replace("_", " ")] = await struck(cluster, load, one)
    assert "standby-asynchronous" not in diagnosed(hubs[0])
    await load.end()
    found = [item.event.id for item in await mailbox(load.receiver)]
    assert sorted(found) == sorted(id for _, id in load.taken)  # each once, and nothing besides
    assert [audited(one) for one in hubs] == ["", ""]
    assert max(away.values()) < TAKEN_OVER_WITHIN
    with capsys.disabled():
        each = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in away.items())
        print(f"\n{len(load.taken)} messages; nothing was taken for: {each}")


async def test_without_any_standby_nothing_is_taken_and_with_one_again_it_goes_on(
    cluster: Cluster, hubs: list[RunningHub], load: Load
) -> None:
    await asyncio.to_thread(cluster.settled)
    primary = await asyncio.to_thread(cluster.primary)
    standbys = [one for one in cluster.servers if one is not primary]
    for one in standbys:
        await asyncio.to_thread(one.kill_postgres)
        await asyncio.to_thread(one.unplug)
    await asyncio.sleep(3)
    before = len(load.taken)
    await asyncio.sleep(10)
    assert len(load.taken) == before
    for one in standbys:
        await asyncio.to_thread(one.plug)
    await load.more(SOME)
    status, _ = await asyncio.to_thread(poll, load.receiver)
    assert status == 200
    await asyncio.to_thread(cluster.settled)
    await load.end()
    found = [item.event.id for item in await mailbox(load.receiver)]
    assert {id for _, id in load.taken} <= set(found) and len(set(found)) == len(found)
    assert [audited(one) for one in hubs] == ["", ""]
