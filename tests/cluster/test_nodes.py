"""A hub of several nodes: one case whichever node is asked, and nothing lost when nodes and databases are killed."""

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

import pytest

from adapters.client import Patience, Refused
from keys import jwk, jwt
from protocols import envelope
from tests.acceptance.bureaus import Bureau, content, example, mailbox, opened, said, view
from tests.cluster.databases import Database, dsn, pair
from tests.cluster.nodes import HAPROXY, nodes, proxied
from tests.conftest import RunningHub

CASE = "case-assistance"
PATIENT = Patience(within=90.0, first=0.05, longest=1.0)


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Database, Database]]:
    with pair() as both:
        yield both


@pytest.fixture(scope="module")
def hubs(databases: tuple[Database, Database]) -> Iterator[list[RunningHub]]:
    with nodes(dsn(*databases), 2) as found:
        yield found


def enroll(hubs: list[RunningHub], *bureaus: Bureau) -> None:
    file = hubs[0].data.parent / "organisations.json"
    file.write_text(json.dumps([one.record() for one in bureaus]))
    done = hubs[0].run("organisations", "import", str(file), *beside(hubs[0]))
    assert done.returncode == 0, done.stderr
    for number, one in enumerate(bureaus):
        one.url = hubs[number % len(hubs)].url


def beside(hub: RunningHub) -> list[str]:
    """The options of a command that works on this node's database."""
    return ["--data", str(hub.data), "--config", str(hub.data.parent / "config.toml")]


def audited(hub: RunningHub) -> str:
    done = hub.run("audit", *beside(hub))
    return "" if done.returncode == 0 else done.stdout + done.stderr


async def test_one_case_on_two_nodes_and_word_of_it_at_once(hubs: list[RunningHub]) -> None:
    a, b = Bureau("411002-health"), Bureau("440306-health")
    enroll(hubs, a, b)
    async with b.client() as client:
        waiting = asyncio.create_task(client.poll(0, wait=30))
        await asyncio.sleep(1.0)  # it waits at the second node
        begun = time.monotonic()
        sent = await opened(a, CASE, "request", [b.id])
        (item,) = (await waiting).items
        assert item.compact == sent.compact and time.monotonic() - begun < 1.5
    await said(b, sent.case, CASE, "accept")
    assert (await view(a, sent.case))["state"] == "in-progress"


async def test_keys_that_one_node_learns_count_at_every_node_from_then_on(hubs: list[RunningHub]) -> None:
    a, b = Bureau("411003-health"), Bureau("440307-health")
    enroll(hubs, a, b)
    sent = await opened(a, CASE, "request", [b.id])
    await said(b, sent.case, CASE, "accept")  # both nodes know both
    lost, b.signing = b.signing, jwk.generate_signing()
    enroll(hubs, a, b)
    old = Bureau(b.id, hubs[1].url, lost, b.sealing)
    with pytest.raises(Refused):
        await said(old, sent.case, CASE, "answer")
    await said(b, sent.case, CASE, "answer")


async def test_one_leads_and_another_takes_over_in_seconds(hubs: list[RunningHub]) -> None:
    first = await asyncio.to_thread(leader, hubs)
    assert first is not None
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    (left,) = [one for one in hubs if one is not first]
    begun = time.monotonic()
    while await asyncio.to_thread(leader, [left]) is not left:
        assert time.monotonic() - begun < 20
    first.start()


@pytest.mark.skipif(HAPROXY is None, reason="no haproxy: apt install haproxy")
async def test_behind_the_proxy_a_node_that_dies_costs_a_retry_and_nothing_else(hubs: list[RunningHub]) -> None:
    senders = [Bureau(f"4110{n:02}-civil-affairs") for n in range(20, 23)]
    receiver = Bureau("440309-civil-affairs")
    enroll(hubs, *senders, receiver)
    with proxied(hubs) as url:
        for one in (*senders, receiver):
            one.url = url
        async with load(senders, receiver) as taken:
            await more(taken, 10)
            os.kill(hubs[0].process.pid, signal.SIGKILL)
            hubs[0].process.wait()
            await more(taken, 20)
            await asyncio.to_thread(hubs[0].start)
        assert sorted(item.event.id for item in await mailbox(receiver)) == sorted(id for _, id in taken)


