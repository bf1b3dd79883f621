"""A key is taken out of use by a signed word: of an organisation above the one whose key it is, or of that one itself.

A revocation is a JWS whose payload has the claims of a JWT (RFC 7519): `iss` says to the hub `aud`, from `iat` until
`exp`, that the key `kid` of `sub` counts no more; `compromised_since`, where somebody else may have had it, since when
(RFC 3339).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from keys.errors import Fault
from keys.jwk import SigningKey
from keys.jws import Compact
from protocols import statements

TYP = "xieban-revocation+jws"
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""A leak before that is a mistake; and some clocks have no words for it."""
LONGEST = timedelta(days=1)
"""A word said now is meant now: one that was kept back does not count for ever."""


class RevocationInvalid(Fault):
    """The key can't be revoked like this; nothing was changed."""

    code: ClassVar[str] = "revocation-invalid"


class _Claims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    iss: str
    sub: str
    aud: str
    iat: int
    exp: int
    kid: Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{43}\Z")]
    compromised_since: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Revocation:
    """`signer` says that the key `kid` of `organisation` counts no more, and since when it may have leaked, if so."""

    signer: str
    organisation: str
    kid: str
    hub: str
    issued: datetime
    expires: datetime
    compromised_since: datetime | None


def revoke(
    signer: str,
    organisation: str,
    kid: str,
    hub: str,
    signing: SigningKey,
    now: datetime,
    compromised_since: datetime | None = None,
    lifetime: timedelta = timedelta(hours=1),
) -> str:
    """The signed word of `signer`, for `POST /v1/revocations`; moments are aware. Raises RevocationInvalid."""
    claims = _Claims(
        iss=signer,
        sub=organisation,
        aud=hub,
        iat=int(now.timestamp()),
        exp=int((now + lifetime).timestamp()),
        kid=kid,
        compromised_since=UNSET if compromised_since is None else compromised_since,
    )
    token = statements.sign(claims, signing, TYP)
    read(token)
    return token


def read(token: str | bytes) -> tuple[Compact, Revocation]:
    """A statement taken apart; its signature is for the caller to verify. Raises RevocationInvalid."""
    compact, claims = statements.read(token, {TYP: _Claims}, RevocationInvalid)
    statements.require_organisations((claims.iss, claims.sub), RevocationInvalid)
    issued, expires = statements.moments((claims.iat, claims.exp), RevocationInvalid)
    if not timedelta(0) < expires - issued <= LONGEST:
        raise RevocationInvalid(f"a revocation is to be taken within {LONGEST.days} day: exp is too far from iat")
    try:
        since = claims.compromised_since.astimezone(UTC) if claims.compromised_since is not UNSET else None
    except OverflowError:
        raise RevocationInvalid("compromised_since is no moment") from None
    if since is not None:
        require_moment(since)
    return compact, Revocation(claims.iss, claims.sub, claims.kid, claims.aud, issued, expires, since)


def require_moment(since: datetime) -> None:
    """Raise RevocationInvalid for a moment at which no key of ours can have leaked."""
    if since < EARLIEST:
        raise RevocationInvalid(f"compromised_since is before {EARLIEST.year}")


def check(said: Revocation, hub: str, now: datetime) -> None:
    """Raise RevocationInvalid unless the words are for this hub and are in force at the (aware) moment `now`."""
    if said.hub != hub:
        raise RevocationInvalid(f"aud is another hub; this one is {hub}")
    if said.issued > now + statements.LEEWAY:
        raise RevocationInvalid("it is from the future")
    if now >= said.expires:
        raise RevocationInvalid("it is over already: sign it again")
    if said.compromised_since is not None and said.compromised_since > now:
        raise RevocationInvalid("a key can't have leaked in the future")
