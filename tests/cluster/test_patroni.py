"""Patroni in strict synchronous mode: database servers fail in every way under load, and it goes on by itself."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from itertools import pairwise

import pytest

from tests.acceptance.bureaus import Bureau, mailbox
from tests.cluster import patroni
from tests.cluster.nodes import nodes
from tests.cluster.patroni import Cluster
from tests.cluster.test_nodes import audited, diagnosed, enroll, load, more
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


Taken = list[tuple[float, str]]


@contextlib.asynccontextmanager
async def working(hubs: list[RunningHub], first: int) -> AsyncIterator[Taken]:
    """Bureaus that open cases all the time at both nodes; at last each message is there once, and the audits hold."""
    senders = [Bureau(f"4110{n:02}-civil-affairs") for n in range(first, first + 6)]
    receiver = Bureau(f"4403{first:02}-civil-affairs")
    enroll(hubs, *senders, receiver)
    async with load(senders, receiver) as taken:
        await more(taken, SOME)
        yield taken
    found = [item.event.id for item in await mailbox(receiver)]
    assert sorted(found) == sorted(id for _, id in taken)  # each once, and nothing besides
    assert [audited(one) for one in hubs] == ["", ""]


async def struck(cluster: Cluster, taken: Taken, what: Callable[[], Awaitable[None]]) -> float:
    """How long nothing was taken after a fault; afterwards there are a primary and two standbys again."""
    await asyncio.to_thread(cluster.settled)
    await more(taken, SOME)
    begun = time.monotonic()
    await what()
    await more(taken, SOME)
    await asyncio.to_thread(cluster.settled)
    moments = [begun, *(at for at, _ in taken if at > begun)]
    return max(later - earlier for earlier, later in pairwise(moments))


async def test_the_primary_fails_in_every_way_and_what_has_a_receipt_is_there_once(
    cluster: Cluster, hubs: list[RunningHub], capsys: pytest.CaptureFixture[str]
) -> None:
    away: dict[str, float] = {}
    async with working(hubs, 10) as taken:

        async def machine_dies() -> None:
            primary = await asyncio.to_thread(cluster.primary)
            await asyncio.to_thread(primary.kill)
            await more(taken, SOME)
            await asyncio.to_thread(primary.start)

        async def cable_is_pulled() -> None:
            primary = await asyncio.to_thread(cluster.primary)
            await asyncio.to_thread(primary.unplug)
            await more(taken, SOME)
            await asyncio.to_thread(primary.plug)

        async def postgres_dies() -> None:
            await asyncio.to_thread(lambda: cluster.primary().kill_postgres())

        async def handed_over() -> None:
            await asyncio.to_thread(cluster.switch_over)

        for one in (handed_over, postgres_dies, machine_dies, cable_is_pulled):
            away[one.__name__.replace("_", " ")] = await struck(cluster, taken, one)
        assert "standby-asynchronous" not in diagnosed(hubs[0])
    assert max(away.values()) < TAKEN_OVER_WITHIN
    with capsys.disabled():
        each = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in away.items())
        print(f"\n{len(taken)} messages; nothing was taken for: {each}")


async def test_without_any_standby_nothing_is_taken_and_with_one_again_it_goes_on(
    cluster: Cluster, hubs: list[RunningHub]
) -> None:
    await asyncio.to_thread(cluster.settled)
    primary = await asyncio.to_thread(cluster.primary)
    standbys = [one for one in cluster.servers if one is not primary]
    async with working(hubs, 20) as taken:
        for one in standbys:
            await asyncio.to_thread(one.kill_postgres)
            await asyncio.to_thread(one.unplug)
        await asyncio.sleep(3)
        before = len(taken)
        await asyncio.sleep(10)
        assert len(taken) == before
        for one in standbys:
            await asyncio.to_thread(one.plug)
        await more(taken, SOME)
        await asyncio.to_thread(cluster.settled)
