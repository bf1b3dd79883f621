"""A key revoked in an emergency: by the operator or by a superior, at once everywhere; what it signed is marked."""

import json
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters import evidence as evidences
from adapters.client import DeliveryInvalid, Refused
from adapters.client.connection import Call, Connection
from hub.identity import hub_key
from hub.store import embedded
from keys import jwk
from keys.jwk import SigningKey
from protocols import revocation
from protocols.entries import KeyCompromised, KeyRemoved
from protocols.loading import catalogue
from protocols.receipt import LogProof
from tests.acceptance.bureaus import Bureau, audited, enrolled, opened, said, view
from tests.conftest import RunningHub, running_hub

PROVINCE = Bureau("410000-supervision", roles=("supervisor",))
CITY = Bureau("411000-supervision", roles=("supervisor",), superior=PROVINCE.id)
HERE, THERE = Bureau("411002-health", superior=CITY.id), Bureau("440306-health")
SIBLING, BELOW = Bureau("411003-health", superior=CITY.id), Bureau("411002-education", superior=HERE.id)


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub("--workers", "2") as running:
        enrolled(running, PROVINCE, CITY, HERE, THERE, SIBLING, BELOW)
        yield running


@pytest.fixture(scope="module")
def other(hub: RunningHub) -> Iterator[RunningHub]:
    """A second node of the same hub: its key, its database, a machine of its own."""
    with tempfile.TemporaryDirectory(prefix="node-") as folder:
        data = Path(folder)
        shutil.copytree(hub.data / "keys", data / "keys")
        for name in hub.data.glob("passphrase*"):
            shutil.copy2(name, data / name.name)
        (data / "config.toml").write_text(f'[database]\nurl = "{embedded.dsn(hub.data)}"\n')
        with running_hub("--config", str(data / "config.toml"), data=data, bare=True) as running:
            yield running


def revoked(hub: RunningHub, kid: str, *options: str) -> dict[str, object]:
    done = hub.run("organisations", "revoke", HERE.id, kid, "--data", str(hub.data), "--json", *options)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


async def test_a_leaked_key_is_refused_at_once_and_what_it_signed_is_marked(hub: RunningHub, other: RunningHub) -> None:
    before = await opened(HERE, "case-assistance", "request", [THERE.id])
    since = datetime.now(UTC)
    after = await opened(HERE, "case-assistance", "request", [THERE.id])
    leaked = HERE.signing
    async with HERE.client(other.url) as here:
        assert (await here.case(after.case))["id"] == after.case
    assert revoked(hub, leaked.kid, "--compromised-since", since.isoformat())["revoked"] is True
    for turn in range(12):  # whichever worker of whichever node is asked
        url = other.url if turn % 2 else hub.url
        with pytest.raises(Refused) as refused:
            async with HERE.client(url) as here:
                await here.case(before.case)
        assert refused.value.reason == "token-invalid"
    HERE.signing = jwk.generate_signing()
    hub.enrol([HERE.record()])
    assert [step["suspect"] for step in (await view(HERE, before.case))["timeline"]] == [False]
    assert [step["suspect"] for step in (await view(THERE, after.case))["timeline"]] == [True]
    await said(THERE, before.case, "case-assistance", "accept")
    async with THERE.client() as there:
        # What was taken before stays verifiable for whoever received it.
        assert (await there.message(HERE.id, before.id)).event.id == before.id
        events = [proven.entry for proven in await there.key_events(HERE.id)]
        (told,) = [entry for entry in events if isinstance(entry, KeyCompromised)]
        assert (told.kid, datetime.fromisoformat(told.since)) == (leaked.kid, since)
        proof = await evidences.gather(there, after.case)
    report = evidences.check(proof, [hub_key(hub.data).public], catalogue())
    assert report.findings == [] and [step.suspect for step in report.steps] == [True]
    assert "可能已泄露" in proof.summary
    assert audited(hub) == ""


