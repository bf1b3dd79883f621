"""Compact JWS (RFC 7515 §7.1): decoded strictly, verified against one key and an allow-list, signed."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from keys import base64url, strict_json
from keys.algorithms import CANONICAL, DEFAULT_ALGORITHMS
from keys.errors import AlgorithmNotAllowed, KeyUnknown, MalformedJSON, MalformedJWS
from keys.jwk import SigningKey, VerifyingKey

MAX_HEADER: Final = 2048
"""Longest header segment, in characters of base64url."""

_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_MESSAGE_MEMBERS: Final = (frozenset({"alg", "kid", "typ"}), frozenset({"alg", "kid", "typ", "cty"}))
# Each would change what the signature covers or what must be understood (RFC 7515 §4.1.11, RFC 7797, RFC 7516).
_REFUSED_MEMBERS: Final = ("crit", "b64", "zip")


@dataclass(frozen=True, slots=True)
class Header:
    """The members of a protected header that mean something here; `alg` is as sent."""

    alg: str
    kid: str | None
    typ: str | None
    cty: str | None


@dataclass(frozen=True, slots=True)
class Compact:
    """A decoded compact JWS. Nothing in it is to be believed before `verify`."""

    token: bytes
    signing_input: bytes
    header: Header
    payload: bytes
    signature: bytes


def decode(token: bytes, *, typ: str | None, extra_headers: bool = False) -> Compact:
    """Takes a compact JWS apart without verifying it.

    The header holds exactly alg, kid, typ and perhaps cty, the kid being a thumbprint. With `extra_headers`
    (as JWTs of other makers have) other members are ignored and all but alg may be absent. `crit`, `b64` and
    `zip` are refused either way. `typ`, when given, must be the header's. Raises MalformedJWS.
    """
    segments = token.split(b".", 3)
    if len(segments) != 3:
        raise MalformedJWS("a compact JWS has three segments: header.payload.signature, each in base64url")
    first, second, third = segments
    if len(first) > MAX_HEADER:
        raise MalformedJWS("the header is too long", limit=MAX_HEADER)
    header = _decode_header(first, extra_headers)
    if typ is not None and header.typ != typ:
        raise MalformedJWS(f"the header names another type: typ must be {typ}", typ=header.typ, expected=typ)
    try:
        payload, signature = base64url.decode(second), base64url.decode(third)
    except ValueError as error:
        raise MalformedJWS(f"payload or signature: {error}") from None
    return Compact(token, token[: len(first) + 1 + len(second)], header, payload, signature)


def verify(compact: Compact, key: VerifyingKey, allowed: Collection[str] = DEFAULT_ALGORITHMS) -> bytes:
    """The payload, once the signature is this key's.

    `allowed` holds names as this system writes them. The algorithm is the key's, never the header's choice:
    raises AlgorithmNotAllowed when the two differ or the list lacks it, KeyUnknown when the header names
    another key, BadSignature. Whether the key is valid at the time in question is for `trust` to say.
    """
    alg = CANONICAL.get(compact.header.alg)
    if alg is None or alg not in allowed or alg != key.alg:
        raise AlgorithmNotAllowed(alg=compact.header.alg, key_alg=key.alg)
    if compact.header.kid is not None and compact.header.kid != key.kid:
        raise KeyUnknown("the header names another key", kid=compact.header.kid)
    key.verify(compact.signing_input, compact.signature)
    return compact.payload


def sign(payload: bytes, key: SigningKey, *, typ: str, cty: str | None = None) -> bytes:
    """The compact JWS of `payload`, signed by `key`; the header is alg, kid, typ and, when given, cty."""
    signing_input = b"%b.%b" % (
        _encode_header(key.alg, key.kid, typ, cty),
        base64url.encode(payload).encode("ascii"),
    )
    return b"%b.%b" % (signing_input, base64url.encode(key.sign(signing_input)).encode("ascii"))


# A partner's header is the same bytes every time; the bound holds both the entries and, by MAX_HEADER, their size.
@lru_cache(maxsize=4096)
def _decode_header(segment: bytes, extra_headers: bool) -> Header:
    try:
        members = strict_json.loads(base64url.decode(segment))
    except ValueError as error:
        raise MalformedJWS(f"header: {error}") from None
    except MalformedJSON as error:
        raise MalformedJWS(f"header: {error.detail}", **error.data) from None
    if not isinstance(members, dict):
        raise MalformedJWS("the header is not a JSON object")
    _check_members(members, extra_headers)
    return Header(members["alg"], members.get("kid"), members.get("typ"), members.get("cty"))


def _check_members(members: dict[str, Any], extra_headers: bool) -> None:
    for name in _REFUSED_MEMBERS:
        if name in members:
            raise MalformedJWS(f"the header has {name}, which is not allowed", member=name)
    if not extra_headers and members.keys() not in _MESSAGE_MEMBERS:
        raise MalformedJWS("the header holds exactly alg, kid, typ and perhaps cty", members=sorted(members)[:16])
    if "alg" not in members:
        raise MalformedJWS("the header names no algorithm", member="alg")
    for name in ("alg", "kid", "typ", "cty"):
        if name in members and not isinstance(members[name], str):
            raise MalformedJWS(f"the header's {name} is not a string", member=name)
    if not extra_headers and not _THUMBPRINT.match(members["kid"]):
        raise MalformedJWS("the kid is not the key's thumbprint (RFC 7638, SHA-256, base64url)", member="kid")


@lru_cache(maxsize=256)
def _encode_header(alg: str, kid: str, typ: str, cty: str | None) -> bytes:
    members = {"alg": alg, "kid": kid, "typ": typ}
    if cty is not None:
        members["cty"] = cty
    return base64url.encode(json.dumps(members, separators=(",", ":")).encode("utf-8")).encode("ascii")
