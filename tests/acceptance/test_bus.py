"""Case events on a bus: real servers, killed in the middle; nothing lost, nothing new twice, no content anywhere."""

import asyncio
import base64
import contextlib
import hashlib
import importlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aio_pika
import asyncpg
import nats
import pytest
from nats.aio.client import Client as Connection

from adapters.bus.settings import Settings
from adapters.running import health
from adapters.running.configuration import section
from adapters.running.process import this_side
from adapters.running.store import Store
from hub.store import embedded
from keys import jwe
from keys.keystore import KeyStore
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, opened, said
from tests.acceptance.pages import ROOT, blocks, environment
from tests.conftest import XIEBAN, RunningHub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
PASSPHRASE = "correct horse"
NATS = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
RABBIT = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
PAGE = (ROOT / "docs/adapters/bus.md").read_text("utf-8")
SECRET = "王小明住在槐树巷九号"
needs_nats = pytest.mark.skipif(NATS is None, reason="no nats-server: apt install nats-server")
needs_rabbit = pytest.mark.skipif(not RABBIT.exists(), reason="no RabbitMQ: apt install rabbitmq-server")


@pytest.fixture(scope="module", autouse=True)
def known(hub: RunningHub) -> None:
    enrolled(hub, HERE, THERE)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bureau's key store, as an adapter has it."""
    folder = tmp_path_factory.mktemp("keys") / "keys"
    store = KeyStore(folder)
    store.create()
    for key in (HERE.signing, HERE.sealing):
        store.add(key, PASSPHRASE)
    (folder.parent / "passphrase").write_text(PASSPHRASE)
    (folder.parent / "passphrase").chmod(0o600)
    return folder


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server process of this test's own, on its own directory."""

    def __init__(self, folder: Path, command: list[str], port: int, **environment: str) -> None:
        self.folder, self.command, self.port, self.environment = folder, command, port, environment
        folder.mkdir(exist_ok=True)
        self.start()

    def start(self) -> None:
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=os.environ | self.environment, start_new_session=True
            )
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "server.log").read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def nats_server(folder: Path, *options: str) -> Iterator[Server]:
    port = free()
    assert NATS is not None
    server = Server(folder, [NATS, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder), *options], port)
    try:
        yield server
    finally:
        server.kill()


class Adapter:
    """`xieban adapter run bus`, as its own process."""

    def __init__(self, folder: Path, hub: RunningHub, keys: Path, server: str, **own: Any) -> None:
        folder.mkdir(exist_ok=True)
        self.config, self.store = folder / "config.toml", folder / "store"
        common = {"kind": "bus", "hub": hub.url, "organisation": HERE.id, "keys": str(keys), "every": 0.2,
                  "passphrase_file": str(keys.parent / "passphrase"), "store": "store", "servers": [server],
                  "timeout": 2.0}  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in (common | own).items()]
        self.config.write_text("\n".join(["[adapters.bus]", *lines, ""]), "utf-8")
        self.log = folder / "adapter.log"

    def start(self) -> None:
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([*XIEBAN, "adapter", "run", "bus", "--config", str(self.config)],
                                            stdout=log, stderr=log, cwd=ROOT, env=environment())  # fmt: skip

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(20)

    @contextlib.contextmanager
    def running(self) -> Iterator["Adapter"]:
        self.start()
        try:
            yield self
        finally:
            self.stop()

    def run(self, *arguments: str) -> str:
        return subprocess.run([*XIEBAN, "adapter", *arguments, "--config", str(self.config)], capture_output=True,
                              text=True, check=False, timeout=60).stdout  # fmt: skip

    def waits(self) -> str:
        """Why it waits, if it does."""
        store = Store(self.store)
        try:
            return "; ".join(one.why for one in health.look("bus", "bus", store).waiting)
        finally:
            store.close()


@contextlib.asynccontextmanager
async def connected(server: Server, **more: Any) -> AsyncIterator[Connection]:
    connection = await nats.connect(f"nats://127.0.0.1:{server.port}", **more)
    try:
        yield connection
    finally:
        await connection.close()


async def everything(connection: Connection, stream: str = "XIEBAN") -> list[Any]:
    """Every message of the stream, in its order."""
    context = connection.jetstream()
    found = []
    with contextlib.suppress(nats.js.errors.NotFoundError):
        state = (await context.stream_info(stream)).state
        for number in range(state.first_seq, state.last_seq + 1):
            found.append(await context.get_msg(stream, number))
    return found


