"""What the hub and whoever verifies it read from the wire: keys, signatures, seals, the log, statements, messages."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import msgspec

from hub import enrolment, mailbox
from hub.enrolment import ImportInvalid
from hub.intake.decode import decode
from hub.relaying import learning
from keys import checkpoint, chunks, cosignature, jwe, jwk, jws, jwt, merkle, strict_json, tiles
from keys.checkpoint import Checkpoint
from keys.errors import Fault
from keys.jwk import public_jwks
from keys.trust import KeyRing
from protocols import delegation, entries, envelope, mailbox_end, receipt, revocation, sealing, vouching
from protocols.entries import Accepted
from protocols.receipt import Receipt
from tests.fuzzing.fixed import HUB, NOW, ORIGIN, opening, secret, signing
from tests.fuzzing.probing import Target

ID = "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7"
CASE = "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8"
US, THEM = "411002-health", "440306-health"
JOSE_WORDS = (b'"alg"', b'"kid"', b'"typ"', b'"crv"', b'"x"', b'"Ed25519"', b"ES256", b"none", b'"crit"', b".", b"e30")
JSON_WORDS = (b"{}", b"[]", b"null", b"NaN", b"1e999", b"9" * 30, b'"\\ud800"', b"\xff", b"\\u0000", b'":', b"[" * 70)


def as_json(value: Any) -> bytes:
    """The value as a sender writes it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def signed(typ: str, read: Callable[[bytes], object], cty: str | None = None) -> Callable[[bytes], object]:
    """A reader of what was signed: any payload reaches it under a signature that holds."""
    return lambda payload: read(jws.sign(payload, signing(US), typ=typ, cty=cty))


def event() -> dict[str, Any]:
    """A message that is an envelope."""
    return envelope.compose(
        source=US, type="errand.request", dataschema="https://xieban.example/v1/protocols/errand/1.0/request",
        subject=CASE, recipients=[THEM], hub=HUB, time=NOW, data={"act": "serve"}, id=ID,
    )  # fmt: skip


@cache
def note() -> str:
    """A checkpoint of a log of one entry, cosigned."""
    head = Checkpoint(ORIGIN, 1, merkle.leaf_hash(leaf()))
    made = checkpoint.sign_checkpoint(head, signing("hub"))
    return made + cosignature.cosign(made, "witness.example", signing("witness"), NOW)


@cache
def leaf() -> bytes:
    """An entry of the log."""
    return entries.encode(Accepted(ID, "sha-256:" + "0" * 64, US, "errand.request", CASE, None, {THEM: 1},
                                   envelope.rfc3339(NOW), "2026-11-20"))  # fmt: skip


def a_receipt() -> Receipt:
    """A receipt that verifies."""
    found = entries.decode(leaf())
    assert isinstance(found, Accepted)
    return receipt.build(found, receipt.log_proof(ORIGIN, 0, leaf(), [], note()))


def _token(data: bytes) -> object:
    compact = jws.decode(data, typ=None, extra_headers=True)
    return jws.verify(compact, signing(US).public)


def _bearer(data: bytes) -> object:
    token = data.decode("latin-1")
    jwt.peek_issuer(token)
    ring = KeyRing([signing(US).public])
    return jwt.verify(token, issuer=US, audience=HUB, keys=ring, now=NOW)


def _key(data: bytes) -> object:
    value = strict_json.loads(data)
    if isinstance(value, dict) and "d" in value:
        return jwk.parse_private(value)
    return jwk.parse_jwks(value) if isinstance(value, dict) and "keys" in value else jwk.parse_public(value)


def _seal(data: bytes) -> object:
    value = strict_json.loads(data)
    jwe.recipient_kids(value)
    plain = jwe.unseal(value, opening(THEM))
    return sealing.read(plain, sealing.digest(plain), US, ID, CASE)


def _note(data: bytes) -> object:
    head = checkpoint.verify_checkpoint(data, [signing("hub").public])
    witness = cosignature.Witness("witness.example", signing("witness").public)
    return head, cosignature.verify(data.decode(), [witness])


def _receipt(data: bytes) -> object:
    return receipt.verify(receipt.parse(data), [signing("hub").public])


def _tile(data: bytes) -> object:
    first, _, rest = data.partition(b"\n")
    found = tiles.parse_tile_path(first.decode("latin-1"))
    return found, tiles.parse_bundle(rest)


def _message(data: bytes) -> object:
    return envelope.event(decode(data).attributes)


def _bearer_seeds() -> Sequence[bytes]:
    return [jwt.bearer(US, HUB, signing(US), NOW).encode()]


def _statement(data: bytes) -> object:
    return vouching.read_application(data.decode("latin-1"), NOW)


def _vouched() -> Sequence[bytes]:
    described = vouching.Described(vouching.Name("魏都", "Weidu"), ["bureau"])
    application = vouching.apply(US, described, "411000-supervision", [signing(US).public], signing(US), NOW)
    return [jws.decode(application.encode(), typ=vouching.TYP).payload]


