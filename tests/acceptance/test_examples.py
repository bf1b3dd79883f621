"""The example clients in JavaScript and Java: whole cases with each other and with the SDK, and what they notice."""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from adapters.client import Client
from keys import jwk, jws
from keys.jwk import DecryptionKey, SigningKey
from protocols import envelope, sealing
from protocols.loading import BASE
from tests.acceptance import bureaus
from tests.acceptance.between import Answer, Tamper, only, proxy
from tests.acceptance.bureaus import Bureau, content, example
from tests.acceptance.pages import blocks, in_shell
from tests.conftest import RunningHub

FOLDER = Path(__file__).parents[2] / "docs" / "examples"
GSON = Path(os.environ.get("GSON", "/usr/share/java/gson.jar"))
REFUSED, BROKEN, UNDECIDED = 1, 2, 3
HERE, THERE, THIRD = "411003-health", "440307-health", "320583-health"


def missing() -> str | None:
    """Why the two clients can't both run here; None if they can."""
    if shutil.which("node") is None:
        return "没有 node · node is not installed"
    if not (FOLDER / "javascript" / "node_modules" / "jose").is_dir():
        return "没有 npm jose, 请运行 make node · npm's jose is not installed: make node"
    if shutil.which("javac") is None:
        return "没有 JDK, 请运行 make java · there is no JDK: make java"
    if not GSON.exists():
        return "没有 Gson, 请运行 make java · Gson is not installed: make java"
    return None


pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")


class Failed(AssertionError):
    """A command ended with another status than 0."""

    def __init__(self, done: subprocess.CompletedProcess[str]) -> None:
        super().__init__(f"status {done.returncode}: {done.stderr}")
        self.status, self.told = done.returncode, done.stderr
        self.said = [json.loads(line) for line in done.stdout.splitlines()]


@dataclass
class Example:
    """A bureau that is run by one of the example clients, in a folder of its own."""

    id: str
    command: list[str]
    home: Path
    hub: RunningHub
    url: str = ""
    tries: int = 4

    def do(self, *arguments: str) -> list[Any]:
        """The lines that a command prints. Raises Failed."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XIEBAN_")}
        ours = {"XIEBAN_HUB": self.url or self.hub.url, "XIEBAN_HOME": str(self.home), "XIEBAN_TRIES": str(self.tries)}
        done = subprocess.run(
            [*self.command, *arguments], env=kept | ours, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode != 0:
            raise Failed(done)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def fails(self, status: int, *arguments: str) -> Failed:
        """How a command failed that was to end with `status`."""
        with pytest.raises(Failed) as caught:
            self.do(*arguments)
        assert caught.value.status == status, caught.value
        return caught.value

    def file(self, document: object) -> str:
        """A file with this JSON, as an officer's program would write it."""
        path = self.home / f"draft-{len(list(self.home.iterdir()))}.json"
        path.write_text(json.dumps(document, ensure_ascii=False), "utf-8")
        return str(path)

    def open(self, to: str, **changed: Any) -> Any:
        """A case opened by the published examples."""
        data, sealed = example("case-assistance", "request", **changed), content("case-assistance", "request")
        (sent,) = self.do("open", to, self.file(data), self.file(sealed))
        return sent

    def reply(self, position: int, message: str, sealed: object = None) -> Any:
        files = [self.file(example("case-assistance", message))] + ([self.file(sealed)] if sealed else [])
        (sent,) = self.do("reply", str(position), message, *files)
        return sent

    def last(self) -> Any:
        """The last of what a poll brings."""
        return self.do("poll")[-1]

    def cursor(self) -> int:
        return int(json.loads((self.home / "cursor.json").read_text())["position"])

    def received(self) -> list[str]:
        return sorted(path.name for path in self.home.glob("inbox/*"))

    @contextlib.asynccontextmanager
    async def behind(self, tamper: Tamper) -> AsyncIterator["Example"]:
        """The same bureau, who reaches the hub through a proxy that tampers with its answers."""
        async with proxy(self.hub, tamper) as url:
            yield replace(self, url=url)

    def bureau(self) -> Bureau:
        """The same organisation with its keys, for the SDK."""
        signing, sealing = map(jwk.parse_private, json.loads((self.home / "keys.json").read_text())["keys"])
        assert isinstance(signing, SigningKey) and isinstance(sealing, DecryptionKey)
        return Bureau(self.id, self.hub.url, signing, sealing)


