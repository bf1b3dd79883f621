"""SIGKILL of workers, of the hub and of PostgreSQL while messages come in: nothing that has a receipt is lost."""

import asyncio
import json
import os
import random
import signal
import urllib.request
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.acceptance.outsider import Outsider, uuid7
from tests.acceptance.verifier import read_note, tree_root, verify_receipt
from tests.conftest import RunningHub

SENDERS = 8


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> list[Outsider]:
    found = [Outsider(f"{code}-health", hub.url) for code in ("411002", "411003", "440306", "440307")]
    hub.enrol([bureau.record() for bureau in found])
    return found


def prepare(bureaus: list[Outsider], count: int) -> list[tuple[str, str, bytes]]:
    """Signed requests between the bureaus: sender, id, bytes."""
    data = bureaus[0].example("request")
    prepared = []
    for number in range(count):
        here, there = bureaus[number % 4], bureaus[(number + 1) % 4]
        event = here.event("request", uuid7(), there, data)
        prepared.append((here.id, event["id"], here.sign(json.dumps(event).encode())))
    return prepared


def victims(hub: RunningHub) -> dict[str, int]:
    """The processes of the hub by what they are."""
    children = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children").read_text().split()
    found = {"hub": hub.process.pid}
    for pid in map(int, children):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        found["worker" if b"hub.worker" in command else "database"] = pid
    return found


async def send_all(hub: RunningHub, prepared: list[tuple[str, str, bytes]], done: dict[str, dict[str, Any]]) -> None:
    """Send everything, the same bytes again until there is a receipt; `done` has them by id."""
    waiting = list(reversed(prepared))
    headers = {"Content-Type": "application/jose"}

    async def sender(session: aiohttp.ClientSession) -> None:
        while waiting:
            _, id, token = waiting.pop()
            while id not in done:
                try:
                    async with session.post(hub.url + "/v1/messages", data=token, headers=headers) as answer:
                        body = await answer.json(content_type=None)
                        if answer.status in (200, 201):
                            done[id] = body
                        else:
                            assert answer.status == 503, body
                            assert answer.headers["Retry-After"]
                except (aiohttp.ClientError, TimeoutError, OSError):
                    pass
                if id not in done:
                    await asyncio.sleep(0.1)

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        await asyncio.gather(*(sender(session) for _ in range(SENDERS)))


async def kill_on_the_way(
    hub: RunningHub, done: dict[str, Any], total: int, kills: int, chance: random.Random
) -> list[str]:
    """Kill something each time another share of the messages has its receipt; what was killed."""
    killed = []
    for number in range(kills):
        threshold = total * (number + 1) // (kills + 1)
        while len(done) < threshold:
            await asyncio.sleep(0.005)
        await asyncio.sleep(chance.random() * 0.05)
        found = victims(hub)
        kind = ("database", "hub", "worker")[number % 3]
        if kind not in found:
            kind = "hub"
        os.kill(found[kind], signal.SIGKILL)
        killed.append(kind)
        if kind == "hub":
            await asyncio.to_thread(hub.process.wait)
            await asyncio.to_thread(hub.start)
    return killed


def whole_mailbox(bureau: Outsider) -> list[dict[str, Any]]:
    """Every item, read page by page."""
    items: list[dict[str, Any]] = []
    after = 0
    while True:
        status, page = bureau.call("GET", f"/v1/mailbox?after={after}&limit=500")
        assert status == 200, page
        items += page["items"]
        if not page["behind"]:
            return items
        after = page["next"]


def leaves(hub: RunningHub, size: int) -> list[bytes]:
    """The leaf hashes of the log, from its public tiles."""
    found: list[bytes] = []
    for tile in range((size + 255) // 256):
        width = min(256, size - 256 * tile)
        name = f"{tile:03d}" + ("" if width == 256 else f".p/{width}")
        with urllib.request.urlopen(f"{hub.url}/log/tile/0/{name}", timeout=10) as response:
            body = response.read()
        found += [body[at : at + 32] for at in range(0, len(body), 32)]
    return found


@pytest.mark.timeout(1800)
def test_every_receipt_stands_after_kills_at_random(
    bureaus: list[Outsider], hub: RunningHub, pytestconfig: pytest.Config
) -> None:
    messages, kills = pytestconfig.getoption("--sends"), pytestconfig.getoption("--kills")
    chance = random.Random(pytestconfig.getoption("--fault-seed"))
    prepared = prepare(bureaus, messages)
    receipts: dict[str, dict[str, Any]] = {}

    async def campaign() -> list[str]:
        sending = asyncio.create_task(send_all(hub, prepared, receipts))
        killed = await kill_on_the_way(hub, receipts, messages, kills, chance)
        await sending
        return killed

    killed = asyncio.run(campaign())
    assert len(killed) == kills
    assert receipts.keys() == {id for _, id, _ in prepared}

    # Each receipt verifies offline, and all checkpoints ever handed out are heads of the one log there is now.
    jwks = bureaus[0].call("GET", "/.well-known/jwks.json")[1]
    heads = {verify_receipt(receipts[id], jwks, token) for _, id, token in prepared}
    with urllib.request.urlopen(hub.url + "/log/checkpoint", timeout=10) as response:
        head = read_note(response.read().decode(), jwks)
    log = leaves(hub, head.size)
    assert all(tree_root(log[: seen.size]) == seen.root for seen in {*heads, head})
    assert len({receipt["log"]["index"] for receipt in receipts.values()}) == messages

    # Each message stands in one mailbox, once, at the position its receipt says; positions have no gap.
    found: list[str] = []
    for bureau in bureaus:
        items = whole_mailbox(bureau)
        assert [item["position"] for item in items] == list(range(1, len(items) + 1))
        found += [item["receipt"]["message"] for item in items]
        for item in items:
            assert item["receipt"]["log"]["entry"] == receipts[item["receipt"]["message"]]["log"]["entry"]
    assert sorted(found) == sorted(receipts)

    audit = hub.run("audit", "--data", str(hub.data))
    assert audit.returncode == 0, audit.stderr
    print(f"{messages} messages, killed {killed}, log of {head.size}")
