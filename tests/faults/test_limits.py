"""What one organisation may ask: beyond it 429, and the others do not notice; who only holds connections is cut off."""

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from adapters.client import Patience
from tests.acceptance.bureaus import Bureau, content, example, mailbox
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub, running_hub

CASE = "case-assistance"
JOSE = {"Content-Type": "application/jose"}
CONFIG = """
[limits]
messages = 5.0
messages_burst = 10
calls = 5.0
calls_burst = 20
waiting = 3
idle = 2.0
body = 2.0
"""


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    config = tmp_path_factory.mktemp("limits") / "config.toml"
    config.write_text(CONFIG)
    with running_hub("--config", str(config)) as hub:
        yield hub


def pair(hub: RunningHub, first: int) -> tuple[Outsider, Outsider]:
    both = Outsider(f"{first}-health", hub.url), Outsider(f"{first + 1}-health", hub.url)
    hub.enrol([one.record() for one in both])
    return both


def signed(here: Outsider, there: Outsider, data: dict[str, Any], count: int) -> list[bytes]:
    return [here.sign(json.dumps(here.event("request", uuid7(), there, data)).encode()) for _ in range(count)]


def test_beyond_its_rate_an_organisation_gets_429_and_nobody_else_does(strict: RunningHub) -> None:
    here, there = pair(strict, 411002)
    data = here.example("request")
    tokens = signed(here, there, data, 14)
    status, answer = here.call("POST", "/v1/messages/batch", b"\n".join(tokens), "application/x-ndjson")
    lines = [json.loads(line) for line in bytes(answer).split(b"\n") if line] if isinstance(answer, bytes) else [answer]
    assert status == 200
    refused = [line for line in lines if "digest" not in line]
    assert len(lines) == 14 and 2 <= len(refused) <= 4
    assert {(one["status"], one["type"], one["retryable"]) for one in refused} == {
        (429, "/problems/rate-limited", True)
    }
    (late,) = signed(here, there, data, 1)
    assert here.call("POST", "/v1/messages", late)[0] == 429
    assert here.call("POST", "/v1/messages", tokens[0])[0] == 200  # what was taken has its receipt, whatever the rate
    assert there.call("POST", "/v1/messages", signed(there, here, data, 1)[0])[0] == 201
    time.sleep(1.1)
    assert here.call("POST", "/v1/messages", late)[0] == 201


def test_the_lines_of_one_call_keep_their_order_whoever_signed_them(hub: RunningHub) -> None:
    here, there = pair(hub, 411014)
    data, lines = here.example("request"), []
    for _ in range(60):
        event = here.event("request", uuid7(), there, data)
        lines.append(here.sign(json.dumps(event).encode()))
    accept = there.event("accept", event["subject"], here, there.example("accept"))
    lines.append(there.sign(json.dumps(accept).encode()))
    status, answer = there.call("POST", "/v1/messages/batch", b"\n".join(lines), "application/x-ndjson")
    assert status == 200
    assert ["digest" in json.loads(line) for line in answer.split(b"\n") if line] == [True] * 61


async def test_the_client_waits_as_it_is_told_and_sends_everything_once(strict: RunningHub) -> None:
    here, there = Bureau("411004-health", strict.url), Bureau("411005-health", strict.url)
    strict.enrol([here.record(), there.record()])
    async with here.client(patience=Patience(within=60.0)) as client:
        sent = []
        for _ in range(15):
            sent.append(await client.open_case(there.id, example(CASE, "request"), content(CASE, "request")))
    items = await mailbox(there)
    assert [one.event.id for one in items] == [one.id for one in sent]


async def test_calls_and_waiting_polls_have_their_limits_and_say_when_to_come_again(strict: RunningHub) -> None:
    here, there = pair(strict, 411006)
    async with aiohttp.ClientSession() as session:

        async def poll(wait: int) -> tuple[int, str | None]:
            headers = {"Authorization": f"Bearer {there.token()}"}
            async with session.get(f"{strict.url}/v1/mailbox?wait={wait}", headers=headers) as answer:
                return answer.status, answer.headers.get("Retry-After")

        found = await asyncio.gather(*(poll(2) for _ in range(6)))
        assert sorted(found, key=str) == [(200, None)] * 3 + [(429, "1")] * 3
        found = [await poll(0) for _ in range(40)]
        assert found[0] == (200, None) and found[-1] == (429, "1")
    assert here.call("GET", "/v1/mailbox")[0] == 200


