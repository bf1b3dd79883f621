"""More than the hub can do: it says so at once, takes all that it let in, and loses nothing."""

import asyncio
import json
import time
import urllib.request
from typing import Any

import aiohttp
import asyncpg
import pytest

from hub.store import embedded
from tests.acceptance.alarms import PROMTOOL, ringing
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub

CROWD = 2_700
"""More than the hub lets in at once, however quick it hopes to be."""
JOSE = {"Content-Type": "application/jose"}


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> list[Outsider]:
    found = [Outsider(f"{code}-health", hub.url) for code in ("411002", "411003")]
    hub.enrol([bureau.record() for bureau in found])
    return found


def opening(bureaus: list[Outsider], data: dict[str, Any]) -> bytes:
    here, there = bureaus
    return here.sign(json.dumps(here.event("request", uuid7(), there, data)).encode())


def numbers(hub: RunningHub) -> str:
    """What the hub counts."""
    with urllib.request.urlopen(hub.url + "/metrics", timeout=20) as answer:
        return str(answer.read().decode())


async def post(session: aiohttp.ClientSession, hub: RunningHub, token: bytes) -> tuple[int, str | None, Any]:
    async with session.post(hub.url + "/v1/messages", data=token, headers=JOSE) as answer:
        return answer.status, answer.headers.get("Retry-After"), await answer.json(content_type=None)


async def seconds_of_rest(hub: RunningHub, token: bytes) -> float:
    """How long a connection whose message was refused waits for the answer to its next call."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    length = f"Content-Length: {len(token)}".encode()
    head = b"POST /v1/messages HTTP/1.1\r\nHost: hub\r\nContent-Type: application/jose\r\n" + length
    writer.write(head + b"\r\n\r\n" + token)
    assert b" 503 " in await reader.readline()
    refused = time.monotonic()
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: hub\r\n\r\n")
    while b"200 OK" not in await reader.readline():
        pass
    writer.close()
    return time.monotonic() - refused


async def test_while_nothing_can_be_written_the_surplus_is_refused_at_once_and_the_rest_is_taken(
    hub: RunningHub, bureaus: list[Outsider]
) -> None:
    data, quiet = bureaus[0].example("request"), numbers(hub)
    tokens = [opening(bureaus, data) for _ in range(CROWD)]
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    limits = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=limits, timeout=aiohttp.ClientTimeout(90)) as session:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT FROM log_head FOR UPDATE")
        sent = {asyncio.create_task(post(session, hub, token)): token for token in tokens}
        done, waiting = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED, timeout=60)
        assert done and waiting, "nothing was refused while nothing could be written"
        async with session.get(hub.url + "/readyz") as ready:
            assert ready.status == 200
        assert await seconds_of_rest(hub, opening(bureaus, data)) > 0.9
        await transaction.rollback()
        await asyncio.wait(waiting)
        answers = {sent[task]: task.result() for task in sent}
        refused = [token for token, (status, _, _) in answers.items() if status == 503]
        assert refused and {status for status, _, _ in answers.values()} == {201, 503}
        for token in refused:
            _, after, problem = answers[token]
            assert (after, problem["type"].rpartition("/")[2], problem["retryable"]) == ("1", "overloaded", True)
        assert PROMTOOL is None or "Overload" in ringing(numbers(hub), quiet) - ringing(quiet)
        await asyncio.sleep(1)
        again = [await post(session, hub, token) for token in refused]
        assert {status for status, _, _ in again} == {201}
    await connection.close()
    assert hub.run("audit", "--data", str(hub.data)).returncode == 0
