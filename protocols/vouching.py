"""Who vouches for whom: an organisation's application, its superior's statement, and the chain up to an anchor.

The statements are JWTs in the form of OpenID Federation 1.0 (§3, entity statements), with an organisation's id where
that has a URL. The first is the organisation's own (iss and sub are itself); each further one is a superior's on the
one before; the last is the anchor's. A statement is signed with a key that the next one vouches for.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec

from keys import jws, strict_json
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import EncryptionKey, SigningKey, VerifyingKey, parse_public, public_jwks
from protocols.departments import parse_organisation_id
from protocols.table import ORGANISATION_ROLES

TYP = "entity-statement+jwt"
MAX_CHAIN = 8
MAX_STATEMENT = 32_768
LEEWAY = timedelta(minutes=5)


class VouchingInvalid(Fault):
    """A statement, or the chain that it stands in, does not hold; nobody is admitted by it."""

    code: ClassVar[str] = "vouching-invalid"


class Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name in both languages."""

    zh: str
    en: str


class Described(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an organisation says of itself, and its superior confirms."""

    name: Name
    roles: list[str]


class Constraints(msgspec.Struct, frozen=True, omit_defaults=True):
    """For whom a statement holds: divisions by the beginning of their code, departments, and how many steps below."""

    max_path_length: int | None = None
    divisions: list[str] | None = None
    departments: list[str] | None = None


class Claims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of an entity statement; unknown ones are passed over, as the standard says."""

    iss: str
    sub: str
    iat: int
    exp: int
    jwks: dict[str, Any]
    metadata: dict[str, Described] = {}
    authority_hints: list[str] | None = None
    constraints: Constraints | None = None


KIND = "xieban_organisation"
"""The entity type under which `metadata` describes an organisation."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """An organisation whose chain holds: `path` leads from it to the anchor, until `expires`."""

    organisation: str
    described: Described
    jwks: dict[str, Any]
    path: tuple[str, ...]
    expires: datetime
    statements: tuple[str, ...]


def apply(
    organisation: str,
    described: Described,
    superior: str,
    keys: Sequence[VerifyingKey | EncryptionKey],
    signing: SigningKey,
    now: datetime,
    days: int = 90,
) -> str:
    """An organisation's own statement, signed with its own key: what it asks its superior to vouch for."""
    claims = Claims(
        iss=organisation,
        sub=organisation,
        iat=int(now.timestamp()),
        exp=int((now + timedelta(days=days)).timestamp()),
        jwks=public_jwks(keys),
        metadata={KIND: described},
        authority_hints=[superior],
    )
    return _signed(claims, signing)


def vouch(
    superior: str, application: str, signing: SigningKey, constraints: Constraints, now: datetime, days: int = 365
) -> str:
    """A superior's statement on an application: its keys and description are who they say. Raises VouchingInvalid."""
    asked = read_application(application, now)
    if asked.authority_hints is not None and superior not in asked.authority_hints:
        raise VouchingInvalid(f"{asked.sub} asks {', '.join(asked.authority_hints)}, not {superior}")
    claims = Claims(
        iss=superior,
        sub=asked.sub,
        iat=int(now.timestamp()),
        exp=int((now + timedelta(days=days)).timestamp()),
        jwks=asked.jwks,
        metadata=asked.metadata,
        constraints=constraints if constraints != Constraints() else None,
    )
    return _signed(claims, signing)


def read_application(application: str, now: datetime, allowed: Collection[str] = EVERY_ALGORITHM) -> Claims:
    """An application's claims, once its own key signed it and it is in force. Raises VouchingInvalid."""
    compact, claims = _read(application)
    if claims.iss != claims.sub or KIND not in claims.metadata:
        raise VouchingInvalid("an application is by the organisation itself, and describes it")
    _check_signature(compact, claims.jwks, now, allowed)
    _check_times(claims, now)
    _check_description(claims)
    return claims


def verify_chain(
    statements: Sequence[str],
    anchor: str,
    anchor_jwks: dict[str, Any],
    now: datetime,
    allowed: Collection[str] = EVERY_ALGORITHM,
) -> Vouched:
    """Who is vouched for by the chain, from the application up to the anchor; `allowed` may sign it.

    Raises VouchingInvalid.
    """
    if not 2 <= len(statements) <= MAX_CHAIN:
        raise VouchingInvalid(f"a chain has an application and 1 to {MAX_CHAIN - 1} statements")
    application = read_application(statements[0], now, allowed)
    above = [_read(statement) for statement in statements[1:]]
    path, expires = [application.sub], application.exp
    for number, (compact, claims) in enumerate(above):
        last = number + 1 == len(above)
        if claims.sub != path[-1] or claims.iss in path:
            raise VouchingInvalid(f"statement {number + 1} is on {claims.sub} by {claims.iss}, not on {path[-1]}")
        if last and claims.iss != anchor:
            raise VouchingInvalid(f"the chain ends at {claims.iss}; the anchor is {anchor}")
        _check_signature(compact, anchor_jwks if last else above[number + 1][1].jwks, now, allowed)
        _check_times(claims, now)
        _check_place(claims, path, last)
        path.append(claims.iss)
        expires = min(expires, claims.exp)
    confirmed = above[0][1]
    if (_thumbprints(confirmed.jwks), confirmed.metadata) != (_thumbprints(application.jwks), application.metadata):
        raise VouchingInvalid("the superior vouches for other keys or another description than the application has")
    return Vouched(
        application.sub,
        application.metadata[KIND],
        application.jwks,
        tuple(path),
        datetime.fromtimestamp(expires, UTC),
        tuple(statements),
    )


def claims(statement: str) -> Claims:
    """What a statement says, believed in nothing. Raises VouchingInvalid."""
    return _read(statement)[1]


def _check_place(claims: Claims, path: Sequence[str], last: bool) -> None:
    """Whoever vouches stands above in the divisions, and whoever is below is one it may vouch for."""
    if not last and not _division(path[-1]).startswith(_stem(_division(claims.iss))):
        raise VouchingInvalid(f"{claims.iss} is not above {path[-1]}")
    limits = claims.constraints
    if limits is None:
        return
    if limits.max_path_length is not None and len(path) - 1 > limits.max_path_length:
        raise VouchingInvalid(f"{claims.iss} vouches for no chain of {len(path) - 1} steps below {path[-1]}")
    for name in path:
        who = parse_organisation_id(name)
        if limits.divisions is not None and not any(who.division.startswith(code) for code in limits.divisions):
            raise VouchingInvalid(f"{claims.iss} does not vouch for the division of {name}")
        if limits.departments is not None and who.department not in limits.departments:
            raise VouchingInvalid(f"{claims.iss} does not vouch for the department of {name}")


def _check_description(claims: Claims) -> None:
    described = claims.metadata[KIND]
    if not described.roles or set(described.roles) - ORGANISATION_ROLES:
        raise VouchingInvalid(f"roles are some of {', '.join(sorted(ORGANISATION_ROLES))}")
    for text in (described.name.zh, described.name.en):
        if not (text.strip() and len(text) <= 200 and text.isprintable()):
            raise VouchingInvalid("a name is one line of 1 to 200 characters")
    try:
        parse_organisation_id(claims.sub)
    except Fault as fault:
        raise VouchingInvalid(fault.detail) from None


def _check_times(claims: Claims, now: datetime) -> None:
    try:
        issued, expires = (datetime.fromtimestamp(moment, UTC) for moment in (claims.iat, claims.exp))
    except (ValueError, OverflowError, OSError):
        raise VouchingInvalid("iat and exp are no moments") from None
    if issued > now + LEEWAY:
        raise VouchingInvalid(f"the statement of {claims.iss} is from the future")
    if now >= expires:
        raise VouchingInvalid(f"the statement of {claims.iss} on {claims.sub} expired on {expires.date()}")


def _check_signature(compact: jws.Compact, jwks: dict[str, Any], now: datetime, allowed: Collection[str]) -> None:
    key = next((one for one in _keys(jwks) if isinstance(one, VerifyingKey) and one.kid == compact.header.kid), None)
    if key is None:
        raise VouchingInvalid("signed with a key that nobody vouches for")
    if not key.valid_at(now):
        raise VouchingInvalid("signed with a key that is not valid now")
    try:
        jws.verify(compact, key, allowed)
    except Fault as fault:
        raise VouchingInvalid(f"the signature does not hold: {fault.detail}") from None


def _keys(jwks: dict[str, Any]) -> list[VerifyingKey | EncryptionKey]:
    listed = jwks.get("keys")
    if not isinstance(listed, list) or not 0 < len(listed) <= 50:
        raise VouchingInvalid("jwks is a JWK Set with 1 to 50 keys")
    try:
        return [parse_public(key) for key in listed]
    except Fault as fault:
        raise VouchingInvalid(f"a key: {fault.detail}") from None


def _thumbprints(jwks: dict[str, Any]) -> set[str]:
    return {key.kid for key in _keys(jwks)}


def _read(statement: str) -> tuple[jws.Compact, Claims]:
    if len(statement) > MAX_STATEMENT:
        raise VouchingInvalid("a statement is too long")
    try:
        compact = jws.decode(statement.encode("ascii"), typ=TYP, extra_headers=True)
        return compact, msgspec.convert(strict_json.loads(compact.payload), Claims)
    except (Fault, UnicodeEncodeError, msgspec.ValidationError) as error:
        raise VouchingInvalid(f"is no entity statement: {getattr(error, 'detail', error)}") from None


def _signed(claims: Claims, key: SigningKey) -> str:
    return jws.sign(msgspec.json.encode(claims), key, typ=TYP).decode("ascii")


def _division(organisation: str) -> str:
    try:
        return parse_organisation_id(organisation).division
    except Fault as fault:
        raise VouchingInvalid(fault.detail) from None


def _stem(division: str) -> str:
    """The beginning that all divisions below share: 41 of 410000, 4110 of 411000."""
    stem = division[:6]
    while len(stem) > 2 and stem.endswith("00"):
        stem = stem[:-2]
    return stem if len(stem) < 6 else division
