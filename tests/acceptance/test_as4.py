"""An AS4 partner: a real hub, our adapter, and an access point that is not ours; both ways, whatever goes wrong."""

import asyncio
import base64
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.as4.ledger import Ledger
from adapters.client import Patience
from adapters.running import kinds
from adapters.running.configuration import section
from adapters.running.station import Station
from adapters.running.store import Store
from keys.keystore import KeyStore
from protocols import envelope
from tests.acceptance.as4.parties import Counterpart, keys, missing
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, opened
from tests.acceptance.pages import ROOT, environment
from tests.conftest import XIEBAN, RunningHub

pytestmark = [
    pytest.mark.skipif(missing() is not None, reason=missing() or ""),
]
THERE = Bureau("440306-health")
BUREAUS = [
    Bureau(f"{division}-{department}")
    for division in ("411002", "411003", "411024", "411025", "411081", "411082")
    for department in ("health", "civil-affairs", "housing")
]
NEXT = iter(BUREAUS)
GATEWAY, FAR, AGREED, MPC = "gateway", "far", "urn:xieban:test", "urn:xieban:mpc:far"
PASSPHRASE = "correct horse"


@pytest.fixture(scope="module", autouse=True)
def known(hub: RunningHub) -> None:
    enrolled(hub, THERE, *BUREAUS)


@pytest.fixture(scope="module")
def plain() -> Iterator[Counterpart]:
    """A counterpart that signs and does not encrypt."""
    point = Counterpart(FAR, GATEWAY, False, AGREED)
    yield point
    point.stop()


@pytest.fixture(scope="module")
def secret() -> Iterator[Counterpart]:
    """A counterpart that signs and encrypts."""
    point = Counterpart(FAR, GATEWAY, True, AGREED)
    yield point
    point.stop()


def free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Gateway:
    """Our side of an agreement: its section and its store."""

    folder: Path
    hub: RunningHub
    url: str | None
    encrypt: bool = False
    own: dict[str, Any] = field(default_factory=dict)
    who: Bureau = field(default_factory=lambda: next(NEXT))
    port: int = field(default_factory=free)

    def __post_init__(self) -> None:
        ours = keys(GATEWAY)
        (self.folder / "own.key").write_text(ours.key_pem)
        (self.folder / "own.pem").write_text(ours.pem)
        common = {"kind": "as4", "hub": self.hub.url, "organisation": self.who.id, "keys": "keys", "store": "store",
                  "listen": f"127.0.0.1:{self.port}", "every": 0.1, "passphrase_file": "passphrase"}  # fmt: skip
        own = {"party": GATEWAY, "certificate": "own.pem", "key": "own.key", "agreement": AGREED, "mpc": MPC,
               "encrypt": self.encrypt, "receipt_within": 5.0, "pull_wait": 0.3}  # fmt: skip
        lines = [f"{name} = {json.dumps(value)}" for name, value in (common | own | self.own).items()]
        far = {"party": FAR, "certificate": keys(FAR).pem, "allow_http": True}
        far |= {} if self.url is None else {"url": f"{self.url}/msh"}
        lines += ["[adapters.far.partner]", *(f"{name} = {json.dumps(value)}" for name, value in far.items())]
        (self.folder / "config.toml").write_text("\n".join(["[adapters.far]", *lines, ""]), "utf-8")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}/as4"

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def letters(self) -> list[dict[str, Any]]:
        return [json.loads(file.read_text()) for file in (self.store / "dead").glob("*.json")]

    def ledger(self) -> Ledger:
        return Ledger(self.store)

    @contextlib.asynccontextmanager
    async def at_work(self) -> AsyncIterator[Station]:
        """The adapter in this process."""
        found, store, made = section(self.folder / "config.toml", "far"), Store(self.store), list[Station]()
        partner = kinds.partner(found, lambda offer: made[0].offer(offer))
        made.append(Station(store, partner, {self.who.id: lambda: self.who.client(patience=Patience(within=1))}, 0.1))
        app = web.Application(client_max_size=64 << 20)
        app.add_routes(partner.routes())
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        task = asyncio.create_task(made[0].run())
        try:
            yield made[0]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, ExceptionGroup):
                await task
            await runner.cleanup()
            store.close()

    async def post(self, built: dict[str, Any], **headers: str) -> tuple[int, str, bytes]:
        """Send something to the endpoint: status, content type, body."""
        body = built["body"] if isinstance(built["body"], bytes) else base64.b64decode(built["body"])
        return await asyncio.to_thread(_post, self.endpoint, body, {"Content-Type": built["kind"]} | headers)