async def test_a_leaked_key_is_never_taken_up_again(hub: RunningHub) -> None:
    leaked = jwk.generate_signing()
    own, HERE.signing = HERE.signing, leaked
    hub.enrol([HERE.record()])
    await opened(HERE, "case-assistance", "request", [THERE.id])
    revoked(hub, leaked.kid, "--compromised-since", (datetime.now(UTC) - timedelta(days=1)).isoformat())
    hub.enrol([HERE.record()])
    with pytest.raises(Refused):
        await opened(HERE, "case-assistance", "request", [THERE.id])
    again = revoked(hub, leaked.kid, "--compromised-since", (datetime.now(UTC) - timedelta(days=9)).isoformat())
    assert again["revoked"] is False
    HERE.signing = own
    hub.enrol([HERE.record()])
    await opened(HERE, "case-assistance", "request", [THERE.id])
    assert audited(hub) == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["411002-health", "nonsense"], "never had a key"),
        (["999999-health", "nonsense"], "never had a key"),
        (["411002-health", "-h" + "iK_-" * 10 + "x"], "never had a key"),
        (["411002-health", "KID", "--compromised-since", "yesterday"], "moment with its offset"),
        (["411002-health", "KID", "--compromised-since", "2026-11-20T08:00:00"], "moment with its offset"),
        (["411002-health", "KID", "--compromised-since", "2999-11-20T08:00:00+08:00"], "in the future"),
    ],
)
def test_what_can_not_be_revoked_is_said(hub: RunningHub, arguments: list[str], said: str) -> None:
    named = [HERE.signing.kid if word == "KID" else word for word in arguments]
    done = hub.run("organisations", "revoke", *named, "--data", str(hub.data))
    assert done.returncode != 0 and said in done.stderr and "Traceback" not in done.stderr


def statement(
    signer: Bureau, kid: str, *, of: str = HERE.id, hub: str = "410000-hub", signing: SigningKey | None = None,
    issued: timedelta = timedelta(0), since: datetime | None = None,
) -> str:  # fmt: skip
    now = datetime.now(UTC) + issued
    return revocation.revoke(signer.id, of, kid, hub, signing or signer.signing, now, since)


def posted(hub: RunningHub, token: str, media: str = "application/jose") -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(hub.url + "/v1/revocations", token.encode(), {"Content-Type": media})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def renewed(hub: RunningHub, bureau: Bureau) -> SigningKey:
    """A new signing key for the bureau, in the place of the one it had; which that was."""
    old, bureau.signing = bureau.signing, jwk.generate_signing()
    hub.enrol([bureau.record()])
    return old


async def test_a_superior_revokes_the_key_of_a_lost_machine(hub: RunningHub, other: RunningHub) -> None:
    before = await opened(HERE, "case-assistance", "request", [THERE.id])
    since = datetime.now(UTC)
    after = await opened(HERE, "case-assistance", "request", [THERE.id])
    lost = HERE.signing
    async with CITY.client(other.url) as city:
        done = await city.revoke_key(HERE.id, lost.kid, since)
    for turn in range(12):  # whichever worker of whichever node is asked
        with pytest.raises(Refused) as refused:
            async with HERE.client(other.url if turn % 2 else hub.url) as here:
                await here.open_case(THERE.id, {}, None)
        assert refused.value.reason in ("key-not-valid", "token-invalid")
    assert done.new and done.compromised is not None
    async with THERE.client() as there:
        words = {proven.index: proven.entry for proven in await there.key_events(HERE.id)}
    removed, leaked = words[done.removed.index], words[done.compromised.index]
    assert isinstance(removed, KeyRemoved) and isinstance(leaked, KeyCompromised)
    assert removed.statement is not None and removed.statement == leaked.statement
    _, said = revocation.read(removed.statement)
    assert (said.signer, said.organisation, said.kid, said.compromised_since) == (CITY.id, HERE.id, lost.kid, since)
    renewed(hub, HERE)
    assert [step["suspect"] for step in (await view(THERE, before.case))["timeline"]] == [False]
    assert [step["suspect"] for step in (await view(THERE, after.case))["timeline"]] == [True]
    async with THERE.client() as there:
        proof = await evidences.gather(there, after.case)
    report = evidences.check(proof, [hub_key(hub.data).public], catalogue())
    assert report.findings == [] and [step.suspect for step in report.steps] == [True]
    assert audited(hub) == ""


