"""`xieban sandbox`: a partner that knows the wire alone is developed against it, and meets each counterpart as said."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import time
import urllib.error
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import typer.main
from cryptography.exceptions import InvalidSignature
from jwcrypto import jwk, jws
from jwcrypto.common import JWException
from typer.testing import CliRunner

from adapters.sandbox import COUNTERPARTS, Belongings, Settings
from adapters.sandbox.running import SPARE
from hub.commands import app
from hub.commands.explaining import line
from keys.errors import Fault
from tests.acceptance.outsider import Outsider, uuid7
from tests.acceptance.pages import ROOT, blocks, environment, shell
from tests.acceptance.verifier import verify_receipt
from tests.conftest import XIEBAN

PAGE = (ROOT / "docs/sandbox.md").read_text("utf-8")
WHO = {one.plays: one.id for one in COUNTERPARTS}
CONTENT = {
    "narrative": "申请人反映工资未结清。",
    "reference": "许魏协〔2026〕1号",
    "contact": {"name": "周明（示例）", "office": "监督执法科", "phone": "0374-0000101"},
}
LOST = (urllib.error.URLError, http.client.HTTPException, ConnectionError)
DELAY = 1.0
WITHIN = 90.0


@contextlib.contextmanager
def sandboxed(folder: Path, *options: str) -> Iterator[dict[str, Any]]:
    """A sandbox while it lasts, and what it says of itself; `said` is the file with what its counterparts say."""
    log = folder / "said"
    with open(log, "wb") as said:
        process = subprocess.Popen(
            [*XIEBAN, "sandbox", "--json", "--port", "0", "--delay", str(DELAY), *options],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=said,
        )
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()
        assert ready, log.read_text()
        yield json.loads(ready) | {"said": log}
    finally:
        process.terminate()
        assert process.wait(60) == 0, log.read_text()


@dataclass
class Counterpart:
    """As far as a partner knows one: its id, and the key to seal to."""

    id: str
    sealing: jwk.JWK


@dataclass
class Partner:
    """A partner under development: what it opened, what it got, what went wrong on the way."""

    me: Outsider
    hub_keys: dict[str, Any]
    after: int = 0
    cases: dict[str, str] = field(default_factory=dict)
    """By whom it asked, the case."""
    came: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """By case, what came and stood up to every check."""
    kids: dict[str, str] = field(default_factory=dict)
    """By message, the key that signed it."""
    tries: dict[str, list[object]] = field(default_factory=lambda: defaultdict(list))
    """By whom it sent to, what became of each try of its request."""
    unbelieved: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """By message, why it was not believed when it was handed out."""
    again: int = 0
    """Pages that were handed out again."""

    def counterpart(self, id: str) -> Counterpart:
        keys = self.ask("GET", f"/v1/organisations/{id}/jwks.json")
        (key,) = (key for key in keys["keys"] if key["use"] == "enc")
        return Counterpart(id, jwk.JWK(**key))

    def send(self, message: str, case: str, to: str, data: dict[str, Any], content: Any = None, **more: Any) -> str:
        """Sign once, and send these bytes until there is an answer."""
        event = self.me.event(message, case, self.counterpart(to), data, content, **more)
        token = self.me.sign(json.dumps(event).encode())
        while True:
            status = self.tried(token)
            self.tries[to].append(status)
            if status in (200, 201):
                return str(event["id"])
            assert status in ("lost", 429, 503), status
            if status != "lost":
                time.sleep(1)

    def tried(self, token: bytes) -> object:
        try:
            return self.me.call("POST", "/v1/messages", token)[0]
        except LOST:
            return "lost"

    def ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        """What the hub answers to a call that may be made again, once it is there."""
        until = time.monotonic() + WITHIN
        while time.monotonic() < until:
            with contextlib.suppress(*LOST):
                status, answer = self.me.call(method, path, body)
                if status == 200:
                    return answer
                assert status in (429, 503), answer
            time.sleep(0.1)
        raise AssertionError(path)

    def asks(self, plays: str) -> None:
        """Open a case with a counterpart."""
        case = self.cases[plays] = uuid7()
        self.send("request", case, WHO[plays], self.me.example("request"), CONTENT)

    def poll(self) -> None:
        """One page: what stands up is worked and signed for, and nothing behind what does not."""
        for item in self.ask("GET", f"/v1/mailbox?after={self.after}&limit=100&wait=2")["items"]:
            if item["position"] <= self.after:
                self.again += 1
                continue
            if not self.believed(item):
                return
            self.work(item)
            self.ask("POST", "/v1/mailbox/acknowledge", self.me.acknowledgement(item))
            self.after = item["position"]

    def believed(self, item: dict[str, Any]) -> bool:
        """Whether signature and receipt hold, by the sender's keys that the directory has, or had."""
        token = jws.JWS()
        token.deserialize(item["message"])
        event = json.loads(token.objects["payload"])
        kid = json.loads(token.objects["protected"])["kid"]
        keys = self.ask("GET", f"/v1/organisations/{event['source']}/jwks.json?history=1")["keys"]
        try:
            token.verify(jwk.JWK(**next(key for key in keys if key["kid"] == kid)))
            verify_receipt(item["receipt"], self.hub_keys, item["message"].encode())
        except (JWException, InvalidSignature, AssertionError, ValueError) as why:
            self.unbelieved[event["id"]].append(type(why).__name__)
            return False
        self.kids[event["id"]] = kid
        return True

    def work(self, item: dict[str, Any]) -> None:
        """Answer what has to be answered."""
        event = json.loads(jws_payload(item["message"]))
        case, source, message = event["subject"], event["source"], event["type"].partition(".")[2]
        self.came[case].append(event)
        because = {"causationid": event["id"]}
        if message == "ask":
            self.send("answer", case, source, {}, {"narrative": "示例路东侧。"}, **because)
        elif message == "propose-date":
            self.send("agree-date", case, source, {"agreed": True, "date": event["data"]["date"]}, **because)
        elif message == "request" and event["dataschema"].endswith("/1.0/request"):
            reference = self.me.unseal(event)["reference"]
            self.send("accept", case, source, {}, **because)
            self.send("answer", case, source, {"outcome": "established"}, {"narrative": reference}, **because)

    def messages(self, plays: str) -> list[str]:
        """What came of the case opened with a counterpart."""
        return [event["type"].partition(".")[2] for event in self.came[self.cases[plays]]]


