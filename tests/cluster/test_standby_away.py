"""While the standby is away nothing is acknowledged: not what waits for it, nor what was taken and is sent again."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from adapters.client import Patience
from hub.store import Connection, connecting
from hub.store.connecting import CommitUnconfirmed
from protocols.envelope import new_id
from tests.acceptance.bureaus import Bureau, content, example, mailbox
from tests.cluster.databases import Database, dsn, pair
from tests.cluster.nodes import nodes
from tests.cluster.test_nodes import audited, diagnosed, enroll
from tests.conftest import RunningHub

CASE = "case-assistance"
HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
ONCE = "[limits]\nmessages = 0.001\nmessages_burst = 1\n"
"""Whoever sends a second time is refused, and what was sent is looked up without being judged again."""
WAITS = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Database, Database]]:
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def hub(databases: tuple[Database, Database]) -> Iterator[RunningHub]:
    with nodes(dsn(*databases), 1, more=ONCE) as (one,):
        enroll([one], HERE, THERE)
        yield one


@pytest.fixture
async def connection(databases: tuple[Database, Database]) -> AsyncIterator[Connection]:
    found = await connecting.connect(dsn(*databases))
    await found.execute("CREATE TABLE IF NOT EXISTS promise (id int)")
    await found.execute("TRUNCATE promise")
    yield found
    found.terminate()


async def promised(connection: Connection) -> None:
    async with connection.transaction():
        await connection.execute("INSERT INTO promise VALUES (1)")


def seen(database: Database) -> str:
    return database.query("SELECT count(*) FROM promise")


async def waiting(database: Database) -> str:
    """The backend whose commit waits for the standby."""
    until = time.monotonic() + 10
    while not (found := await asyncio.to_thread(database.query, WAITS)):
        assert time.monotonic() < until
        await asyncio.sleep(0.05)
    return found


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("ends", ["too long", "given up"])
async def test_a_commit_that_nobody_waits_for_any_more_is_not_shown_before_the_standby_has_it(
    databases: tuple[Database, Database], ends: str
) -> None:
    primary, standby = databases
    bounded = await connecting.connect(dsn(*databases), command_timeout=1.0 if ends == "too long" else 60.0)
    with standby.frozen():
        promise = asyncio.create_task(promised(bounded))
        await waiting(primary)
        if ends == "given up":
            promise.cancel()
        with pytest.raises(TimeoutError if ends == "too long" else asyncio.CancelledError):
            await promise
        assert bounded.is_closed()
        await asyncio.sleep(0.5)
        assert seen(primary) == "0"
    until = time.monotonic() + 10
    while seen(primary) != "1":
        assert time.monotonic() < until
        await asyncio.sleep(0.1)


async def test_asyncpg_alone_would_have_shown_it(databases: tuple[Database, Database], connection: Connection) -> None:
    primary, standby = databases
    plain = await asyncpg.connect(dsn(*databases), command_timeout=0.5)
    with standby.frozen():
        with pytest.raises(TimeoutError):
            await promised(plain)
        await asyncio.sleep(0.5)
        assert seen(primary) == "1"
    await plain.close()


async def test_a_wait_that_an_operator_cancels_is_no_confirmation(
    databases: tuple[Database, Database], connection: Connection
) -> None:
    primary, standby = databases
    with standby.frozen():
        promise = asyncio.create_task(promised(connection))
        await asyncio.to_thread(primary.query, f"SELECT pg_cancel_backend({await waiting(primary)})")
        with pytest.raises(CommitUnconfirmed):
            await promise
    assert await connection.fetchval("SELECT count(*) FROM promise") == 1


async def test_no_receipt_is_given_again_for_what_only_the_primary_has(
    hub: RunningHub, databases: tuple[Database, Database]
) -> None:
    primary, standby = databases
    async with HERE.client(patience=Patience(within=0)) as client:
        sealed = content(CASE, "request")
        draft = await client.prepare(f"{CASE}.request", new_id(), [THERE.id], example(CASE, "request"), sealed)
        with standby.frozen():
            sending = asyncio.create_task(client.resend(draft))
            await waiting(primary)
            # The primary starts again after a crash, and shows what it has; the standby does not answer.
            await asyncio.to_thread(primary.kill)
            await asyncio.to_thread(primary.start)
            until = time.monotonic() + 20
            while await asyncio.to_thread(primary.query, "SELECT count(*) FROM message") != "1":
                assert time.monotonic() < until
                await asyncio.sleep(0.1)
            again = asyncio.create_task(client.resend(draft))
            await waiting(primary)
            await asyncio.sleep(2)
            assert not sending.done() and not again.done()
            until = time.monotonic() + 20
            while "standby-absent" not in await asyncio.to_thread(diagnosed, hub):
                assert time.monotonic() < until
        first, second = (await sending).receipt, (await again).receipt
        assert first.log.entry == second.log.entry
    await asyncio.to_thread(primary.kill)
    await asyncio.to_thread(standby.promote)
    assert [item.event.id for item in await mailbox(THERE)] == [draft.event.id]
    assert audited(hub) == "" and "standby-absent" not in diagnosed(hub)