async def events(server: Server, least: int, begins: str = "xieban.", within: float = 20) -> list[dict[str, Any]]:
    """The events of a subject once there are so many."""
    end = time.monotonic() + within
    while True:
        with contextlib.suppress(nats.errors.Error, OSError):
            async with connected(server, allow_reconnect=False, max_reconnect_attempts=1) as connection:
                all_ = [one for one in await everything(connection) if one.subject.startswith(begins)]
            if len(all_) >= least:
                return [json.loads(one.data or b"") | {"on": one.subject, "headers": one.headers} for one in all_]
        assert time.monotonic() < end, f"{least} never came"
        await asyncio.sleep(0.1)


def held_by(folder: Path) -> bytes:
    """Every byte that a server keeps."""
    return b"".join(one.read_bytes() for one in sorted(folder.rglob("*")) if one.is_file())


async def secret_case() -> Any:
    """A case whose content nobody but its parties may read."""
    async with THERE.client() as there:
        told = (content("errand", "request") or {}) | {"narrative": SECRET}
        return await there.open_case(HERE.id, example("errand", "request"), told, protocol="errand")


@needs_nats
async def test_a_message_is_an_event_and_its_content_stays_sealed(hub: RunningHub, keys: Path, tmp_path: Path) -> None:
    before = await mailbox(HERE)
    with nats_server(tmp_path / "nats") as server:
        adapter = Adapter(tmp_path / "a", hub, keys, f"nats://127.0.0.1:{server.port}", create=True)
        with adapter.running():
            sent = await secret_case()
            found = await events(server, len(before) + 1, f"xieban.{HERE.id}.errand")
        event = next(one for one in found if one["id"] == sent.id)
        assert event["headers"]["Content-Type"] == "application/cloudevents+json"
        assert event["headers"]["Nats-Msg-Id"] == f"{event['source']}/{event['id']}"
        assert event["on"] == f"xieban.{HERE.id}.errand.request"
        assert (event["specversion"], event["type"], event["subject"]) == ("1.0", "errand.request", sent.case)
        assert event["source"] == f"410000-hub/{HERE.id}/{THERE.id}" and event["recipient"] == HERE.id
        data = event["data"]
        assert data["message"]["data"] == example("errand", "request")
        assert data["case"]["state"] == "requested" and data["case"]["due"]["date"] > "2026"
        assert data["receipt"]["index"] == sent.receipt.log.index and event["time"] == sent.receipt.accepted
        assert data["url"] == f"{hub.url}/v1/messages/{THERE.id}/{sent.id}"
        # The adapter's own process has no key that opens anything.
        async with this_side(section(adapter.config, "bus"), PASSPHRASE).clients[HERE.id]() as client:
            assert client._sealed_with == []
        sealed = json.loads(base64.urlsafe_b64decode(sent.compact.split(b".")[1] + b"=="))["data"]["sealed"]
        for place in (tmp_path / "nats", tmp_path / "a"):
            kept = held_by(place)
            assert SECRET.encode() not in kept and json.dumps(SECRET)[1:-1].encode() not in kept
            assert sealed["ciphertext"].encode() not in kept and sent.compact not in kept
        # With the message: byte for byte as it was signed, and still sealed.
        more = Adapter(tmp_path / "b", hub, keys, f"nats://127.0.0.1:{server.port}", create=True, stream="WHOLE",
                       prefix="whole", with_message=True)  # fmt: skip
        with more.running():
            async with connected(server) as connection:
                end = time.monotonic() + 20
                while not (whole := [json.loads(one.data) for one in await everything(connection, "WHOLE")]
                           ) or whole[-1]["id"] != sent.id:  # fmt: skip
                    assert time.monotonic() < end
                    await asyncio.sleep(0.1)
        jws = whole[-1]["data"]["jws"].encode()
        assert jws == sent.compact and data["receipt"]["digest"] == "sha-256:" + hashlib.sha256(jws).hexdigest()
        assert SECRET.encode() not in held_by(tmp_path / "nats")