def jws_payload(token: str) -> bytes:
    parsed = jws.JWS()
    parsed.deserialize(token)
    payload: bytes = parsed.objects["payload"]
    return payload


COMES = {
    "answers": ["accept", "answer"],
    "asks": ["accept", "ask", "answer"],
    "proposes": ["accept", "propose-date", "answer"],
    "late": ["accept", "progress", "answer"],
    "declines": ["decline"],
    "refuses": ["exception"],
    "silent": [],
    "forwards": ["forward", "accept", "answer"],
    "opens": ["accept", "answer"],
    "rotates": ["accept", "answer"],
    "repeats": ["accept", "answer"],
    "unopenable": ["accept", "answer", "invalidate", "answer"],
    "altered": ["accept", "answer"],
    "lossy": ["accept", "answer"],
    "busy": ["accept", "answer"],
    "slow": ["accept", "answer"],
    "newer": ["accept", "answer"],
    "dies": ["accept", "answer"],
}
"""What comes of a request to each counterpart, by the name of its script."""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Partner, dict[str, Any]]]:
    """A partner with the keys that were made for it, after it asked every counterpart for something."""
    folder = tmp_path_factory.mktemp("sandbox")
    with sandboxed(folder) as said:
        me = Outsider(said["organisation"], said["hub"])
        private = json.loads((folder / said["private_jwks"]).read_text())["keys"]
        of_use = {key["use"]: jwk.JWK(**key) for key in private}
        me.signing, me.sealing = of_use["sig"], of_use["enc"]
        _, trying, _ = blocks(PAGE, "sh")
        seen = shell(trying.replace("http://127.0.0.1:8440", said["hub"]), folder)
        partner = Partner(me, json.loads((folder / said["hub_jwks"]).read_text()))
        for plays in WHO:
            partner.asks(plays)
        until = time.monotonic() + WITHIN
        while time.monotonic() < until and not all_came(partner):
            partner.poll()
        yield partner, said | {"seen": seen}