@dataclass
class Pair:
    """The two examples, and a bureau that has the SDK and keys of the other kinds."""

    javascript: Example
    java: Example
    sdk: Bureau

    @property
    def of(self) -> dict[str, Example]:
        return {"javascript": self.javascript, "java": self.java}

    def both(self, first: str) -> tuple[Example, Example]:
        """The one that is named, and the other one."""
        return (self.javascript, self.java) if first == "javascript" else (self.java, self.javascript)


LANGUAGES = pytest.mark.parametrize("language", ["javascript", "java"])


@pytest.fixture(scope="module")
def pair(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("examples")
    sources = map(str, (FOLDER / "java").glob("*.java"))
    built = ["javac", "--release", "17", "-Xlint:all", "-Werror", "-encoding", "UTF-8"]
    built += ["-cp", str(GSON), "-d", str(folder / "classes")]
    done = subprocess.run([*built, *sources], capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    node = ["node", str(FOLDER / "javascript" / "client.mjs")]
    # Each command is a JVM of its own that lives for a second: what pays only later is left out.
    java = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{folder / 'classes'}:{GSON}", "Client"]
    sdk = Bureau(THIRD, hub.url, jwk.generate_signing("ES256"), jwk.generate_encryption("P-256"))
    pair = Pair(Example(HERE, node, folder / "here", hub), Example(THERE, java, folder / "there", hub), sdk)
    records: list[dict[str, object]] = [sdk.record()]
    for one in pair.of.values():
        one.do("keys", one.id, "某区卫生健康局", "Health")
        records += one.do("join-record")[0]
        shutil.copy(hub.data / "keys" / "jwks.json", one.home / "hub.jwks")
    hub.enrol(records)
    return pair


async def state(bureau: Bureau, case: str) -> str:
    return str((await bureaus.view(bureau, case))["state"])


# Whole cases ------------------------------------------------------------------------------------------


@LANGUAGES
async def test_a_case_is_worked_between_two_languages(pair: Pair, language: str) -> None:
    opener, responder = pair.both(language)
    sent = opener.open(responder.id)
    asked = responder.last()
    assert (asked["from"], asked["case"], asked["due"]) == (opener.id, sent["case"], sent["due"])
    assert asked["content"] == content("case-assistance", "request")
    assert responder.do("acknowledge") == [{"acknowledged": asked["position"], "new": True}]
    assert responder.do("acknowledge") == [{"acknowledged": asked["position"], "new": False}]
    responder.reply(asked["position"], "accept")
    responder.reply(asked["position"], "answer", content("case-assistance", "answer"))
    accepted, answered = opener.do("poll")
    assert (accepted["type"], answered["data"]["outcome"]) == ("case-assistance.accept", "established")
    assert answered["content"] == content("case-assistance", "answer")
    opener.do("acknowledge")
    opener.reply(answered["position"], "close")
    assert responder.last()["type"] == "case-assistance.close"
    assert await state(opener.bureau(), sent["case"]) == "closed"
    async with opener.bureau().client() as client:
        kinds = [type(one.entry).__name__ for one in await client.events(opener.id, sent["id"])]
    assert kinds == ["Accepted", "Fetched", "Acknowledged"]


CONTACT = {"name": "何静（示例）", "office": "监督科", "phone": "0755-00000202"}


@LANGUAGES
async def test_a_case_opened_by_an_example_is_answered_by_the_sdk(pair: Pair, language: str) -> None:
    opener = pair.of[language]
    sent = opener.open(THIRD)
    request = (await bureaus.mailbox(pair.sdk))[-1]
    async with pair.sdk.client() as client:
        assert client.unseal(request) == content("case-assistance", "request")
        await client.reply(request, "accept", {}, {"contact": CONTACT})
        await client.reply(request, "answer", {"outcome": "no-record"}, {"narrative": "查无记录。"})
    accepted, answered = opener.do("poll")
    assert (accepted["content"], answered["content"]) == ({"contact": CONTACT}, {"narrative": "查无记录。"})
    assert await state(pair.sdk, sent["case"]) == "answered"


@LANGUAGES
async def test_a_case_opened_by_the_sdk_is_answered_by_an_example(pair: Pair, language: str) -> None:
    responder = pair.of[language]
    sent = await bureaus.opened(pair.sdk, "case-assistance", "request", [responder.id])
    asked = responder.last()
    assert (asked["content"], asked["case"]) == (content("case-assistance", "request"), sent.case)
    responder.reply(asked["position"], "accept", {"contact": CONTACT})
    responder.reply(asked["position"], "answer", content("case-assistance", "answer"))
    *_, accepted, answered = await bureaus.mailbox(pair.sdk)
    async with pair.sdk.client() as client:
        assert client.unseal(accepted) == {"contact": CONTACT}
        assert client.unseal(answered) == content("case-assistance", "answer")


def test_the_commands_of_both_pages_work_one_case_together(hub: RunningHub, tmp_path: Path) -> None:
    examples = tmp_path / "examples"
    shutil.copytree(FOLDER, examples, ignore=shutil.ignore_patterns("bureau", "classes"))
    javascript, java = examples / "javascript", examples / "java"
    for folder in (javascript, java):
        (folder / "hub").symlink_to(hub.data)
    pages = [blocks((folder / "README.md").read_text("utf-8"), "sh") for folder in (javascript, java)]
    (join, enrol, open_case, read_on), (build, enrol_too, work) = pages
    for folder, script in (
        (javascript, join.replace("npm ci", "test -d node_modules/jose")),
        (java, build.replace("/usr/share/java/gson.jar", str(GSON))),
        (javascript, enrol),
        (java, enrol_too),
    ):
        in_shell(script, folder, hub)
    assert '"holds":true' in in_shell(open_case, javascript, hub)
    told = in_shell(work.replace("/usr/share/java/gson.jar", str(GSON)), java, hub)
    assert "工资未结清" in told
    environment = open_case.splitlines()[0] + "\n"
    assert "尚欠工资" in in_shell(environment + read_on, javascript, hub)


# Refusals, and a hub that is away ---------------------------------------------------------------------


@LANGUAGES
def test_a_refusal_says_what_is_wrong_and_what_may_be_done(pair: Pair, language: str) -> None:
    opener, responder = pair.both(language)
    data = opener.file(example("case-assistance", "request", urgency="soon"))
    refused = opener.fails(REFUSED, "open", responder.id, data, opener.file(content("case-assistance", "request")))
    assert "422" in refused.told and "/problems/data-invalid" in refused.told and "/data/urgency: " in refused.told
    repealed = example("case-assistance", "request", legal_basis={"instrument": "sc-555-2009"})
    sealed = opener.file(content("case-assistance", "request"))
    assert "2021" in opener.fails(REFUSED, "open", responder.id, opener.file(repealed), sealed).told
    opener.open(responder.id)
    position = responder.last()["position"]
    answer = responder.file(example("case-assistance", "answer")), responder.file({"narrative": "未受理。"})
    refused = responder.fails(REFUSED, "reply", str(position), "answer", *answer)
    assert "409" in refused.told and "decline" in refused.told
    assert opener.do("resend") == responder.do("resend") == []


@LANGUAGES
async def test_the_same_bytes_are_sent_until_there_is_an_answer(pair: Pair, language: str) -> None:
    opener, responder = pair.both(language)
    lost = 0

    def lose(answer: Answer) -> Answer | web.StreamResponse:
        nonlocal lost
        lost += 1
        return web.Response(status=503, text="upstream") if lost < 3 else answer

    async with opener.behind(only("/v1/messages", lose)) as through:
        sent = await asyncio.to_thread(through.open, responder.id)
    assert lost == 3
    assert [item["case"] for item in responder.do("poll")] == [sent["case"]]


@LANGUAGES
async def test_what_is_undecided_is_sent_again_and_has_its_first_receipt(pair: Pair, language: str) -> None:
    opener, responder = pair.both(language)
    broken = only("/v1/messages", lambda answer: web.Response(status=502, text="<html>"))
    async with opener.behind(broken) as through:
        through.tries = 1
        with pytest.raises(Failed) as caught:
            await asyncio.to_thread(through.open, responder.id)
    assert caught.value.status == UNDECIDED
    (sent,) = opener.do("resend")
    receipt = opener.home / "sent" / f"{sent['id']}.receipt.json"
    first = json.loads(receipt.read_text())
    assert opener.do("resend") == []
    assert opener.do("resend", sent["id"]) == [sent]
    assert json.loads(receipt.read_text()) == first
    assert [item["case"] for item in responder.do("poll")] == [sent["case"]]
    replace(opener, url="http://127.0.0.1:9", tries=1).fails(UNDECIDED, "poll")


@LANGUAGES
def test_keys_are_never_overwritten(pair: Pair, language: str) -> None:
    before = (pair.of[language].home / "keys.json").read_bytes()
    pair.of[language].fails(64, "keys", HERE, "某", "x")
    pair.of[language].fails(64, "nonsense")
    assert (pair.of[language].home / "keys.json").read_bytes() == before
    assert (pair.of[language].home / "keys.json").stat().st_mode & 0o077 == 0


# What they notice -------------------------------------------------------------------------------------


@LANGUAGES
def test_a_receipt_with_any_one_byte_changed_does_not_hold(pair: Pair, language: str, tmp_path: Path) -> None:
    one, other = pair.both(language)
    sent = one.open(other.id)
    message, receipt = (one.home / "sent" / f"{sent['id']}{end}" for end in (".jose", ".receipt.json"))
    assert one.do("verify", str(message), str(receipt))[0]["holds"]
    assert other.do("verify", str(message), str(receipt))[0]["entry"]["source"] == one.id
    whole = json.dumps(json.loads(receipt.read_text()), ensure_ascii=False, separators=(",", ":")).encode()
    for place in range(len(whole)):
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        (tmp_path / f"{place:04}.json").write_bytes(changed)
    files = sorted(map(str, tmp_path.iterdir()))
    told = one.fails(BROKEN, "verify", str(message), *files).said
    assert [line["receipt"] for line in told] == files
    assert [line["receipt"] for line in told if line["holds"]] == []
    altered = tmp_path / "message.jose"
    altered.write_text(message.read_text()[:-1] + "!")
    assert "other bytes" in one.fails(BROKEN, "verify", str(altered), str(receipt)).said[0]["why"]


@LANGUAGES
def test_a_receipt_of_another_hub_does_not_hold(pair: Pair, language: str, tmp_path: Path) -> None:
    one, other = pair.both(language)
    sent = one.open(other.id)
    shutil.copytree(one.home, tmp_path / "home")
    stranger = jwk.public_jwks([jwk.generate_signing().public])
    (tmp_path / "home" / "hub.jwks").write_text(json.dumps(stranger))
    files = [str(one.home / "sent" / f"{sent['id']}{end}") for end in (".jose", ".receipt.json")]
    failed = replace(one, home=tmp_path / "home").fails(BROKEN, "verify", *files)
    assert "signed the checkpoint" in failed.said[0]["why"]


def resigned(compact: str, change: Callable[[dict[str, Any]], object], key: SigningKey) -> str:
    """A message with a changed event, signed by some key under the name that the first one had."""
    decoded = jws.decode(compact.encode(), typ=envelope.TYP)
    event = json.loads(decoded.payload)
    change(event)
    signed = jws.sign(envelope.encode(event), key, typ=envelope.TYP, cty=envelope.CTY)
    return ".".join([compact.split(".")[0], *signed.decode().split(".")[1:]])


def with_receipt(item: dict[str, Any]) -> None:
    flipped = bytearray(base64.b64decode(item["receipt"]["log"]["entry"]))
    flipped[-2] ^= 1
    item["receipt"]["log"]["entry"] = base64.b64encode(flipped).decode()


def with_seal(item: dict[str, Any]) -> None:
    def change(event: dict[str, Any]) -> None:
        event["data"]["sealed"]["ciphertext"] = "AAAA" + event["data"]["sealed"]["ciphertext"][4:]

    item["message"] = resigned(item["message"], change, jwk.generate_signing())


def with_signature(item: dict[str, Any]) -> None:
    item["message"] = resigned(item["message"], lambda event: None, jwk.generate_signing())


def with_position(item: dict[str, Any]) -> None:
    item["position"] += 1


ALTERED = [
    (with_receipt, "another root"),
    (with_seal, "other bytes"),
    (with_signature, "other bytes"),
    (with_position, "gap"),
]


@LANGUAGES
async def test_what_was_altered_on_the_way_is_noticed_and_not_kept(pair: Pair, language: str) -> None:
    reader, sender = pair.both(language)
    reader.do("poll")
    before = reader.cursor(), reader.received()
    sent = sender.open(reader.id)
    for change, why in ALTERED:

        def alter(answer: Answer, change: Callable[[dict[str, Any]], None] = change) -> Answer:
            page = answer.json
            for item in page["items"]:
                change(item)
            return answer.saying(page)

        async with reader.behind(only("/v1/mailbox", alter)) as through:
            failed = await asyncio.to_thread(through.fails, BROKEN, "poll")
        assert why in failed.told
        assert (reader.cursor(), reader.received()) == before
    assert reader.last()["case"] == sent["case"]


@LANGUAGES
async def test_a_signature_by_another_key_than_the_senders_is_noticed(pair: Pair, language: str) -> None:
    """The message and its receipt are whole; the hub's directory does not have the key, or another one by its name."""
    reader, sender = pair.both(language)
    reader.do("poll")
    sent = sender.open(reader.id)
    named, _ = json.loads((sender.home / "keys.json").read_text())["keys"]
    stranger = jwk.generate_signing().public.jwk
    known = {name: named[name] for name in ("kid", "use", "alg")}
    for keys, why in (([stranger], "not the sender's"), ([{**stranger, **known}], "signature")):

        def alter(answer: Answer, keys: object = keys) -> Answer:
            return answer.saying({"keys": keys})

        async with reader.behind(only(f"/v1/organisations/{sender.id}", alter)) as through:
            failed = await asyncio.to_thread(through.fails, BROKEN, "poll")
        assert why in failed.told
    assert reader.last()["case"] == sent["case"]


@LANGUAGES
async def test_a_receipt_of_other_bytes_is_not_taken_for_ones_own(pair: Pair, language: str) -> None:
    one, other = pair.both(language)
    earlier = one.open(other.id)
    receipt = json.loads((one.home / "sent" / f"{earlier['id']}.receipt.json").read_text())
    async with one.behind(only("/v1/messages", lambda answer: answer.saying(receipt))) as through:
        with pytest.raises(Failed, match="other bytes"):
            await asyncio.to_thread(through.open, other.id)
    # Without a proof it counts as unsent.
    (again,) = one.do("resend")
    assert again["id"] != earlier["id"]


def to_another_digest(data: dict[str, Any]) -> None:
    data["sealed_digest"] = "sha-256:" + "0" * 64


def altered_inside(data: dict[str, Any]) -> None:
    data["sealed"]["ciphertext"] = "AAAA" + data["sealed"]["ciphertext"][4:]


SPOILT: list[tuple[Callable[[dict[str, Any]], object], str | None, str]] = [
    (to_another_digest, None, "sealed_digest"),
    (altered_inside, None, "does not open"),
    (lambda data: None, envelope.new_id(), "another subject"),
]


@LANGUAGES
async def test_a_seal_that_its_own_sender_spoilt_is_kept_and_told(pair: Pair, language: str) -> None:
    """The hub can't look inside; the reader does, and reads on."""
    reader, sender = pair.of[language], pair.sdk
    reader.do("poll")
    secret = content("case-assistance", "request") or {}
    openers = [reader.bureau().sealing.public, sender.sealing.public]
    async with sender.client() as client:
        for change, subject, _ in SPOILT:
            case, id = envelope.new_id(), envelope.new_id()
            sealed = sealing.seal(sender.id, id, subject or case, secret, openers)
            change(sealed)
            await post(client, sender, case, id, reader.id, example("case-assistance", "request") | sealed)
    await bureaus.opened(sender, "case-assistance", "request", [reader.id])
    *spoilt, good = reader.fails(BROKEN, "poll").said
    for told, (_, _, why) in zip(spoilt, SPOILT, strict=True):
        assert why in told["fault"] and "content" not in told
    assert good["content"] == secret
    assert reader.do("poll") == []


async def post(client: Client, sender: Bureau, case: str, id: str, to: str, data: dict[str, Any]) -> None:
    """Send a message as it is, without the SDK's own care."""
    kind = "case-assistance"
    attributes = envelope.compose(
        id=id,
        source=sender.id,
        type=f"{kind}.request",
        dataschema=f"{BASE}/{kind}/1.0/request",
        subject=case,
        recipients=[to],
        hub=client.hub,
        time=datetime.now(UTC),
        data=data,
    )
    await client.resend(jws.sign(envelope.encode(attributes), sender.signing, typ=envelope.TYP, cty=envelope.CTY))
