"""Every call by every kind of caller, held against the table in authorisation.toml; a call without a row fails."""

import asyncio
import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.client import Refused
from hub.api.app import CALLS
from hub.identity import hub_key
from keys import jwk, jws, jwt
from keys.jwk import EncryptionKey, SigningKey, VerifyingKey
from protocols import delegation, envelope, revocation, vouching
from protocols.delegation import MAILBOX
from protocols.vouching import Constraints, Described, Name
from tests.acceptance.authorising import PAGE, SIGNED, matrix, page
from tests.acceptance.bureaus import Bureau, mailbox, opened
from tests.acceptance.provinces import Province, province

CASE = "case-assistance"
NEIGHBOURS = {"neighbour": "440000-hub", "former-neighbour": "320000-hub"}
BUREAUS: dict[str, dict[str, Any]] = {
    "opener": {"id": "411002-health", "superior": "411000-supervision"},
    "responder": {"id": "440306-health", "superior": "440300-supervision"},
    "colleague": {"id": "411002-civil-affairs", "superior": "411000-supervision"},
    "stranger": {"id": "320583-health", "superior": "320500-supervision"},
    "superior": {"id": "411000-supervision", "roles": ("supervisor",)},
    "responders-superior": {"id": "440300-supervision", "roles": ("supervisor",)},
    "elsewhere": {"id": "320500-supervision", "roles": ("supervisor",)},
    "auditor": {"id": "410000-supervision", "roles": ("auditor",)},
    "gateway": {"id": "411000-market-regulation"},
    "gateway-beyond": {"id": "411000-finance"},
    "revoked": {"id": "411003-health"},
    "expired-key": {"id": "411004-health"},
}


@dataclass(frozen=True)
class Caller:
    """For whom somebody speaks, and the key that it signs with."""

    name: str
    organisation: str
    key: SigningKey

    def token(self) -> str | None:
        """Its bearer token, if it has one."""
        if self.name == "nobody":
            return None
        now = datetime.now(UTC) - timedelta(hours=self.name == "expired-token")
        return jwt.bearer(self.organisation, "440000-hub" if self.name == "other-hub-token" else HUB, self.key, now)

    def sign(self, payload: bytes, typ: str, cty: str | None = None) -> bytes:
        return jws.sign(payload, self.key, typ=typ, cty=cty)


HUB = "410000-hub"


@dataclass(frozen=True)
class World:
    """A case between two bureaus, and everybody who may come to the hub."""

    at: Province
    bureaus: dict[str, Bureau]
    callers: dict[str, Caller]
    places: dict[str, str]
    spare: dict[str, SigningKey]
    """For each caller, a key that the opener has besides the one it works with."""

    def call(self, caller: Caller, name: str) -> tuple[int, Any]:
        """What the hub answers a caller; the status of a batch is that of its one line."""
        row = matrix().calls[name]
        method, _, path = name.partition(" ")
        body = BODIES[row.send](self, caller) if row.send else None
        asked = (row.ask or path).format(**self.places, fresh=fresh(caller))
        request = urllib.request.Request(self.at.url + asked, body, method=method)
        request.add_header("Content-Type", MEDIA.get(row.send, "application/jose"))
        if name not in SIGNED and (token := caller.token()) is not None:
            request.add_header("Authorization", f"Bearer {token}")
        try:
            with urllib.request.urlopen(request, timeout=40) as answer:
                status, said = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, said = error.code, error.read()
        found = json.loads(said) if said[:1] in b"{[" else said
        return (found.get("status", 201) if row.send == "batch" and status == 200 else status), found


def fresh(caller: Caller) -> str:
    """What nobody uploaded yet: another for each caller."""
    return hashlib.sha256(_bytes(caller)).hexdigest()