@needs_nats
async def test_nothing_is_lost_nothing_is_new_twice_and_cases_keep_their_order_whoever_is_killed(
    hub: RunningHub, keys: Path, tmp_path: Path
) -> None:
    with nats_server(tmp_path / "nats") as server:
        # A window of a second: what is not doubled is not doubled by it alone.
        adapter = Adapter(tmp_path / "a", hub, keys, f"nats://127.0.0.1:{server.port}", create=True, window=1 / 3600)
        stopped = asyncio.Event()

        async def kill() -> None:
            while not stopped.is_set():
                adapter.start()
                await delivering(adapter, adapter.store, 2)
                adapter.stop(signal.SIGKILL)
                server.kill()
                await asyncio.sleep(0.2)
                await asyncio.to_thread(server.start)

        async def work() -> None:
            for _ in range(7):
                case = (await opened(THERE, "errand", "request", [HERE.id])).case
                for _ in range(3):
                    await said(THERE, case, "errand", "remind")
                await asyncio.sleep(0.3)

        killing = asyncio.create_task(kill())
        with contextlib.suppress(Exception):
            await work()
        stopped.set()
        await killing
        reset(adapter)
        with adapter.running():
            expected = [(item.event.source, item.event.id) for item in await mailbox(HERE)]
            await events(server, len(expected), f"xieban.{HERE.id}.errand.")
        # The worst moment, made: published, then dead before it was noted, then away for longer than the window.
        store = Store(adapter.store)
        store.note(f"cursor/{HERE.id}", len(expected) - 1)
        store.close()
        await asyncio.sleep(1.2)
        with adapter.running():
            await delivering(adapter, adapter.store)
            found = await events(server, len(expected), f"xieban.{HERE.id}.errand.")
    ids = [(one["source"].rpartition("/")[2], one["id"]) for one in found]
    assert ids == expected, (len(ids), len(set(ids)), len(expected))
    assert audited(hub) == ""


@needs_nats
async def test_what_the_hub_tells_of_deadlines_is_told_once(hub: RunningHub, keys: Path, tmp_path: Path) -> None:
    sent = await opened(THERE, "errand", "request", [HERE.id])
    pool = await asyncpg.connect(embedded.dsn(hub.data))
    make = ("INSERT INTO notice (recipient, kind, case_id, due, step, about, made)"
            " VALUES ($1, $2, $3, '2026-12-01', $4, $5, now())")  # fmt: skip
    await pool.execute(make, HERE.id, "due-soon", sent.case, 5, "")
    await pool.execute(make, HERE.id, "overdue", sent.case, 0, HERE.id)
    await pool.execute(make, THERE.id, "overdue", sent.case, 0, HERE.id)
    await pool.close()
    with nats_server(tmp_path / "nats") as server:
        adapter = Adapter(tmp_path / "a", hub, keys, f"nats://127.0.0.1:{server.port}", create=True)
        with adapter.running():
            soon, late = await events(server, 2, f"xieban.{HERE.id}.notice.")
            adapter.stop(signal.SIGKILL)
            store = Store(adapter.store)
            store.note("cursor/partner", None)  # as if it had died before it was noted
            store.close()
            adapter.start()
            await events(server, 2)
            await asyncio.sleep(1.5)
            assert len(await events(server, 2, f"xieban.{HERE.id}.notice.")) == 2
    assert (soon["type"], soon["data"]["days"], soon["data"]["due"]) == ("xieban.notice.due-soon", 5, "2026-12-01")
    assert (late["on"], late["data"]["about"], late["subject"]) == (
        f"xieban.{HERE.id}.notice.overdue", [HERE.id], sent.case)  # fmt: skip


def wanted(id: str, type: str, data: dict[str, Any], case: str | None = None) -> bytes:
    event = {"specversion": "1.0", "source": "urn:erp", "id": id, "type": type, "data": data}
    return json.dumps(event | ({"subject": case} if case else {})).encode()


def request(id: str) -> bytes:
    """A case to be opened, with content sealed to the bureau itself."""
    told = (content("errand", "request") or {}) | {"narrative": SECRET}
    sealed = jwe.seal(json.dumps(told).encode(), [HERE.sealing.public])
    return wanted(id, "errand.request", {"message": example("errand", "request"), "content": sealed, "to": [THERE.id]})


PLAIN = wanted("plain", "errand.request", {"message": {}, "content": {"narrative": SECRET}, "to": [THERE.id]})