async def test_what_was_said_before_makes_nothing_new(hub: RunningHub) -> None:
    lost = HERE.signing
    async with PROVINCE.client() as province, CITY.client() as city:
        first = await province.revoke_key(HERE.id, lost.kid)
        again = await city.revoke_key(HERE.id, lost.kid)
        assert (first.new, again.new, again.removed.index) == (True, False, first.removed.index)
        since = datetime.now(UTC) - timedelta(days=2)
        told = await city.revoke_key(HERE.id, lost.kid, since)
        later = await city.revoke_key(HERE.id, lost.kid, since + timedelta(days=1))
    assert told.new and told.removed.index == first.removed.index and told.compromised is not None
    assert not later.new and later.compromised == told.compromised
    assert revoked(hub, lost.kid) == {
        "organisation": HERE.id, "kid": lost.kid, "revoked": False, "entry": told.compromised.index
    }  # fmt: skip
    renewed(hub, HERE)
    assert audited(hub) == ""


async def test_an_own_key_is_revoked_by_itself_and_the_same_bytes_revoke_nothing_later(hub: RunningHub) -> None:
    token = statement(HERE, HERE.signing.kid, since=datetime.now(UTC) - timedelta(seconds=1))
    (first, taken), (again, same) = posted(hub, token), posted(hub, token)
    assert (first, again, taken["new"], same["new"]) == (201, 200, True, False)
    assert (taken["log"], taken["compromised"]) == (same["log"], same["compromised"])
    old = renewed(hub, HERE)
    assert posted(hub, statement(HERE, HERE.signing.kid, signing=old))[1]["type"] == "/problems/key-not-valid"
    sealing = HERE.sealing.public.kid
    token = statement(HERE, sealing)
    assert posted(hub, token)[0] == 201
    hub.enrol([HERE.record()])  # merely revoked: the file says that it is in use
    assert posted(hub, token)[0] == 200
    async with HERE.client() as here, THERE.client() as there:
        assert sealing in [key["kid"] for key in (await here._directory.one(HERE.id))["jwks"]["keys"]]
        assert len([e for e in await there.key_events(HERE.id) if getattr(e.entry, "statement", None) == token]) == 1
    assert audited(hub) == ""


async def test_who_may_not_and_what_is_wrong_is_said_and_changes_nothing(hub: RunningHub) -> None:
    kid, stranger = HERE.signing.kid, jwk.generate_signing()
    good, now = statement(CITY, kid), datetime.now(UTC)
    wrong = [
        (statement(THERE, kid), 403, "forbidden"),
        (statement(SIBLING, kid), 403, "forbidden"),
        (statement(BELOW, kid), 403, "forbidden"),
        (statement(HERE, CITY.signing.kid, of=CITY.id), 403, "forbidden"),
        (statement(CITY, kid, signing=stranger), 401, "key-unknown"),
        (statement(CITY, kid, signing=THERE.signing), 401, "key-unknown"),
        (statement(Bureau("411009-health"), kid), 401, "sender-unknown"),
        (good[:-6] + "AAAAAA", 401, "signature-invalid"),
        (statement(CITY, stranger.kid), 404, "not-found"),
        (statement(CITY, kid, of=THERE.id), 404, "not-found"),
        (statement(CITY, kid, of="411009-health"), 404, "not-found"),
        (statement(CITY, kid, hub="440000-hub"), 422, "revocation-invalid"),
        (statement(CITY, kid, issued=timedelta(hours=-2)), 422, "revocation-invalid"),
        (statement(CITY, kid, issued=timedelta(hours=1)), 422, "revocation-invalid"),
        (statement(CITY, kid, since=now + timedelta(hours=1)), 422, "revocation-invalid"),
        ("a.b.c", 422, "revocation-invalid"),
        ("", 422, "revocation-invalid"),
        ("x" * 9000, 422, "revocation-invalid"),
    ]
    for token, status, code in wrong:
        got, problem = posted(hub, token)
        assert (got, problem["type"]) == (status, f"/problems/{code}"), (token, problem)
    assert posted(hub, good, "text/plain")[0] == 415
    await opened(HERE, "case-assistance", "request", [THERE.id])  # the key is in use still


