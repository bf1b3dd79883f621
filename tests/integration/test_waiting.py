"""Those who wait for their mailbox: woken by name, and found by looking where a notification was lost."""

import asyncio
import json

import aiohttp
import asyncpg

from hub.mailbox import Waiters
from hub.store import Connection, embedded
from hub.store.migrate import migrate
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub


async def test_only_those_are_woken_for_whom_something_came() -> None:
    waiters = Waiters()
    with waiters.listening("411002-health", 0) as one, waiters.listening("411003-health", 0) as other:
        waiters.wake(["411003-health", "411009-health"])
        assert (one.is_set(), other.is_set()) == (False, True)
        waiters.close()
        assert one.is_set()
    waiters.wake(["411002-health"])


async def test_a_look_finds_what_lies_beyond_the_cursor(empty: Connection) -> None:
    await migrate(empty)
    await empty.execute(
        "INSERT INTO mailbox_counter (recipient, last) VALUES ('411002-health', 7), ('411003-health', 0)"
    )
    waiters = Waiters()
    with (
        waiters.listening("411002-health", 6) as behind,
        waiters.listening("411003-health", 0) as nothing,
        waiters.listening("411009-health", 0) as unknown,
    ):
        await waiters.look(empty)
        assert (behind.is_set(), nothing.is_set(), unknown.is_set()) == (True, False, False)
    with waiters.listening("411002-health", 7) as up_to_date:
        await waiters.look(empty)
        assert not up_to_date.is_set()


async def test_a_commit_names_the_recipients_to_every_process(hub: RunningHub) -> None:
    here, there = (Outsider(f"{code}-health", hub.url) for code in ("411002", "411003"))
    hub.enrol([here.record(), there.record()])
    token = here.sign(json.dumps(here.event("request", uuid7(), there, here.example("request"))).encode())
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    notices: asyncio.Queue[str] = asyncio.Queue()
    await connection.add_listener("xieban", lambda *notice: notices.put_nowait(notice[3]))
    async with (
        aiohttp.ClientSession(headers={"Content-Type": "application/jose"}) as session,
        session.post(hub.url + "/v1/messages", data=token) as answer,
    ):
        assert answer.status == 201
    async with asyncio.timeout(20):
        assert await notices.get() == there.id
    await connection.close()