def _revoked() -> Sequence[bytes]:
    token = revocation.revoke(US, US, signing(US).kid, HUB, signing(US), NOW, NOW - timedelta(days=1))
    return [jws.decode(token.encode(), typ=revocation.TYP).payload]


def _delegated() -> Sequence[bytes]:
    until = NOW + timedelta(days=9)
    token = delegation.delegate(US, THEM, HUB, ["errand.*", delegation.MAILBOX], signing(US), NOW, until, NOW)
    return [jws.decode(token.encode(), typ=delegation.TYP).payload]


def _ended(data: bytes) -> object:
    return mailbox_end.verify(data.decode("latin-1"), [signing(US).public, signing("hub").public])


def _end() -> Sequence[bytes]:
    return [jws.decode(mailbox_end.sign(THEM, 7, note(), signing("hub"), NOW).encode(), typ=mailbox_end.TYP).payload]


def _seals() -> Sequence[bytes]:
    made = sealing.seal(US, ID, CASE, {"narrative": "x"}, [opening(THEM).public, opening(US).public], b"s" * 16)
    return [as_json(made["sealed"])]


def _record() -> Sequence[bytes]:
    jwks = public_jwks([signing(US).public, opening(US).public])
    return [as_json([{"id": US, "name": {"zh": "魏都", "en": "Weidu"}, "jwks": jwks}])]


def _acknowledgement() -> Sequence[bytes]:
    said = {"hub": HUB, "recipient": US, "through": 3, "digest": "sha-256:" + "0" * 64, "time": envelope.rfc3339(NOW)}
    return [as_json(said)]


REFUSED = (Fault,)
TARGETS = (
    Target("json", strict_json.loads, REFUSED, lambda: [as_json(event()), b'{"a":[1,2.5,true,null,"\xe4\xb8\xad"]}'],
           JSON_WORDS),
    Target("jws", _token, REFUSED, lambda: [jws.sign(b"{}", signing(US), typ="x")], JOSE_WORDS),
    Target("bearer", _bearer, REFUSED, _bearer_seeds, JOSE_WORDS),
    Target("jwk", _key, REFUSED, lambda: [
        as_json(signing(US).public.jwk), as_json(signing(US).jwk()), as_json(opening(US).jwk()),
        as_json(public_jwks([signing(US).public, opening(US).public]))], (*JOSE_WORDS, *JSON_WORDS)),
    Target("jwe", _seal, REFUSED, _seals, (*JOSE_WORDS, *JSON_WORDS, b'"epk"', b'"apu"', b'"aad"')),
    Target("chunk", lambda data: chunks.unseal(data, secret("chunk"), 1, 1), REFUSED,
           lambda: [chunks.seal(b"content", secret("chunk"), 1, 1)], JOSE_WORDS),
    Target("message", _message, REFUSED, lambda: [
        jws.sign(as_json(event()), signing(US), typ=envelope.TYP, cty=envelope.CTY)], JOSE_WORDS),
    Target("event", signed(envelope.TYP, _message, envelope.CTY), REFUSED, lambda: [as_json(event())], JSON_WORDS),
    Target("acknowledgement", signed(envelope.ACK_TYP, mailbox.read_acknowledgement), REFUSED, _acknowledgement,
           JSON_WORDS),
    Target("vouching", signed(vouching.TYP, _statement), REFUSED, _vouched, JSON_WORDS),
    Target("revocation", signed(revocation.TYP, revocation.read), REFUSED, _revoked, JSON_WORDS),
    Target("delegation", signed(delegation.TYP, delegation.read), REFUSED, _delegated, JSON_WORDS),
    Target("mailbox-end", signed(mailbox_end.TYP, _ended), REFUSED, _end, JSON_WORDS),
    Target("checkpoint", _note, REFUSED, lambda: [note().encode()], (b"\n\n", b"\xe2\x80\x94 ", ORIGIN.encode(), b"=")),
    Target("verifier-key", lambda data: cosignature.parse_vkey(data.decode("latin-1")), REFUSED, lambda: [
        cosignature.Witness("witness.example", signing("witness").public).vkey().encode()], (b"+", b"=")),
    Target("receipt", _receipt, REFUSED, lambda: [msgspec.json.encode(a_receipt())], JSON_WORDS),
    Target("entry", entries.decode, (ValueError,), lambda: [leaf()], (*JSON_WORDS, b'"kind"', b'"fetched"')),
    Target("tile", _tile, (ValueError,), lambda: [b"tile/entries/x001/234.p/7\n\0\2{}\0\0"],
           (b"tile/", b"entries/", b"x000/", b"000", b".p/", b"\n", b"\xff\xff", b"../")),
    Target("neighbour", learning.parse, REFUSED, lambda: [as_json({"entries": [], "scanned": 3})], JSON_WORDS),
    Target("enrolment", enrolment.parse, (ImportInvalid,), _record, JSON_WORDS),
)  # fmt: skip
"""Each with what it may raise; `REFUSED` is any refusal of the catalogue."""