async def test_who_came_into_the_place_of_a_superior_revokes(hub: RunningHub) -> None:
    old, new = Bureau("411099-supervision"), Bureau("411098-supervision")
    bureau = Bureau("411097-health", superior=old.id)
    enrolled(hub, old, new, bureau)
    assert posted(hub, statement(new, bureau.signing.kid, of=bureau.id))[0] == 403
    on = ("--on", "2026-01-01", "--data", str(hub.data))
    assert hub.run("organisations", "succeed", old.id, new.id, *on).returncode == 0
    assert posted(hub, statement(old, bureau.signing.kid, of=bureau.id))[0] == 403
    assert posted(hub, statement(new, bureau.signing.kid, of=bureau.id))[0] == 201
    assert audited(hub) == ""


async def test_a_client_believes_no_hub_that_has_entered_something_else(hub: RunningHub) -> None:
    lost = renewed(hub, HERE)  # the operator's word, without a statement
    async with CITY.client() as city:
        true = json.dumps(posted(hub, statement(CITY, lost.kid))[1])
        mine = await city.revoke_key(SIBLING.id, SIBLING.sealing.public.kid, datetime.now(UTC))
        assert mine.compromised is not None
        about = json.dumps({"new": True, "log": as_json(mine.removed.log), "compromised": None})
        late = json.loads(true) | {"compromised": as_json(mine.compromised.log)}
        answers = [about, true.replace('"new": false', '"new": true'), json.dumps(late)]
        for answer in answers:
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(Connection, "call", answering(answer.encode()))
                with pytest.raises(DeliveryInvalid):
                    await city.revoke_key(HERE.id, lost.kid)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Connection, "call", answering(true.encode()))
            assert not (await city.revoke_key(HERE.id, lost.kid)).new
            with pytest.raises(DeliveryInvalid, match="may have leaked"):
                await city.revoke_key(HERE.id, lost.kid, datetime.now(UTC))


def as_json(log: LogProof) -> dict[str, Any]:
    return {name: getattr(log, name) for name in ("origin", "index", "entry", "proof", "checkpoint")}


def answering(content: bytes) -> Any:
    async def call(self: Connection, call: Call) -> bytes:
        return content

    return call


def test_the_command_revokes_and_the_bureau_sees_by_whom(
    hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase of this test")
    city, bureau = "410500-supervision", "410502-health"

    def new(id: str, *options: str) -> str:
        names = ("--organisation", id, "--name-zh", "机构", "--name-en", "Body", *options)
        (record,) = json.loads(hub.run("keys", "new", "--keys", str(tmp_path / id), "--json", *names).stdout)
        hub.enrol([record])
        return str(next(key["kid"] for key in record["jwks"]["keys"] if key["use"] == "sig"))

    new(city, "--role", "supervisor")
    kid = new(bureau, "--superior", city)
    revoke = ("keys", "revoke", bureau, kid, "--hub", hub.url)
    superior = ("--as", city, "--keys", str(tmp_path / city))
    bad = hub.run(*revoke, *superior, "--compromised-since", "yesterday")
    assert bad.returncode != 0 and "moment with its offset" in bad.stderr
    stranger = hub.run("keys", "revoke", HERE.id, HERE.signing.kid, "--hub", hub.url, *superior)
    assert stranger.returncode == 1 and "not above" in stranger.stderr and "Traceback" not in stranger.stderr
    done = hub.run(*revoke, *superior, "--compromised-since", "2026-01-01T08:00:00+08:00", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["organisation"], told["kid"], told["new"]) == (bureau, kid, True)
    again = hub.run(*revoke, *superior)
    assert "was revoked before" in again.stdout and str(told["entry"]) in again.stdout
    watch = ("keys", "watch", "--hub", hub.url, "--as", bureau, "--keys", str(tmp_path / bureau), "--json")
    watched = hub.run(*watch)
    rows = json.loads(watched.stdout)["events"]
    assert watched.returncode == 0
    assert [row["event"] for row in rows if row["kid"] == kid] == ["added", f"removed by {city}"]