@needs_nats
async def test_systems_have_messages_sent_and_poison_is_put_aside(hub: RunningHub, keys: Path, tmp_path: Path) -> None:
    with nats_server(tmp_path / "nats") as server:
        adapter = Adapter(tmp_path / "a", hub, keys, f"nats://127.0.0.1:{server.port}", create=True,
                          wanted="xieban.wanted")  # fmt: skip
        with adapter.running():
            await opened(THERE, "errand", "request", [HERE.id])  # the stream is there once something is in it
            await events(server, len(await mailbox(HERE)))
            async with connected(server) as connection:
                context = connection.jetstream()
                for body in (
                    request("1"),
                    request("1"),
                    b"\xff{",
                    PLAIN,
                    wanted("bad", "errand.request", {"message": {"urgency": "?"}, "to": [THERE.id]}),
                ):
                    await context.publish(f"xieban.wanted.{HERE.id}", body)
                await context.publish("xieban.wanted.440306-health", request("theirs"))
                told = await events(server, 4, "xieban.result.")
                by = {one["data"]["of"]["id"] if one["data"]["of"] else None: one["data"] for one in told}
                assert by["1"]["taken"] and not by["bad"]["taken"] and not by[None]["taken"]
                assert "urgency" in by["bad"]["problem"] and "not JSON" in by[None]["problem"]
                accept = example("errand", "accept")
                await context.publish(f"xieban.wanted.{HERE.id}", wanted("2", "errand.withdraw",
                                      {"message": example("errand", "withdraw")}, by["1"]["case"]))  # fmt: skip
                told = await events(server, 5, "xieban.result.")
                assert told[-1]["data"]["taken"] and told[-1]["subject"] == by["1"]["case"] and accept
                consumer = await context.consumer_info("XIEBAN", f"xieban-{HERE.id}")
                assert (consumer.num_ack_pending, consumer.num_pending, consumer.num_redelivered) == (0, 0, 0)
        dead = json.loads(adapter.run("dead-letters", "bus", "--json"))
        assert {one["way"] for one in dead} == {"up"} and len(dead) == 3
        assert SECRET.encode() not in held_by(adapter.store / "dead")
    (item,) = [one for one in await mailbox(THERE) if one.event.id == by["1"]["message"]]
    async with THERE.client() as there:
        assert there.unseal(item)["narrative"] == SECRET
    assert [one for one in await mailbox(THERE) if one.event.subject == item.event.subject][1:] != []
    results = json.dumps(told, ensure_ascii=False)
    assert SECRET not in results