async def closed_after(hub: RunningHub, first: bytes, drip: bytes) -> float:
    """How long a connection lasts on which a byte comes now and then, and nothing is ever whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", hub.port)
    begun = time.monotonic()
    writer.write(first)
    reading = asyncio.create_task(reader.read())
    try:
        while not reading.done() and time.monotonic() - begun < 20:
            await asyncio.sleep(0.2)
            writer.write(drip)
            await writer.drain()
    except ConnectionError:
        pass
    reading.cancel()
    writer.close()
    return time.monotonic() - begun


HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: hub\r\nContent-Type: application/jose\r\nContent-Length: 1000\r\n\r\n"


async def test_who_only_holds_connections_is_cut_off_and_nobody_waits_for_them(strict: RunningHub) -> None:
    here, _ = pair(strict, 411008)
    slow = [closed_after(strict, b"GET /v1/mailbox HTTP/1.1\r\nX-Slow: ", b"x") for _ in range(150)]
    slow += [closed_after(strict, b"", b"") for _ in range(20)]
    slow += [closed_after(strict, HEAD, b"e") for _ in range(150)]
    held = asyncio.gather(*slow)
    await asyncio.sleep(0.5)
    begun = time.monotonic()
    assert (await asyncio.to_thread(here.call, "GET", "/v1/mailbox"))[0] == 200
    assert time.monotonic() - begun < 2.0
    lasted = await held
    assert max(lasted) < 15.0, "cut off within seconds, not when they like"


@pytest.mark.parametrize(
    "head",
    [b"X-Large: " + b"x" * 9_000, b"\r\n".join(b"X-%d: x" % number for number in range(200)), b"X\0: x"],
    ids=["large", "many", "nul"],
)
async def test_heads_that_are_too_large_are_refused(strict: RunningHub, head: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
    writer.write(b"GET /v1/hub HTTP/1.1\r\nHost: hub\r\n" + head + b"\r\n\r\n")
    assert b" 400 " in await reader.readline()
    writer.close()


@pytest.mark.timeout(180)
async def test_one_that_floods_does_not_slow_the_others(hub: RunningHub, capsys: pytest.CaptureFixture[str]) -> None:
    flooding, there = pair(hub, 411010)
    honest, _ = pair(hub, 411012)
    data = flooding.example("request")
    flood = signed(flooding, there, data, 4_000)
    calm, beside = signed(honest, there, data, 60), signed(honest, there, data, 60)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        alone = await _latencies(session, hub, calm)
        stop = asyncio.Event()
        floods = [asyncio.create_task(_flood(session, hub, flood, stop)) for _ in range(200)]
        await asyncio.sleep(0.5)
        crowded = await _latencies(session, hub, beside)
        stop.set()
        await asyncio.gather(*floods)
    before, after = (statistics.quantiles(one, n=20)[-1] for one in (alone, crowded))
    with capsys.disabled():
        print(f"\np95 of a partner: alone {1000 * before:.0f} ms, beside one that floods {1000 * after:.0f} ms")
    assert max(crowded) < 3.0, "every message is taken, without a refusal, in bounded time"


async def _latencies(session: aiohttp.ClientSession, hub: RunningHub, tokens: list[bytes]) -> list[float]:
    found = []
    for token in tokens:
        begun = time.monotonic()
        async with session.post(hub.url + "/v1/messages", data=token, headers=JOSE) as answer:
            assert answer.status == 201, await answer.text()
        found.append(time.monotonic() - begun)
        await asyncio.sleep(0.02)
    return found


async def _flood(session: aiohttp.ClientSession, hub: RunningHub, tokens: list[bytes], stop: asyncio.Event) -> None:
    """Send as fast as it goes, and never mind a Retry-After."""
    while tokens and not stop.is_set():
        async with session.post(hub.url + "/v1/messages", data=tokens.pop(), headers=JOSE) as answer:
            assert answer.status in (201, 429, 503)
