"""What organisations sign for the hub's log: a compact JWS whose payload has the claims of a JWT (RFC 7519).

A delegation is one, a revocation another: each has its own `typ` and closed claims, and its own fault where it does not
hold.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from keys import jws, strict_json
from keys.errors import Fault
from keys.jwk import SigningKey
from keys.jws import Compact
from protocols.departments import parse_organisation_id

MAX_STATEMENT = 8192
LEEWAY = timedelta(minutes=5)
"""How far the clock of whoever signs may be from the hub's."""

_Claims = TypeVar("_Claims", bound=msgspec.Struct)


def sign(claims: msgspec.Struct, signing: SigningKey, typ: str) -> str:
    """The statement of these claims, signed."""
    return jws.sign(msgspec.json.encode(claims), signing, typ=typ).decode("ascii")


def read(token: str | bytes, claims: Mapping[str, type[_Claims]], invalid: type[Fault]) -> tuple[Compact, _Claims]:
    """A statement taken apart, its `claims` by its `typ`; the signature is the caller's to verify. Raises `invalid`."""
    try:
        raw = token.encode("ascii") if isinstance(token, str) else token
    except UnicodeEncodeError:
        raise invalid("is no compact JWS") from None
    if len(raw) > MAX_STATEMENT:
        raise invalid(f"a statement has at most {MAX_STATEMENT} bytes")
    try:
        compact = jws.decode(raw, typ=None)
        kind = claims.get(compact.header.typ or "")
        if kind is not None:
            return compact, msgspec.convert(strict_json.loads(compact.payload), kind)
    except (Fault, msgspec.ValidationError) as error:
        raise invalid(f"can't be read: {getattr(error, 'detail', error)}") from None
    raise invalid(f"its typ is {' or '.join(claims)}")


def require_organisations(names: Iterable[str], invalid: type[Fault]) -> None:
    """Raise `invalid` unless each is an organisation's id."""
    for name in names:
        try:
            parse_organisation_id(name)
        except Fault as fault:
            raise invalid(fault.detail) from None


def moments(seconds: Iterable[int], invalid: type[Fault]) -> list[datetime]:
    """NumericDates (RFC 7519 §2) as moments. Raises `invalid`."""
    try:
        return [datetime.fromtimestamp(value, UTC) for value in seconds]
    except (ValueError, OverflowError, OSError):
        raise invalid("iat, nbf and exp are moments in seconds") from None