@needs_nats
async def test_a_bus_that_is_away_or_not_made_is_waited_for_and_said(
    hub: RunningHub, keys: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "nats"
    with nats_server(folder) as server:
        server.kill()
        adapter = Adapter(tmp_path / "a", hub, keys, f"nats://127.0.0.1:{server.port}")
        sent = await opened(THERE, "errand", "request", [HERE.id])
        with adapter.running():
            await until_waits(adapter, "Connect call failed")
            server.start()
            await until_waits(adapter, "nats stream add XIEBAN")
            async with connected(server) as connection:
                await connection.jetstream().add_stream(name="XIEBAN", subjects=["other.>"], storage="memory")
                reset(adapter)
                await until_waits(adapter, "on disk")
                await connection.jetstream().delete_stream("XIEBAN")
                await connection.jetstream().add_stream(name="XIEBAN", subjects=["other.>"])
                reset(adapter)
                await until_waits(adapter, "no stream takes")
                await connection.jetstream().update_stream(name="XIEBAN", subjects=["xieban.>"])
            reset(adapter)
            found = await events(server, len(await mailbox(HERE)), f"xieban.{HERE.id}.errand.")
            assert sent.id in [one["id"] for one in found]
            # One that takes events and does not answer in time: they are there once all the same.
            server.process.send_signal(signal.SIGSTOP)
            await opened(THERE, "errand", "request", [HERE.id])
            await until_waits(adapter, "timeout")
            server.process.send_signal(signal.SIGCONT)
            reset(adapter)
            found = await events(server, len(await mailbox(HERE)), f"xieban.{HERE.id}.errand.")
            assert [one["id"] for one in found] == [item.event.id for item in await mailbox(HERE)]


def reset(adapter: Adapter) -> None:
    """What `xieban adapter reset` does."""
    store = Store(adapter.store)
    store.reset()
    store.close()


async def until_waits(adapter: Adapter, words: str) -> None:
    end = time.monotonic() + 20
    while words not in adapter.waits():
        assert time.monotonic() < end, adapter.waits() + adapter.log.read_text()
        await asyncio.sleep(0.1)


@needs_nats
async def test_it_is_let_in_by_what_lies_in_files(hub: RunningHub, keys: Path, tmp_path: Path) -> None:
    nkeys = importlib.import_module("nkeys")  # it ships no types
    pair = nkeys.from_seed(nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER))
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                   "-subj", "/CN=bus", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2",
                   "-keyout", str(tmp_path / "tls.key"), "-out", str(tmp_path / "tls.pem")]  # fmt: skip
    subprocess.run(certificate, check=True, capture_output=True)
    # No more than the page says.
    (line,) = re.findall(r"Permissions in NATS\*: publish (.*); subscribe `_INBOX.>`", PAGE.replace("\n", " "))
    allowed = re.findall(r"`(\S+)`", line.replace("with `create`", ""))
    (tmp_path / "nats.conf").write_text(
        f'authorization {{ users = [ {{ nkey: "{pair.public_key.decode()}", permissions: {{'
        f'publish: {json.dumps(allowed)}, subscribe: "_INBOX.>" }} }}, {{ user: me, password: s3cret }} ] }}\n'
        f'tls {{ cert_file: "{tmp_path}/tls.pem", key_file: "{tmp_path}/tls.key" }}\n'
    )
    (tmp_path / "a").mkdir()
    for name, text in (("nkey", pair.seed.decode()), ("password", "guess")):
        (tmp_path / "a" / name).write_text(text)
        (tmp_path / "a" / name).chmod(0o600)
    with nats_server(tmp_path / "nats", "-c", str(tmp_path / "nats.conf")) as server:
        await opened(THERE, "errand", "request", [HERE.id])
        common = {"create": True, "wanted": "xieban.wanted", "ca_file": str(tmp_path / "tls.pem")}
        address = f"tls://127.0.0.1:{server.port}"
        adapter = Adapter(tmp_path / "a", hub, keys, address, nkey_file="nkey", **common)
        with adapter.running():
            await delivering(adapter, adapter.store)
        adapter = Adapter(tmp_path / "a", hub, keys, address, user="me", password_file="password", **common)
        await opened(THERE, "errand", "request", [HERE.id])
        with adapter.running():
            await until_waits(adapter, "uthorization")
            (tmp_path / "a" / "password").write_text("s3cret")
            reset(adapter)
            while adapter.waits():
                await asyncio.sleep(0.1)


async def delivering(adapter: Adapter, folder: Path, more: int = 1) -> None:
    """Until the bus took so many messages more, or there are no more."""
    name, store, end = f"cursor/{HERE.id}", Store(folder), time.monotonic() + 20
    whole = len(await mailbox(HERE))
    wanted_ = min(whole, int(store.noted(name) or 0) + more)
    while int(store.noted(name) or 0) < wanted_:
        assert time.monotonic() < end, adapter.log.read_text()
        await asyncio.sleep(0.01)
    store.close()


@needs_nats
async def test_what_the_page_says_is_run_as_it_stands(hub: RunningHub, keys: Path, tmp_path: Path) -> None:
    (told,), (react, ask) = blocks(PAGE, "toml"), blocks(PAGE, "python")
    shutil.copytree(keys, tmp_path / "weidu")
    shutil.copy2(keys.parent / "passphrase", tmp_path / "passphrase")
    with nats_server(tmp_path / "nats") as server:
        addresses = {"http://127.0.0.1:8420": hub.url, "127.0.0.1:4222": f"127.0.0.1:{server.port}"}

        def here(text: str) -> str:
            for old, new in addresses.items():
                text = text.replace(old, new)
            return text

        def run(script: str) -> str:
            done = subprocess.run([sys.executable, "-c", here(script)], capture_output=True, text=True, timeout=60,
                                  check=False)  # fmt: skip
            assert done.returncode == 0, done.stderr
            return done.stdout

        sent = await opened(THERE, "errand", "request", [HERE.id])
        adapter = Adapter(tmp_path, hub, keys, "")
        adapter.config.write_text(here(told), "utf-8")
        adapter.store = tmp_path / "bus"
        with adapter.running():
            # As the program of the page would have it after some time.
            expected = await mailbox(HERE)
            found = await events(server, len(expected), f"xieban.{HERE.id}.errand.")
            assert sent.case in [one["subject"] for one in found]
            seen = await asyncio.to_thread(run, react)
            assert f"{expected[0].event.type} {expected[0].event.subject} " in seen
            result = await asyncio.to_thread(run, ask.replace("CASE", sent.case))
            assert "'taken': True" in result and sent.case in result
    for table in re.findall(r"^\| `[^|]*\|", PAGE, re.MULTILINE):
        for name in re.findall(r"`([a-z_]+)(?: = [^`]*)?`", table):
            assert name in {*Settings.__struct_fields__, "opens"}, name