def _bytes(caller: Caller) -> bytes:
    return f"sealed by {caller.name}".encode()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with province("41") as at:
        bureaus = {name: Bureau(url=at.url, **said) for name, said in BUREAUS.items()}
        at.enrol(*bureaus.values())
        _keys_end(at, bureaus)
        hubs = {name: _neighbour(at, name, id) for name, id in NEIGHBOURS.items()}
        at.run("hubs", "end", NEIGHBOURS["former-neighbour"])
        opener = bureaus["opener"]
        callers = {name: Caller(name, one.id, one.signing) for name, one in bureaus.items()}
        for name in ("expired-token", "other-hub-token"):
            callers[name] = Caller(name, opener.id, opener.signing)
        for name in ("nobody", "forger"):
            callers[name] = Caller(name, opener.id, jwk.generate_signing())
        for name in ("gateway", "gateway-beyond"):
            callers[name] = Caller(name, opener.id, bureaus[name].signing)
        callers["hub"] = Caller("hub", HUB, hub_key(at.hub.data))
        callers |= {name: Caller(name, NEIGHBOURS[name], key) for name, key in hubs.items()}
        spare = {name: jwk.generate_signing() for name in callers}
        _enrol(at, opener, [one.public for one in spare.values()])
        yield World(at, bureaus, callers, asyncio.run(_case(bureaus)), spare)


def _keys_end(at: Province, bureaus: dict[str, Bureau]) -> None:
    """One key is replaced, one ends by itself."""
    revoked, expired = bureaus["revoked"], bureaus["expired-key"]
    at.enrol(Bureau(revoked.id))
    past = {"exp": int(datetime.now(UTC).timestamp()) - 60}
    jwks = json.loads(json.dumps(expired.record()))["jwks"]
    _import(at, expired.record() | {"jwks": {"keys": [key | past for key in jwks["keys"]]}})


def _enrol(at: Province, bureau: Bureau, more: list[VerifyingKey]) -> None:
    """The bureau with further keys."""
    keys: list[VerifyingKey | EncryptionKey] = [bureau.signing.public, bureau.sealing.public, *more]
    _import(at, bureau.record() | {"jwks": jwk.public_jwks(keys)})


def _import(at: Province, record: dict[str, Any]) -> None:
    file = at.folder / "record.json"
    file.write_text(json.dumps([record]))
    at.run("organisations", "import", str(file))


def _neighbour(at: Province, name: str, id: str) -> SigningKey:
    """A hub that the anchor vouched for, and its key."""
    key, now = jwk.generate_signing(), datetime.now(UTC)
    described = Described(Name(id, id), ["partner"])
    application = vouching.apply(id, described, at.anchor.id, [key.public], key, now)
    word = vouching.vouch(at.anchor.id, application, at.anchor.signing, Constraints(), now)
    chain = at.folder / f"{name}.chain"
    chain.write_text(f"{application}\n{word}\n")
    at.run("hubs", "admit", str(chain), "--url", "http://127.0.0.1:9")
    return key


