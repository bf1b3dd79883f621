"""The bearer token of the HTTP API: a JWT (RFC 7519) that an organisation signs with its own key, for one hub."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keys import jws, strict_json
from keys.algorithms import DEFAULT_ALGORITHMS
from keys.errors import Fault, TokenInvalid
from keys.jwk import SigningKey
from keys.trust import KeyRing

MAX_LIFETIME: Final = timedelta(minutes=5)
LEEWAY: Final = timedelta(seconds=30)
MAX_LENGTH: Final = 8192
"""Longest token, in characters."""

_MAX_JTI: Final = 128
_LATEST: Final = 253402300799  # the last second of year 9999, where datetime ends


@dataclass(frozen=True, slots=True)
class Claims:
    """What a verified token says: the organisation that calls, until when, and the token's own id."""

    organisation: str
    audience: str
    issued: datetime
    expires: datetime
    jti: str
    kid: str


def bearer(organisation: str, hub: str, key: SigningKey, now: datetime, lifetime: timedelta = MAX_LIFETIME) -> str:
    """A fresh token of `organisation` for `hub`, valid from the (aware) moment `now` for at most five minutes."""
    issued = int(now.timestamp())
    claims = {"iss": organisation, "sub": organisation, "aud": hub, "iat": issued}
    return issue(claims | {"exp": issued + int(lifetime.total_seconds()), "jti": str(uuid.uuid4())}, key)


def issue(claims: Mapping[str, object], key: SigningKey) -> str:
    """The signed token of these claims, as they are; `bearer` makes the right ones."""
    payload = json.dumps(dict(claims), separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    return jws.sign(payload, key, typ="JWT").decode("ascii")


def peek_issuer(token: str) -> str:
    """The organisation a token claims to be of: unverified, good only for finding its keys. Raises TokenInvalid."""
    return _text(_claims(_decode(token)), "iss")


def peek_kid(token: str) -> str | None:
    """The key a token claims to be signed with: unverified, good only for finding whose it is. Raises TokenInvalid."""
    return _decode(token).header.kid


def verify(
    token: str,
    *,
    issuer: str,
    audience: str,
    keys: KeyRing,
    now: datetime,
    allowed: Collection[str] = DEFAULT_ALGORITHMS,
) -> Claims:
    """What the token says, once it is `issuer`'s, for `audience`, and in force at the (aware) moment `now`.

    `keys` are the issuer's. A clock may be 30 s off; no token lives longer than five minutes. Raises
    TokenInvalid, whose data carries the code of the refusal underneath as `reason` where there is one.
    """
    compact = _decode(token)
    try:
        key = keys.verifying(compact.header.kid, now, allowed)
        jws.verify(compact, key, allowed)
    except Fault as fault:
        raise TokenInvalid(f"the token's signature: {fault.detail}", reason=fault.code) from None
    claims = _claims(compact)
    if not (_text(claims, "iss") == _text(claims, "sub") == issuer):
        raise TokenInvalid("iss and sub must both be the organisation", claim="iss")
    if claims.get("aud") not in (audience, [audience]):
        raise TokenInvalid(f"the token is for another audience: aud must be {audience}", claim="aud")
    issued, expires = _moment(claims, "iat"), _moment(claims, "exp")
    _check_times(claims, issued, expires, now)
    return Claims(issuer, audience, issued, expires, _text(claims, "jti"), key.kid)


def _check_times(claims: dict[str, Any], issued: datetime, expires: datetime, now: datetime) -> None:
    if not timedelta(0) < expires - issued <= MAX_LIFETIME:
        raise TokenInvalid("a token lives at most five minutes", claim="exp")
    if issued > now + LEEWAY:
        raise TokenInvalid(f"the token is from the future: iat is after {_shown(now)}, the time here", claim="iat")
    if "nbf" in claims and _moment(claims, "nbf") > now + LEEWAY:
        raise TokenInvalid("the token is not valid yet", claim="nbf")
    if now >= expires + LEEWAY:
        raise TokenInvalid(f"the token has expired: exp is before {_shown(now)}, the time here", claim="exp")


def _shown(moment: datetime) -> str:
    """A moment as RFC 3339 has it, and as the claims do (RFC 7519 §2, NumericDate)."""
    return f"{moment.isoformat(timespec='seconds')} ({int(moment.timestamp())})"


def _decode(token: str) -> jws.Compact:
    if len(token) > MAX_LENGTH:
        raise TokenInvalid("the token is too long", limit=MAX_LENGTH)
    try:
        return jws.decode(token.encode("ascii"), typ=None, extra_headers=True)
    except UnicodeEncodeError:
        raise TokenInvalid("the token is not a JWT") from None
    except Fault as fault:
        raise TokenInvalid(f"the token is not a JWT: {fault.detail}", reason=fault.code) from None


def _claims(compact: jws.Compact) -> dict[str, Any]:
    # typ is optional in a JWT and, when there, JWT in whatever case (RFC 7519 §5.1): no message passes for a token.
    if compact.header.typ is not None and compact.header.typ.upper() != "JWT":
        raise TokenInvalid("this is signed as something other than a token", typ=compact.header.typ)
    try:
        claims = strict_json.loads(compact.payload)
    except Fault as fault:
        raise TokenInvalid(f"the token's claims: {fault.detail}", reason=fault.code) from None
    if not isinstance(claims, dict):
        raise TokenInvalid("the token's claims are not an object")
    return claims


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_JTI:
        raise TokenInvalid(f"the claim {name} is missing, not a string or too long", claim=name)
    return value


def _moment(claims: dict[str, Any], name: str) -> datetime:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LATEST:
        raise TokenInvalid(f"the claim {name} is missing or is not a moment in seconds", claim=name)
    return datetime.fromtimestamp(value, UTC)