# RabbitMQ ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[Server]:
    port, names = free(), free()
    (folder / "home").mkdir(parents=True)
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\nlog.file = false\nlog.console = true\n")
    node = f"bus{port}@localhost"
    places = {
        "HOME": str(folder / "home"), "RABBITMQ_NODENAME": node, "ERL_EPMD_PORT": str(names),
        "RABBITMQ_DIST_PORT": str(free()), "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"), "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"), "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
        "ERL_EPMD_RELAXED_COMMAND_CHECK": "1", "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 +sbwt none",
    }  # fmt: skip
    server = Server(folder, [str(RABBIT)], port, **places)
    try:
        yield server
    finally:
        server.kill()
        subprocess.run(["epmd", "-port", str(names), "-kill"], capture_output=True, check=False)


@needs_rabbit
async def test_rabbitmq_serves_by_the_same_port(hub: RunningHub, keys: Path, tmp_path: Path) -> None:
    with rabbitmq(tmp_path / "rabbit") as server:
        address = f"amqp://127.0.0.1:{server.port}"
        adapter = Adapter(tmp_path / "a", hub, keys, address, create=True, wanted="xieban.wanted")
        with adapter.running():
            await opened(THERE, "errand", "request", [HERE.id])
            await delivering(adapter, adapter.store)
            expected = len(await mailbox(HERE))
            connection = await aio_pika.connect(address)
            async with connection:
                channel = await connection.channel()
                await channel.set_qos(prefetch_count=500)
                exchange = await channel.get_exchange("XIEBAN", ensure=False)
                for body in (request("r1"), b"poison", PLAIN):
                    await exchange.publish(aio_pika.Message(body), f"xieban.wanted.{HERE.id}")
                adapter.stop(signal.SIGKILL)
                adapter.start()
                sent = await secret_case()
                stream = await channel.get_queue("XIEBAN", ensure=False)
                got: list[aio_pika.abc.AbstractIncomingMessage] = []

                def done() -> bool:
                    results = [one for one in got if "result" in (one.routing_key or "")]
                    return len(results) >= 3 and sent.id in {json.loads(one.body)["id"] for one in events_of(got)}

                async with stream.iterator(arguments={"x-stream-offset": "first"}) as reading:
                    async with asyncio.timeout(30):
                        async for one in reading:
                            await one.ack()
                            got.append(one)
                            if done():
                                break
        found = [json.loads(one.body) for one in events_of(got)]
        ids = list(dict.fromkeys(one["id"] for one in found))  # the broker knows nothing again: who reads does
        assert ids == [item.event.id for item in await mailbox(HERE)] and len(ids) == expected + 1
        assert {one.content_type for one in events_of(got)} == {"application/cloudevents+json"}
        assert {one.message_id for one in events_of(got)} == {f"{one['source']}/{one['id']}" for one in found}
        taken = [json.loads(one.body)["data"] for one in got if "result" in (one.routing_key or "")]
        assert {one["of"]["id"] if one["of"] else None: one["taken"] for one in taken} == {
            "r1": True, None: False, "plain": False}  # fmt: skip
        assert all(SECRET not in one.body.decode() for one in got if one.body != PLAIN)


def events_of(got: list[aio_pika.abc.AbstractIncomingMessage]) -> list[aio_pika.abc.AbstractIncomingMessage]:
    """The events of messages among what was read."""
    return [one for one in got if (one.routing_key or "").startswith(f"xieban.{HERE.id}.")
            and "notice" not in (one.routing_key or "")]  # fmt: skip
