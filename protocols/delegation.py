"""An organisation lets a gateway sign for it: within a scope, for a time, by its own signed word, until it ends it.

A delegation is a JWS whose payload has the claims of a JWT (RFC 7519): `iss` lets `sub` sign, towards the hub `aud`,
from `nbf` until `exp`, what `scope` (RFC 6749 §3.3, space-separated) names; `jti` is its id, a UUIDv7.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar

import msgspec

from keys.errors import Fault
from keys.jwk import SigningKey
from keys.jws import Compact
from protocols import envelope, statements

TYP = "xieban-delegation+jws"
END_TYP = "xieban-delegation-end+jws"
LONGEST = timedelta(days=800)
MAX_SCOPE = 64

MAILBOX = "mailbox"
"""The scope of reading and acknowledging: mailbox and cases, with tokens and acknowledgements the gateway signs."""


class DelegationInvalid(Fault):
    """The delegation, or its end, is not as it must be; nothing was changed."""

    code: ClassVar[str] = "delegation-invalid"


class DelegationExceeded(Fault):
    """The gateway holds a delegation of this organisation, but not for this, or not at this moment."""

    code: ClassVar[str] = "delegation-exceeded"


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    sub: str
    aud: str
    jti: str
    iat: int
    nbf: int
    exp: int
    scope: str


class _EndClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    aud: str
    jti: str
    iat: int


_KINDS: Mapping[str, type[_Claims | _EndClaims]] = {TYP: _Claims, END_TYP: _EndClaims}


@dataclass(frozen=True, slots=True)
class Delegation:
    """`organisation` lets `gateway` sign what `scope` names, from `begins` (included) to `ends` (excluded)."""

    id: str
    organisation: str
    gateway: str
    hub: str
    scope: tuple[str, ...]
    issued: datetime
    begins: datetime
    ends: datetime

    def covers(self, wanted: str, moment: datetime) -> bool:
        """Whether it is for `wanted`, a message's type or MAILBOX, at the (aware) moment."""
        family = f"{wanted.partition('.')[0]}.*" if "." in wanted else None
        return self.begins <= moment < self.ends and (wanted in self.scope or family in self.scope)


@dataclass(frozen=True, slots=True)
class Ending:
    """`organisation` takes its delegation `id` back."""

    id: str
    organisation: str
    hub: str
    issued: datetime


def delegate(
    organisation: str,
    gateway: str,
    hub: str,
    scope: Sequence[str],
    signing: SigningKey,
    begins: datetime,
    ends: datetime,
    now: datetime,
) -> str:
    """The organisation's signed word, for `POST /v1/delegations`. Raises DelegationInvalid."""
    claims = _Claims(
        iss=organisation,
        sub=gateway,
        aud=hub,
        jti=envelope.new_id(),
        iat=int(now.timestamp()),
        nbf=int(begins.timestamp()),
        exp=int(ends.timestamp()),
        scope=" ".join(scope),
    )
    token = statements.sign(claims, signing, TYP)
    read(token)
    return token


def end(organisation: str, id: str, hub: str, signing: SigningKey, now: datetime) -> str:
    """The organisation's signed word that its delegation `id` holds no more."""
    claims = _EndClaims(iss=organisation, aud=hub, jti=id, iat=int(now.timestamp()))
    return statements.sign(claims, signing, END_TYP)


def read(token: str | bytes) -> tuple[Compact, Delegation | Ending]:
    """A statement taken apart; its signature is for the caller to verify. Raises DelegationInvalid."""
    compact, claims = statements.read(token, _KINDS, DelegationInvalid)
    return compact, _delegation(claims) if isinstance(claims, _Claims) else _ending(claims)


def _delegation(claims: _Claims) -> Delegation:
    _require_id(claims.jti)
    if claims.iss == claims.sub:
        raise DelegationInvalid("nobody needs a delegation of itself")
    statements.require_organisations((claims.iss, claims.sub), DelegationInvalid)
    scope = tuple(dict.fromkeys(claims.scope.split(" ")))
    if len(scope) > MAX_SCOPE or not all(_is_scope(one) for one in scope):
        raise DelegationInvalid(f"scope names message types, <protocol>.*, or {MAILBOX}; at most {MAX_SCOPE}")
    issued, begins, ends = statements.moments((claims.iat, claims.nbf, claims.exp), DelegationInvalid)
    if not timedelta(0) < ends - begins <= LONGEST:
        raise DelegationInvalid(f"a delegation holds for at most {LONGEST.days} days")
    return Delegation(claims.jti, claims.iss, claims.sub, claims.aud, scope, issued, begins, ends)


def _ending(claims: _EndClaims) -> Ending:
    _require_id(claims.jti)
    (issued,) = statements.moments((claims.iat,), DelegationInvalid)
    return Ending(claims.jti, claims.iss, claims.aud, issued)


def _is_scope(text: str) -> bool:
    protocol, dot, message = text.partition(".")
    if not dot:
        return text == MAILBOX
    return _is_name(protocol) and (message == "*" or _is_name(message))


def _is_name(text: str) -> bool:
    return 0 < len(text) <= 64 and text.isascii() and text.replace("-", "a").isalnum() and text == text.lower()


def _require_id(jti: str) -> None:
    if not envelope.is_id(jti):
        raise DelegationInvalid("jti is a UUIDv7")
