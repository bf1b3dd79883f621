"""A database of several servers, and servers that go silent without a word."""

import asyncio
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hub.store import CONNECTION_LOST
from hub.store.connecting import EACH, SILENT, Servers, connect, pool
from tests.faults import network
from tests.faults.network import Machine
from tests.faults.proxy import Proxy

ASK = """
import asyncio, sys, time
import uvloop
from hub.store import CONNECTION_LOST
from hub.store.connecting import connect

async def ended(connection, begun):
    try:
        await connection.execute("SELECT pg_sleep(60)")
    except CONNECTION_LOST:
        return time.monotonic() - begun()

async def ask():
    busy, idle = await connect(sys.argv[1]), await connect(sys.argv[1])
    waits = asyncio.create_task(ended(busy, lambda: pulled))
    await asyncio.sleep(0.5)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    pulled = time.monotonic()
    print(max(await asyncio.gather(waits, ended(idle, lambda: pulled))))

uvloop.run(ask())
"""
NETLOC = "postgresql://postgres@127.0.0.1:{},127.0.0.1:{}/postgres?target_session_attrs=read-write"
QUERY = "postgresql://postgres@/postgres?host=127.0.0.1,127.0.0.1&port={},{}&target_session_attrs=read-write"


@pytest.fixture
async def doors(data: Path) -> AsyncIterator[tuple[Proxy, Proxy]]:
    """Two ways to one server."""
    socket = data / "postgres" / ".s.PGSQL.5432"
    both = (await Proxy(socket).start(), await Proxy(socket).start())
    yield both
    for one in both:
        await one.stop()


async def seconds(servers: Servers) -> float:
    """How long it takes to be let in and be answered."""
    begun = time.monotonic()
    connection = await servers.connect()
    took = time.monotonic() - begun
    assert await connection.fetchval("SELECT 1") == 1
    connection.terminate()
    return took


@pytest.mark.parametrize("address", [NETLOC, QUERY])
async def test_a_server_that_says_nothing_is_passed_over_and_asked_last_from_then_on(
    doors: tuple[Proxy, Proxy], address: str
) -> None:
    first, second = doors
    servers = Servers(address.format(first.port, second.port))
    assert await seconds(servers) < EACH / 2
    first.hold()
    assert EACH <= await seconds(servers) < EACH + 1
    assert await seconds(servers) < EACH / 2
    first.release()
    await second.stop()  # it refuses at once
    assert await seconds(servers) < EACH / 2
    await second.start()


async def test_when_all_are_silent_it_is_said_soon(doors: tuple[Proxy, Proxy]) -> None:
    for one in doors:
        one.hold()
    begun = time.monotonic()
    with pytest.raises(CONNECTION_LOST):
        await connect(NETLOC.format(*(one.port for one in doors)))
    assert time.monotonic() - begun < 2 * EACH + 1


async def test_a_pool_goes_on_at_the_other_server(doors: tuple[Proxy, Proxy]) -> None:
    first, second = doors
    async with await pool(NETLOC.format(first.port, second.port), 2) as held:
        assert await held.fetchval("SELECT 1") == 1
        await first.stop()
        with pytest.raises(CONNECTION_LOST):
            await held.fetchval("SELECT 1")
        assert await held.fetchval("SELECT 1") == 1
    await first.start()


@pytest.mark.skipif(network.missing() is not None, reason=str(network.missing()))
async def test_a_server_whose_cable_is_pulled_is_gone_within_seconds_whether_it_was_asked_before_or_after(
    data: Path,
) -> None:
    machine = Machine()
    try:
        door = await Proxy(data / "postgres" / ".s.PGSQL.5432", machine.database.here).start()
        dsn = f"postgresql://postgres@{machine.database.here}:{door.port}/postgres"
        command = (*machine.command, sys.executable, "-c", ASK, dsn)
        asking = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
        assert asking.stdin is not None and asking.stdout is not None
        assert await asking.stdout.readline() == b"ready\n"
        await asyncio.to_thread(machine.database.unplug)
        asking.stdin.write(b"\n")
        assert float(await asking.stdout.readline()) < SILENT + 3
        await asking.wait()
        await door.stop()
    finally:
        machine.remove()