def _post(url: str, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
    request = urllib.request.Request(url, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Content-Type", ""), error.read()


async def until(what: Callable[[], Any], within: float = 25) -> Any:
    end = asyncio.get_running_loop().time() + within
    while not (found := await asyncio.to_thread(what)):
        assert asyncio.get_running_loop().time() < end, "it never came"
        await asyncio.sleep(0.05)
    return found


def about(point: Counterpart, case: str) -> list[dict[str, Any]]:
    """What the counterpart received of a case."""
    return [one for one in point.received() if one["conversation"] == case]


def answers_to(point: Counterpart, id: str) -> list[dict[str, Any]]:
    """What the counterpart was told about a message of its own."""
    return [one for one in point.received() if f"RefToMessageId>{id}<" in one["envelope"]]


async def drafted(who: Bureau) -> Any:
    """A request that the partner signed with its organisation's own key, not sent."""
    async with who.client() as client:
        return await client.prepare("errand.request", envelope.new_id(), [THERE.id], example("errand", "request"),
                                    content("errand", "request"))  # fmt: skip


def built(point: Counterpart, kind: str, held: bytes, case: str, **said: Any) -> dict[str, Any]:
    """The same as a message of the counterpart."""
    payloads = [[kind, base64.b64encode(held).decode()]]
    return point("build", **({"payloads": payloads, "service": "errand", "action": "errand.request",
                              "conversation": case} | said))  # fmt: skip


async def from_there(who: Bureau) -> list[str]:
    return [item.event.id for item in await mailbox(THERE) if item.event.source == who.id]


@pytest.mark.parametrize("encrypt", [False, True])
async def test_messages_go_down_with_receipts_that_nobody_can_deny(
    hub: RunningHub, tmp_path: Path, plain: Counterpart, secret: Counterpart, encrypt: bool
) -> None:
    point = secret if encrypt else plain
    gateway = Gateway(tmp_path, hub, point.url, encrypt, {"with_content": encrypt})
    sent = [await opened(THERE, "errand", "request", [gateway.who.id]) for _ in range(3)]
    async with gateway.at_work():
        for one in sent:
            (came,) = await until(lambda one=one: about(point, one.case))  # type: ignore[misc]
            assert came["error"] is None and len(came["payloads"]) == (3 if encrypt else 2)
            compact, receipt, *clear = came["payloads"]
            assert [json.loads(held) for held in clear] == ([content("errand", "request")] if encrypt else [])
            assert json.loads(receipt)["message"] == one.id and compact.count(b".") == 2
            assert f"{one.id}.{THERE.id}.{gateway.who.id}@{GATEWAY}" == came["id"]
            assert '>errand<' in came["envelope"] and ">errand.request<" in came["envelope"]  # fmt: skip
        ledger = gateway.ledger()
        kept = await until(lambda: [one for one in (ledger.sent(came["id"]),) if one and one.receipt])
        assert b"NonRepudiationInformation" in kept[0].receipt and kept[0].sealed.body == b""
        assert gateway.letters() == []


@pytest.mark.parametrize("encrypt", [False, True])
async def test_messages_come_up_once_and_their_outcome_goes_back(
    hub: RunningHub, tmp_path: Path, plain: Counterpart, secret: Counterpart, encrypt: bool
) -> None:
    point = secret if encrypt else plain
    gateway = Gateway(tmp_path, hub, point.url, encrypt)
    draft = await drafted(gateway.who)
    wish = {"source": gateway.who.id, "type": "errand.request", "data": example("errand", "request"),
            "content": content("errand", "request"), "to": [THERE.id]}  # fmt: skip
    async with gateway.at_work():
        signed = built(point, "application/jose", draft.compact, draft.case)
        wanted = built(point, "application/json", json.dumps(wish).encode(), "whatever")
        for one in (signed, wanted, signed, signed):
            answer = await asyncio.to_thread(point.send, gateway.endpoint, one)
            assert answer["status"] == 200 and answer["seen"] == {"state": "acknowledged", "errors": []}
        for one in (signed, wanted):
            (outcome,) = await until(functools.partial(answers_to, point, one["id"]))
            said = json.loads(outcome["payloads"][0])
            assert said["receipt"]["message"] == said["message"] and ">receipt</" in outcome["envelope"]
            assert (said["message"], said["case"]) == (draft.id, draft.case) or one is wanted
    assert len(await from_there(gateway.who)) == 2 and draft.id in await from_there(gateway.who)
    assert audited(hub) == ""


async def test_one_id_is_one_message_and_what_the_hub_refuses_is_told(
    hub: RunningHub, tmp_path: Path, plain: Counterpart
) -> None:
    gateway = Gateway(tmp_path, hub, plain.url)
    draft, other = await drafted(gateway.who), await drafted(gateway.who)
    forged = (b".".join(other.compact.split(b".")[:2] + draft.compact.split(b".")[2:]), {"conversation": other.case})
    async with gateway.at_work():
        answers = [
            await asyncio.to_thread(
                plain.send, gateway.endpoint, built(plain, "application/jose", held, draft.case, **said)
            )
            for held, said in (
                (draft.compact, {"id": "same@far"}), (other.compact, {"id": "same@far"}),
                (draft.compact, {"action": "errand.withdraw"}), (draft.compact, {"service": "tip-off-referral"}),
                (draft.compact, {"agreement": "another"}), (other.compact, {}), (b"no.jws.", {}), (b"", {}), forged,
            )
        ]  # fmt: skip
        seen = [answer["seen"]["errors"] for answer in answers]
        assert seen == [[], ["EBMS:0003"], ["EBMS:0003"], ["EBMS:0010"], ["EBMS:0010"], ["EBMS:0003"], ["EBMS:0003"],
                        ["EBMS:0003"], []]  # fmt: skip
        (told,) = await until(lambda: about(plain, answers[-1]["id"]))
        assert ">problem</" in told["envelope"] and "signature" in json.loads(told["payloads"][0])["problem"]
    assert await from_there(gateway.who) == [draft.id]


async def test_a_lost_receipt_is_asked_for_again_under_the_same_id_and_given_up_at_last(
    hub: RunningHub, tmp_path: Path, plain: Counterpart
) -> None:
    gateway = Gateway(tmp_path, hub, plain.url, own={"attempts": 2})
    first = await opened(THERE, "errand", "request", [gateway.who.id])
    plain("state", lose=1)
    async with gateway.at_work() as station:
        await until(lambda: len(about(plain, first.case)) == 2)
        one, again = about(plain, first.case)
        assert one["id"] == again["id"] and one["envelope"] == again["envelope"]
        plain("state", lose=2)
        second = await opened(THERE, "errand", "request", [gateway.who.id])
        await until(gateway.letters)
        plain("state", lose=0)
        (letter,) = gateway.letters()
        assert letter["id"] == second.id and "EBMS:0301" in letter["reason"]
        assert station.dead.count() == 1
    assert len(about(plain, first.case)) == 2


async def test_a_receipt_may_come_later_by_a_call_of_the_partners_own(
    hub: RunningHub, tmp_path: Path, plain: Counterpart
) -> None:
    gateway = Gateway(tmp_path, hub, plain.url)
    one = await opened(THERE, "errand", "request", [gateway.who.id])
    plain("state", late=True)
    try:
        async with gateway.at_work():
            (came,) = await until(lambda: about(plain, one.case))
            (signal,) = await until(lambda: plain("state", late=False)["late"])
            assert (await gateway.post(signal))[0] == 202
            ledger = gateway.ledger()
            await until(lambda: (found := ledger.sent(came["id"])) is not None and found.state == "receipted")
            assert json.loads((await gateway.post(signal | {"body": signal["body"]}))[2] or b"{}") == {}
    finally:
        plain("state", late=False)
    assert len(about(plain, one.case)) == 1


async def test_what_the_partner_refuses_is_a_dead_letter(hub: RunningHub, tmp_path: Path, secret: Counterpart) -> None:
    gateway = Gateway(tmp_path, hub, secret.url, encrypt=False)
    await opened(THERE, "errand", "request", [gateway.who.id])
    async with gateway.at_work():
        (letter,) = await until(gateway.letters)
    assert "EBMS:0103" in letter["reason"] and letter["way"] == "down"


async def test_what_was_tampered_with_is_refused_with_a_signed_error(
    hub: RunningHub, tmp_path: Path, plain: Counterpart
) -> None:
    gateway = Gateway(tmp_path, hub, plain.url)
    draft = await drafted(gateway.who)
    async with gateway.at_work():
        good = built(plain, "application/jose", draft.compact, draft.case)
        body = base64.b64decode(good["body"])
        for old, new in ((b">errand.request<", b">errand.withdraw<"), (b"SignatureValue>", b"SignatureValue>A"),
                         (b"\x1f\x8b\x08", b"\x1f\x8b\x09")):  # fmt: skip
            assert old in body
            status, _, answer = await gateway.post(good | {"body": body.replace(old, new, 1)})
            seen = plain("receipt", id=good["id"], body=base64.b64encode(answer).decode())
            assert status == 200 and seen["state"] == "rejected" and seen["errors"] == ["EBMS:0101"]
        assert (await gateway.post({"kind": "application/soap+xml", "body": b"x" * (9 << 20)}))[0] == 413
        assert (await gateway.post(good, **{"Content-Encoding": "gzip"}))[0] == 415
        for held in (b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b""):
            status, _, answer = await gateway.post({"kind": "application/soap+xml", "body": held})
            assert status == 400 and plain("verified", body=base64.b64encode(answer).decode())["errors"] == [
                "EBMS:0009"
            ]
    assert await from_there(gateway.who) == []


async def test_a_partner_pulls_and_a_message_counts_when_its_receipt_is_here(
    hub: RunningHub, tmp_path: Path, plain: Counterpart
) -> None:
    gateway = Gateway(tmp_path, hub, None, own={"receipt_within": 0.5})
    sent = [await opened(THERE, "errand", "request", [gateway.who.id]) for _ in range(2)]
    cursor = f"cursor/{gateway.who.id}"

    async def pull(**said: Any) -> tuple[int, str, bytes]:
        return await gateway.post(plain("pull_request", **({"mpc": MPC} | said)))

    def errors(answer: bytes) -> Any:
        return plain("verified", body=base64.b64encode(answer).decode())["errors"]

    async with gateway.at_work():
        store = Store(gateway.store)
        await until(lambda: gateway.ledger().oldest())
        for one in sent:
            status, kind, body = await pull()
            assert status == 200 and kind.startswith("multipart/related")
            lost = plain("pulled", kind=kind, body=base64.b64encode(body).decode())
            assert errors((await pull())[2]) == ["EBMS:0006"]  # until its receipt is late
            await asyncio.sleep(0.5)
            status, kind, again = await pull()
            assert again == body and lost
            before = store.noted(cursor)
            receipt = plain("pulled", kind=kind, body=base64.b64encode(again).decode())
            assert (await gateway.post(receipt))[0] == 202
            assert (await gateway.post(receipt))[0] == 202
            await until(lambda before=before: store.noted(cursor) != before)  # type: ignore[misc]
            assert [came["error"] for came in about(plain, one.case)] == [None, None]
        assert errors((await pull())[2]) == ["EBMS:0006"]
        assert errors((await pull(mpc="urn:other"))[2]) == ["EBMS:0010"]
        assert errors((await pull(id="once"))[2]) == ["EBMS:0006"]
        assert errors((await pull(id="once"))[2]) == ["EBMS:0101"]
        # What became of its own message waits for it there too.
        draft = await drafted(gateway.who)
        await asyncio.to_thread(
            plain.send, gateway.endpoint, built(plain, "application/jose", draft.compact, draft.case)
        )
        await until(lambda: gateway.ledger().oldest())
        _, kind, body = await pull()
        plain("pulled", kind=kind, body=base64.b64encode(body).decode())
        assert json.loads(about(plain, draft.case)[0]["payloads"][0])["message"] == draft.id
        store.close()


@pytest.fixture(scope="module")
def listening(tmp_path_factory: pytest.TempPathFactory, hub: RunningHub) -> Iterator[Gateway]:
    """The endpoint alone, in a process of its own."""
    gateway = Gateway(tmp_path_factory.mktemp("as4"), hub, None)
    process = _run(gateway)
    yield gateway
    process.kill()
    process.wait()


def _run(gateway: Gateway) -> subprocess.Popen[bytes]:
    """`xieban adapter run far`, and wait until it listens."""
    if not (gateway.folder / "keys").exists():
        store = KeyStore(gateway.folder / "keys")
        store.create()
        for key in (gateway.who.signing, gateway.who.sealing):
            store.add(key, PASSPHRASE)
        (gateway.folder / "passphrase").write_text(PASSPHRASE)
        (gateway.folder / "passphrase").chmod(0o600)
    with open(gateway.folder / "log", "ab") as log:
        process = subprocess.Popen([*XIEBAN, "adapter", "run", "far", "--config", str(gateway.folder / "config.toml")],
                                   stdout=log, stderr=log, cwd=ROOT, env=environment())  # fmt: skip
    end = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", gateway.port), 1):
            return process
        assert process.poll() is None and time.monotonic() < end, (gateway.folder / "log").read_text()
        time.sleep(0.05)


KINDS = st.sampled_from(
    ["application/soap+xml", "multipart/related; boundary=b", "multipart/related", "text/plain", "x"]
)
BODIES = st.binary(max_size=300) | st.binary(max_size=200).map(
    lambda held: b"--b\r\nContent-Type: application/soap+xml\r\n\r\n" + held + b"\r\n--b--\r\n"
)


@settings(max_examples=60, deadline=None)
@given(kind=KINDS, body=BODIES)
def test_arbitrary_bytes_never_make_it_fail(listening: Gateway, kind: str, body: bytes) -> None:
    status, _, answer = _post(listening.endpoint, body, {"Content-Type": kind})
    assert 400 <= status < 500 and b"EBMS:" in answer


async def test_killed_in_the_middle_nothing_is_lost_or_doubled(
    hub: RunningHub, tmp_path: Path, plain: Counterpart
) -> None:
    gateway = Gateway(tmp_path, hub, plain.url)
    sent = [await opened(THERE, "errand", "request", [gateway.who.id]) for _ in range(4)]
    drafts = [await drafted(gateway.who) for _ in range(3)]
    plain("state", lose=1)
    process = await asyncio.to_thread(_run, gateway)
    try:
        messages = [built(plain, "application/jose", one.compact, one.case) for one in drafts]
        await asyncio.to_thread(plain.send, gateway.endpoint, messages[0])
        await until(lambda: about(plain, sent[0].case))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process = await asyncio.to_thread(_run, gateway)
        for message in messages:
            seen = (await asyncio.to_thread(plain.send, gateway.endpoint, message))["seen"]
            assert seen["state"] == "acknowledged"
        await until(lambda: all(about(plain, one.case) for one in (*sent, *drafts)))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process = await asyncio.to_thread(_run, gateway)
        await until(functools.partial(_settled, gateway, 3))
        for one in sent:
            assert len({came["id"] for came in about(plain, one.case)}) == 1
    finally:
        process.kill()
        process.wait()
    assert sorted(await from_there(gateway.who)) == sorted(one.id for one in drafts)
    assert gateway.letters() == [] and audited(hub) == ""


def _settled(gateway: Gateway, count: int) -> bool:
    store = Store(gateway.store)
    try:
        return store.counted().get("settled", 0) == count
    finally:
        store.close()