@contextlib.asynccontextmanager
async def load(senders: Sequence[Bureau], receiver: Bureau) -> AsyncIterator[list[tuple[float, str]]]:
    """Bureaus that send all the time, as long as it lasts: when each message had its receipt, and its id."""
    taken: list[tuple[float, str]] = []
    stop = asyncio.Event()
    work = [asyncio.create_task(send(one, receiver, taken, stop)) for one in senders]
    try:
        yield taken
    finally:
        stop.set()
        await asyncio.gather(*work)


def leader(hubs: list[RunningHub]) -> RunningHub | None:
    """The node of which a process leads what is done on dates; None where it is none of these."""
    asked = hubs[0].run("schedule", "list", "--json", *beside(hubs[0]))
    assert asked.returncode == 0, asked.stderr
    pid = (json.loads(asked.stdout)["lead"]["leader"] or "/0/").split("/")[1]
    return next((one for one in hubs if pid in workers(one)), None)


def workers(hub: RunningHub) -> list[str]:
    """The process ids of a node's workers."""
    file = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children")
    return file.read_text().split() if file.exists() else []


async def test_the_primary_dies_under_load_and_intake_goes_on_at_the_standby_with_everything_acknowledged(
    hubs: list[RunningHub], databases: tuple[Database, Database]
) -> None:
    primary, standby = databases
    senders = [Bureau(f"4110{n:02}-civil-affairs") for n in range(10, 14)]
    receiver = Bureau("440308-civil-affairs")
    enroll(hubs, *senders, receiver)
    assert not {one for one in diagnosed(hubs[0]) if one.startswith("standby")}
    careless = hubs[0].data.parent / "careless.toml"
    careless.write_text(f'[database]\nurl = "{dsn(primary, standby).partition("?")[0]}"\n')
    assert "standby-not-passed-over" in diagnosed(hubs[0], careless)
    async with load(senders, receiver) as taken:
        await more(taken, 20)
        await asyncio.to_thread(primary.kill)
        status, headers = await asyncio.to_thread(poll, receiver)
        assert status == 503 and int(headers["Retry-After"]) > 0
        before = len(taken)
        await asyncio.to_thread(standby.promote)
        promoted = time.monotonic()
        await more(taken, 20)
    assert taken[before][0] - promoted < 10
    found = [item.event.id for item in await mailbox(receiver)]
    assert sorted(found) == sorted(id for _, id in taken)  # each once, and nothing besides
    assert audited(hubs[0]) == ""
    assert "standby-asynchronous" in diagnosed(hubs[0])  # it has no standby of its own yet


def diagnosed(hub: RunningHub, config: Path | None = None) -> set[str]:
    """What `xieban doctor` finds, with the node's own configuration or another."""
    options = ["--data", str(hub.data), "--config", str(config)] if config is not None else beside(hub)
    done = hub.run("doctor", "--json", "--offline", *options)
    return {one["code"] for one in json.loads(done.stdout)["findings"]}


def poll(bureau: Bureau) -> tuple[int, Message]:
    """What the bureau is answered that asks for its mailbox: the status and the headers."""
    token = jwt.bearer(bureau.id, "410000-hub", bureau.signing, datetime.now(UTC))
    request = urllib.request.Request(bureau.url + "/v1/mailbox", headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.headers


async def send(by: Bureau, to: Bureau, taken: list[tuple[float, str]], stop: asyncio.Event) -> None:
    """Open cases one after another; each message is sent until it has its receipt, as the SDK does by itself."""
    async with by.client(patience=PATIENT) as client:
        while not stop.is_set():
            sent = await client.send(f"{CASE}.request", envelope.new_id(), [to.id], example(CASE, "request"),
                                     content(CASE, "request"))  # fmt: skip
            taken.append((time.monotonic(), sent.id))


async def more(taken: list[tuple[float, str]], count: int) -> None:
    """Wait until so many further messages have their receipts."""
    until = len(taken) + count
    async with asyncio.timeout(90):
        while len(taken) < until:
            await asyncio.sleep(0.02)
