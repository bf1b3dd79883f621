"""Cosignatures of witnesses: C2SP tlog-cosignature, `cosignature/v1`, with Ed25519."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from keys import base64url, checkpoint, curves
from keys.checkpoint import Checkpoint
from keys.errors import AlgorithmNotAllowed, BadCheckpoint, BadSignature, Fault, MalformedKey
from keys.jwk import SigningKey, VerifyingKey, parse_public

_KIND: Final = b"\x04"
_KEY_ID: Final = 4
_TIME: Final = 8
_SIGNATURE: Final = 64
_DASH: Final = "\u2014 "


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness by its name, which is no log's, and its public key."""

    name: str
    key: VerifyingKey

    def vkey(self) -> str:
        """The verifier key as other tools take it: name+hash+key (C2SP signed-note, "Verifier keys")."""
        public = _public(self.key)
        return f"{self.name}+{_key_id(self.name, public).hex()}+{b64encode(_KIND + public).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A witness saw this checkpoint, at `at`, and nothing that contradicts it; `line` is its signature."""

    witness: str
    at: datetime
    line: str


def cosign(note: str, name: str, key: SigningKey, at: datetime) -> str:
    """The signature line of the witness `name` under a checkpoint's note. Raises BadCheckpoint, AlgorithmNotAllowed.

    Whoever signs has verified the checkpoint and its consistency with all that it signed before.
    """
    text = checkpoint.text_of(note)
    checkpoint.check_key_name(name)
    moment = int(at.timestamp())
    signature = key.sign(_signed(text, moment))
    blob = _key_id(name, _public(key.public)) + moment.to_bytes(_TIME, "big") + signature
    return f"{_DASH}{name} {b64encode(blob).decode('ascii')}\n"


def verify(note: str, witnesses: Iterable[Witness]) -> tuple[Checkpoint, list[Cosigned]]:
    """The checkpoint of a note and every cosignature of known witnesses under it, in the order of the lines.

    The log's own signature is not looked at. Lines of others are ignored; one that is a known witness's and does not
    verify spoils the whole note. Raises BadCheckpoint.
    """
    known = {(witness.name, _key_id(witness.name, _public(witness.key))): witness for witness in witnesses}
    text, signatures = checkpoint.open_note(note)
    found = []
    for name, blob in signatures:
        witness = known.get((name, blob[:_KEY_ID]))
        if witness is None:
            continue
        body = blob[_KEY_ID:]
        if len(body) != _TIME + _SIGNATURE:
            raise BadCheckpoint("a cosignature has 8 bytes of time and 64 of signature", name=name)
        moment = int.from_bytes(body[:_TIME], "big")
        try:
            witness.key.verify(_signed(text, moment), body[_TIME:])
            at = datetime.fromtimestamp(moment, UTC)
        except (BadSignature, ValueError, OverflowError, OSError):
            raise BadCheckpoint("the cosignature of a known witness does not verify", name=name) from None
        found.append(Cosigned(name, at, f"{_DASH}{name} {b64encode(blob).decode('ascii')}\n"))
    return checkpoint.parse_body(text), found


def parse_vkey(vkey: str) -> Witness:
    """The witness of a verifier key. Raises MalformedKey."""
    name, _, rest = vkey.partition("+")
    digest, _, encoded = rest.partition("+")
    try:
        checkpoint.check_key_name(name)
        blob = checkpoint.base64(encoded)
        if blob[:1] != _KIND or len(blob) != 33:
            raise MalformedKey("not the key of a witness (type 4)")
        jwk: dict[str, Any] = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(blob[1:]), "use": "sig"}
        key = parse_public(jwk | {"alg": "Ed25519"})
    except Fault as fault:
        raise MalformedKey(f"{vkey[:80]!r} is no verifier key of a witness: {fault.detail}") from None
    if not isinstance(key, VerifyingKey) or digest != _key_id(name, blob[1:]).hex():
        raise MalformedKey(f"{vkey[:80]!r}: the key's id is not that of its name and key")
    return Witness(name, key)


def _signed(text: str, moment: int) -> bytes:
    return f"cosignature/v1\ntime {moment}\n{text}".encode()


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8") + b"\n" + _KIND + public).digest()[:_KEY_ID]


def _public(key: VerifyingKey) -> bytes:
    if key.alg != "Ed25519":
        raise AlgorithmNotAllowed("witnesses cosign with Ed25519 only", alg=key.alg)
    return curves.octets(key.jwk, "x")