def all_came(partner: Partner) -> bool:
    """Whether all is there that is waited for; cases of the counterparts' own end by `close`."""
    closed = sum(events[-1]["type"].endswith(".close") for events in partner.came.values() if events)
    unknown = any(events[0]["dataschema"].endswith("/1.99/request") for events in partner.came.values() if events)
    return closed == 2 and unknown and all(len(partner.messages(plays)) >= len(COMES[plays]) for plays in WHO)


def test_every_counterpart_is_named_and_does_what_is_said(worked: tuple[Partner, dict[str, Any]]) -> None:
    partner, said = worked
    assert {one["plays"]: one["id"] for one in said["counterparts"]} == WHO and set(COMES) == set(WHO)
    assert all(one["does"]["zh"] and one["does"]["en"] for one in said["counterparts"])
    assert {plays: partner.messages(plays) for plays in WHO} == COMES


def test_answers_quote_what_was_sealed_and_late_ones_are_late(worked: tuple[Partner, dict[str, Any]]) -> None:
    partner, _ = worked
    for plays in ("answers", "asks", "forwards", "rotates", "dies"):
        answer = partner.came[partner.cases[plays]][-1]
        assert CONTENT["reference"] in partner.me.unseal(answer)["narrative"], plays
    progress, answer = (event["time"] for event in partner.came[partner.cases["late"]][1:])
    moments = [time.mktime(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")) for text in (progress, answer)]
    assert moments[1] - moments[0] >= DELAY - 1


def test_who_changes_keys_or_takes_over_signs_with_its_own(worked: tuple[Partner, dict[str, Any]]) -> None:
    partner, _ = worked
    accept, answer = (partner.kids[event["id"]] for event in partner.came[partner.cases["rotates"]])
    assert accept != answer
    sources = [event["source"] for event in partner.came[partner.cases["forwards"]]]
    assert sources == [WHO["forwards"], WHO["answers"], WHO["answers"]]


def test_who_never_answers_has_not_signed_either(worked: tuple[Partner, dict[str, Any]]) -> None:
    partner, _ = worked
    kinds = {}
    for plays in ("silent", "declines"):
        request = partner.ask("GET", f"/v1/cases/{partner.cases[plays]}")["timeline"][0]["id"]
        events = partner.ask("GET", f"/v1/messages/{partner.me.id}/{request}/events")["events"]
        kinds[plays] = [event["entry"]["kind"] for event in events]
    assert "acknowledged" not in kinds["silent"] and kinds["declines"] == ["accepted", "fetched", "acknowledged"]


def test_misbehaviour_is_met_as_announced(worked: tuple[Partner, dict[str, Any]]) -> None:
    partner, _ = worked
    assert partner.tries[WHO["lossy"]] == ["lost", "lost", 200]
    assert partner.tries[WHO["busy"]] == [503, 429, 201]
    assert partner.tries[WHO["answers"]] == [201]
    altered = {event["id"] for event in partner.came[partner.cases["altered"]]}
    assert set(partner.unbelieved) == altered and all(len(why) == 2 for why in partner.unbelieved.values())
    assert partner.again >= 1
    _, bad, _, good = partner.came[partner.cases["unopenable"]]
    assert CONTENT["reference"] in partner.me.unseal(good)["narrative"]
    with pytest.raises((JWException, AssertionError)):
        partner.me.unseal(bad)


def test_who_watches_is_told_what_each_does_and_what_the_partner_does_wrong(
    worked: tuple[Partner, dict[str, Any]],
) -> None:
    partner, said = worked
    case = uuid7()
    partner.send("request", case, WHO["answers"], partner.me.example("request"), {"narrative": "缺少联系人"})
    until = time.monotonic() + WITHIN
    while not partner.came[case] and time.monotonic() < until:
        partner.poll()
    assert [event["type"] for event in partner.came[case]] == ["case-assistance.exception"]
    told = said["said"].read_text()
    (why,) = (said for said in told.splitlines() if case in said and "✗" in said)
    assert WHO["answers"] in why and "contact" in why
    assert f"{WHO['dies']} {partner.cases['dies']}: 枢纽已被强行终止" in told
    assert "Traceback" not in told


def test_the_pages_commands_work_as_they_stand(worked: tuple[Partner, dict[str, Any]]) -> None:
    partner, said = worked
    starting, trying, elsewhere = blocks(PAGE, "sh")
    assert starting == "xieban sandbox &\n" and partner.me.id in trying
    options = {name for name in elsewhere.split() if name.startswith("--")}
    assert options <= {name for parameter in command("sandbox").params for name in parameter.opts}
    assert "有效 · valid" in said["seen"] and WHO["opens"] in said["seen"]


def test_keys_are_made_once(tmp_path: Path) -> None:
    kept = Belongings(tmp_path / "kept")
    public, private = kept.made(), kept.private_jwks.read_text()
    assert (kept.made(), kept.private_jwks.read_text()) == (public, private)
    assert all(jwk.JWK(**key).has_private for key in json.loads(private)["keys"])


def test_a_partner_brings_its_own_keys(long: None, tmp_path: Path) -> None:
    me = Outsider("320583-health", "", "P-256")
    (tmp_path / "public.jwks").write_text(json.dumps(me.record()["jwks"]))
    with sandboxed(tmp_path, "--organisation", me.id, "--jwks", "public.jwks") as said:
        assert "keys" not in said and sorted(path.name for path in (tmp_path / "sandbox").iterdir()) == ["hub.jwks"]
        me.url = said["hub"]
        (item,) = me.call("GET", "/v1/mailbox?after=0&wait=20")[1]["items"]
        assert "KIT-" in me.unseal(json.loads(jws_payload(item["message"])))["reference"]


def command(name: str) -> Any:
    return typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]


def test_the_page_names_every_counterpart() -> None:
    rows = re.findall(r"(?m)^\| `(.+)` \| ([a-z]+) \| (.+) · (.+) \|$", PAGE)
    assert rows == [(one.id, one.plays, one.does.zh, one.does.en) for one in COUNTERPARTS]


async def test_a_partner_whose_id_is_a_counterparts_has_another_in_its_place(tmp_path: Path) -> None:
    settings = Settings(WHO["lossy"], Belongings(tmp_path / "kept").made(), tmp_path)
    assert {one.plays: one.id for one in settings.cast()} == WHO | {"lossy": SPARE}


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--organisation", "nowhere"], "organisation-id-malformed"),
        (["--jwks", "none.jwks"], "input-unreadable"),
        (["--jwks", "empty.jwks"], "conformance-keys"),
        (["--jwks", "record.json"], "record.json holds an array, where a JSON object is wanted"),
        (["--port", "1", "--host", "203.0.113.1"], "address-unavailable"),
    ],
)
def test_what_can_not_be_used_is_named(
    tmp_path: Path, options: list[str], word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.jwks").write_text('{"keys": []}')
    (tmp_path / "record.json").write_text("[]")
    done = CliRunner().invoke(app, ["sandbox", *options])
    assert isinstance(done.exception, Fault) and word in line(done.exception), done.exc_info


def test_a_second_sandbox_in_the_folder_is_told_so_and_the_hubs_keys_go_when_it_ends(tmp_path: Path) -> None:
    kept = Belongings(tmp_path)
    with kept.held():
        kept.hub_jwks.write_text("of the one that runs")
        done = CliRunner().invoke(app, ["sandbox", "--out", str(tmp_path), "--port", "0"])
        assert isinstance(done.exception, Fault) and done.exception.code == "sandbox-running", done.exc_info
        assert kept.hub_jwks.read_text() == "of the one that runs"
    assert not kept.hub_jwks.exists()


def test_a_port_that_is_taken_is_named_with_nothing_left_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [*XIEBAN, "sandbox", "--port", port]
        done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and f"127.0.0.1:{port}: Address already in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1 and not (tmp_path / "sandbox/hub.jwks").exists()