async def _case(bureaus: dict[str, Bureau]) -> dict[str, str]:
    """A case under way, an attachment, and what the gateways may do."""
    opener, responder, now = bureaus["opener"], bureaus["responder"], datetime.now(UTC)
    sent = await opened(opener, CASE, "request", [responder.id])
    await mailbox(responder)
    async with opener.client() as client:
        for name, scope in (("gateway", [f"{CASE}.*", MAILBOX]), ("gateway-beyond", ["errand.*"])):
            await client.delegate(bureaus[name].id, scope, now, now + timedelta(days=1))
    kept = Caller("kept", opener.id, opener.signing)
    request = urllib.request.Request(f"{opener.url}/v1/attachments/{fresh(kept)}", _bytes(kept), method="PUT")
    request.add_header("Authorization", f"Bearer {kept.token()}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 201
    return {"opener": opener.id, "message": f"{opener.id}/{sent.id}", "case": sent.case, "attachment": fresh(kept),
            "neighbour": NEIGHBOURS["neighbour"]}  # fmt: skip


# What is sent ---------------------------------------------------------------------------------------------------


def _event(world: World, caller: Caller, **changed: Any) -> dict[str, Any]:
    """A reminder in the case, by whoever calls."""
    to = world.bureaus["responder"].id
    return envelope.compose(
        source=caller.organisation, type=f"{CASE}.remind", subject=world.places["case"],
        recipients=[to if caller.organisation != to else world.places["opener"]], time=datetime.now(UTC),
        dataschema=f"https://xieban.example/v1/protocols/{CASE}/1.0/remind",
        data={"about": "accept"}, **({"hub": HUB} | changed),
    )  # fmt: skip


def _message(world: World, caller: Caller) -> bytes:
    return caller.sign(envelope.encode(_event(world, caller)), envelope.TYP, envelope.CTY)


def _relayed(world: World, caller: Caller) -> bytes:
    event = _event(world, caller, hub=NEIGHBOURS["neighbour"]) | {"subject": envelope.new_id()}
    return caller.sign(envelope.encode(event), envelope.TYP, envelope.CTY)


def _preflight(world: World, caller: Caller) -> bytes:
    """Everybody asks about a message of the opener."""
    return envelope.encode(_event(world, Caller("", world.places["opener"], caller.key)))


def _acknowledgement(world: World, caller: Caller) -> bytes:
    """Everybody signs for what lies in the responder's mailbox."""
    (item, *_) = asyncio.run(mailbox(world.bureaus["responder"]))
    digest, now = f"sha-256:{hashlib.sha256(item.compact).hexdigest()}", envelope.rfc3339(datetime.now(UTC))
    said = {"hub": HUB, "recipient": world.bureaus["responder"].id, "through": item.position, "digest": digest,
            "time": now}  # fmt: skip
    return caller.sign(json.dumps(said).encode(), envelope.ACK_TYP)


def _delegation(world: World, caller: Caller) -> bytes:
    """Everybody lets the stranger sign for the opener."""
    now = datetime.now(UTC)
    to = world.bureaus["stranger"].id
    return delegation.delegate(
        world.places["opener"], to, HUB, ["errand.*"], caller.key, now, now + timedelta(days=1), now
    ).encode()


def _revocation(world: World, caller: Caller) -> bytes:
    """Everybody revokes, in its own name, a key that the opener has besides the one it works with."""
    opener, spare = world.places["opener"], world.spare[caller.name].kid
    return revocation.revoke(caller.organisation, opener, spare, HUB, caller.key, datetime.now(UTC)).encode()


def _cosignature(world: World, caller: Caller) -> bytes:
    with urllib.request.urlopen(world.at.url + "/log/checkpoint", timeout=10) as answer:
        return bytes(answer.read())


BODIES: dict[str, Callable[[World, Caller], bytes]] = {
    "bytes": lambda world, caller: _bytes(caller),
    "preflight": _preflight,
    "entries": lambda world, caller: b'{"entries": [], "scanned": 0}',
    "message": _message,
    "batch": lambda world, caller: _message(world, caller) + b"\n",
    "acknowledgement": _acknowledgement,
    "delegation": _delegation,
    "revocation": _revocation,
    "relayed": _relayed,
    "cosignature": _cosignature,
}
MEDIA = {
    "bytes": "application/octet-stream",
    "preflight": "application/cloudevents+json",
    "entries": "application/json",
    "batch": "application/x-ndjson",
    "cosignature": "text/plain",
}


# The table --------------------------------------------------------------------------------------------------------


def test_the_table_speaks_of_every_call_and_of_nothing_else() -> None:
    assert {f"{call.method} {call.path}" for call in CALLS} == matrix().calls.keys()
    asked = {f"{call.method} {call.path}" for call in CALLS if call.token}
    assert asked <= {name for name, row in matrix().calls.items() if not row.open and name not in SIGNED}
    named = {name for row in matrix().calls.values() for name in (*row.gets, *(row.holds or ()))}
    assert named <= matrix().callers.keys()


def test_the_page_shows_the_table_as_it_is() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.acceptance.authorising writes it again"


@pytest.mark.parametrize("name", matrix().calls)
def test_each_caller_gets_what_is_theirs(world: World, name: str) -> None:
    row, callers = matrix().calls[name], matrix().callers
    assert world.callers.keys() == callers.keys()
    found = {who: world.call(world.callers[who], name) for who in callers}
    wrong = [
        f"{who} got {status}, not {row.of(who, caller)}: {str(said)[:200]}"
        for who, caller in callers.items()
        for status, said in [found[who]]
        if status != row.of(who, caller)
    ]
    assert not wrong, "\n".join(wrong)
    for who, (status, said) in found.items():
        if status in (401, 403):
            assert said["type"].startswith("/problems/") and world.places["case"] not in json.dumps(said), who
    if row.holds is not None:
        full = [who for who, (status, said) in found.items() if status == 200 and said["items"]]
        assert sorted(full) == sorted(row.holds)


WITH_TOKEN = [name for name, row in matrix().calls.items() if not row.open and name not in SIGNED]


@pytest.mark.parametrize("name", WITH_TOKEN)
def test_without_a_token_or_with_a_bad_one_there_is_nothing(world: World, name: str) -> None:
    row, opener, stranger = matrix().calls[name], world.callers["opener"], world.callers["stranger"]
    now, method, path = datetime.now(UTC), *name.split(" ")
    good, other = opener.token(), stranger.token()
    assert good is not None and other is not None
    claims = {"iss": opener.organisation, "sub": opener.organisation, "aud": HUB, "iat": int(now.timestamp())}
    soon = int(now.timestamp()) + 60
    bad = [
        None,
        "Bearer",
        "Bearer x",
        "Basic eDp5",
        f"Bearer {good.rpartition('.')[0]}.{other.rpartition('.')[2]}",
        f"Bearer {jwt.issue(claims | {'exp': soon + 3600, 'jti': '1'}, opener.key)}",
        f"Bearer {jwt.issue(claims | {'sub': stranger.organisation, 'exp': soon, 'jti': '1'}, opener.key)}",
        f"Bearer {jws.sign(json.dumps(claims).encode(), opener.key, typ=envelope.TYP).decode()}",
    ]
    for authorization in bad:
        body = BODIES[row.send](world, opener) if row.send else None
        asked = (row.ask or path).format(**world.places, fresh=fresh(opener))
        request = urllib.request.Request(world.at.url + asked, body, method=method)
        if authorization is not None:
            request.add_header("Authorization", authorization)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 401, authorization
        assert refused.value.headers["WWW-Authenticate"] == "Bearer"
        assert json.loads(refused.value.read())["type"] in ("/problems/unauthenticated", "/problems/token-invalid")


def test_a_supervisor_sees_the_open_part_and_nothing_sealed(world: World) -> None:
    status, view = world.call(world.callers["superior"], "GET /v1/cases/{id}")
    assert status == 200
    assert view["timeline"][0]["data"]["legal_basis"]
    assert "sealed" not in json.dumps(view["timeline"])
    assert view["allowed_actions"] == []


async def test_a_preflight_says_every_problem_at_once_and_stores_nothing(world: World) -> None:
    opener = world.callers["opener"]
    event = _event(world, opener) | {"hub": "440000-hub", "recipients": "999999-health", "time": "2020-01-01T00:00:00Z"}
    event["subject"] = envelope.new_id()
    request = urllib.request.Request(world.at.url + "/v1/preflight", json.dumps(event).encode(), method="POST")
    request.add_header("Content-Type", MEDIA["preflight"])
    request.add_header("Authorization", f"Bearer {opener.token()}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        verdict = json.loads(answer.read())
    assert verdict["acceptable"] is False
    assert {problem["type"] for problem in verdict["problems"]} >= {
        "/problems/other-hub",
        "/problems/recipients-invalid",
        "/problems/time-out-of-range",
    }
    async with world.bureaus["opener"].client() as client:
        with pytest.raises(Refused) as refused:
            await client.case(event["subject"])
    assert refused.value.reason == "not-found"
