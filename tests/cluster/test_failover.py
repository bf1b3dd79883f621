"""The primary dies: a standby that has everything takes over by itself, one that lacks the last entries never does."""

import asyncio
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.acceptance.bureaus import Bureau, mailbox, opened
from tests.cluster.databases import Database, dsn, pair
from tests.cluster.nodes import HAPROXY, nodes, proxied
from tests.cluster.test_nodes import CASE, audited, beside, enroll, load, more
from tests.conftest import RunningHub

KEPT_WITHIN = 20.0


@pytest.fixture(scope="module")
def databases() -> Iterator[list[Database]]:
    """A primary, its synchronous standby, and a place for one more."""
    with pair() as (primary, standby):
        third = Database(standby.folder, "third")
        try:
            yield [primary, standby, third]
        finally:
            third.stop()


@pytest.fixture(scope="module")
def hubs(databases: list[Database]) -> Iterator[list[RunningHub]]:
    with nodes(dsn(*databases), 2) as found:
        yield found


def primary_of(databases: list[Database]) -> Database:
    """The one that takes writes."""
    running = [one for one in databases if one.process is not None and one.process.poll() is None]
    (found,) = [one for one in running if one.query("SELECT pg_is_in_recovery()") == "f"]
    return found


@pytest.mark.cluster
@pytest.mark.timeout(300)
@pytest.mark.skipif(HAPROXY is None, reason="no haproxy: apt install haproxy")
async def test_nodes_and_the_primary_are_killed_under_load_and_nothing_acknowledged_is_lost(
    hubs: list[RunningHub], databases: list[Database], capsys: pytest.CaptureFixture[str]
) -> None:
    primary, standby, _ = databases
    senders = [Bureau(f"4110{n:02}-civil-affairs") for n in range(10, 16)]
    receiver = Bureau("440308-civil-affairs")
    with proxied(hubs) as url:
        enroll(hubs, *senders, receiver)
        for one in (*senders, receiver):
            one.url = url
        async with load(senders, receiver) as taken:
            await more(taken, 30)
            for hub in hubs:
                os.kill(hub.process.pid, signal.SIGKILL)
                hub.process.wait()
                await more(taken, 60)
                await asyncio.to_thread(hub.start)
                await more(taken, 30)
            killed = time.monotonic()
            await asyncio.to_thread(primary.kill)
            await asyncio.to_thread(standby.promote)
            promoted = time.monotonic()
            await more(taken, 60)
        resumed = min(at for at, _ in taken if at > promoted)
        found = [item.event.id for item in await mailbox(receiver)]
    assert sorted(found) == sorted(id for _, id in taken)  # each once, and nothing besides
    assert resumed - promoted < 10
    assert [audited(one) for one in hubs] == ["", ""]
    with capsys.disabled():
        away = f"{resumed - killed:.1f} s, {resumed - promoted:.1f} s of it after the standby was promoted"
        print(f"\n{len(taken)} messages; two nodes and the primary killed; intake was away for {away}")


@pytest.mark.cluster
@pytest.mark.timeout(300)
async def test_a_standby_that_lacks_the_last_entries_is_refused_until_the_log_goes_on_under_a_new_origin(
    hubs: list[RunningHub], databases: list[Database]
) -> None:
    primary, behind = await asyncio.to_thread(primary_of, databases), databases[2]
    a, b = Bureau("411002-health"), Bureau("440306-health")
    enroll(hubs, a, b)
    first = await opened(a, CASE, "request", [b.id])
    await asyncio.to_thread(cut_off, behind, primary)
    lost = await opened(a, CASE, "request", [b.id])
    await known_to(hubs, lost.receipt.log.checkpoint)
    await asyncio.to_thread(primary.kill)
    await asyncio.to_thread(behind.promote)
    for hub in hubs:  # neither writes a second history of what the first was given a receipt for
        assert await asyncio.to_thread(post, hub, lost.compact) == 503
        assert "log-not-current" in (hub.data / "hub.log").read_text()
    for hub in hubs:
        await asyncio.to_thread(hub.stop)
    assert "log-not-current" in audited(hubs[0])
    done = await asyncio.to_thread(hubs[0].run, "restore", "--not-current", *beside(hubs[0]))
    assert done.returncode == 0, done.stderr
    for hub in hubs:
        await asyncio.to_thread(hub.start)
    a.url = hubs[1].url
    assert [one.event.id for one in await mailbox(b)] == [first.id]
    async with a.client() as client:
        again = (await client.resend(lost.compact)).receipt
    assert again.log.origin != lost.receipt.log.origin
    assert [one.event.id for one in await mailbox(b)] == [first.id, lost.id]
    assert [audited(one) for one in hubs] == ["", ""]


def post(hub: RunningHub, compact: bytes) -> int:
    """The status of the answer to a message, sent once."""
    headers = {"Content-Type": "application/jose"}
    request = urllib.request.Request(hub.url + "/v1/messages", compact, headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def cut_off(standby: Database, primary: Database) -> None:
    """A standby that nobody waits for, and that hears no more of the primary from now on."""
    primary.query("ALTER SYSTEM SET synchronous_standby_names = ''")
    primary.query("SELECT pg_reload_conf()")
    standby.copy(primary)
    standby.start()
    standby.query("ALTER SYSTEM SET primary_conninfo = ''")
    standby.query("SELECT pg_reload_conf()")
    until = time.monotonic() + KEPT_WITHIN
    while standby.query("SELECT count(*) FROM pg_stat_wal_receiver") != "0":
        assert time.monotonic() < until
        time.sleep(0.1)


async def known_to(hubs: list[RunningHub], note: str) -> None:
    """Wait until each worker of each node has noted that this checkpoint was published, by whichever of them."""
    size = int(note.split("\n")[1])
    async with asyncio.timeout(KEPT_WITHIN):
        for hub in hubs:
            while not all(noted >= size for noted in noted_by(hub)):
                await asyncio.sleep(0.1)


def noted_by(hub: RunningHub) -> list[int]:
    """The size of the last checkpoint that each of the node's running processes has noted."""
    files = [one for one in (hub.data / "published").iterdir() if one.name.isdigit() and alive(int(one.name))]
    return [int(one.read_text().split("\n")[1]) for one in files]


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
