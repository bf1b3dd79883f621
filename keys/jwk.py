"""Keys as values: JWK (RFC 7517) in and out, thumbprints (RFC 7638) as names, validity intervals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature

from keys import base64url
from keys.algorithms import (
    AGREEMENT,
    AGREEMENT_CURVES,
    CANONICAL,
    SIGNATURES,
    Sign,
    Verify,
    agreement_curve,
    signature_algorithm,
)
from keys.errors import BadSignature, MalformedKey

_PRIVATE_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})

# RFC 7638 §3.2 and RFC 8037 §2: the members that a thumbprint is made of, in lexicographic order.
_THUMBPRINT_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = {
    "EC": ("crv", "kty", "x", "y"),
    "OKP": ("crv", "kty", "x"),
    "RSA": ("e", "kty", "n"),
    "oct": ("k", "kty"),
}

# kty and crv → what such a key may be for: (use, alg).
_PURPOSES: Final[dict[tuple[str, str], list[tuple[str, str]]]] = {}
for _signature in SIGNATURES:
    _PURPOSES.setdefault((_signature.kty, _signature.crv), []).append(("sig", _signature.name))
for _curve in AGREEMENT_CURVES:
    _PURPOSES.setdefault((_curve.kty, _curve.crv), []).append(("enc", AGREEMENT))

_OPERATIONS: Final[Mapping[str, frozenset[str]]] = {
    "sig": frozenset({"sign", "verify"}),
    "enc": frozenset({"deriveKey", "deriveBits"}),
}


def _within(moment: datetime, not_before: datetime | None, expires: datetime | None) -> bool:
    return (not_before is None or not_before <= moment) and (expires is None or moment < expires)


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key that checks signatures, valid from `not_before` (included) to `expires` (excluded).

    `jwk` is the public JWK as this system writes it; treat it as read-only.
    """

    kid: str
    alg: str
    jwk: dict[str, Any] = field(repr=False, hash=False)
    not_before: datetime | None = None
    expires: datetime | None = None
    _verify: Verify = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_verify", signature_algorithm(self.alg).verifier(self.jwk))

    def verify(self, data: bytes, signature: bytes) -> None:
        """Raises BadSignature unless `signature` is this key's over `data`. The validity interval is not looked at."""
        try:
            self._verify(signature, data)
        except InvalidSignature:
            raise BadSignature(kid=self.kid) from None

    def valid_at(self, moment: datetime) -> bool:
        """Whether the (aware) moment lies in the validity interval."""
        return _within(moment, self.not_before, self.expires)


@dataclass(frozen=True, slots=True)
class EncryptionKey:
    """A public key that content is sealed to (X25519 or P-256), with the same validity interval."""

    kid: str
    alg: str
    jwk: dict[str, Any] = field(repr=False, hash=False)
    not_before: datetime | None = None
    expires: datetime | None = None

    def __post_init__(self) -> None:
        agreement_curve(self.jwk.get("crv", "")).check_public(self.jwk)

    def valid_at(self, moment: datetime) -> bool:
        """Whether the (aware) moment lies in the validity interval."""
        return _within(moment, self.not_before, self.expires)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key that signs. Nothing it prints shows the private part."""

    public: VerifyingKey
    _private: dict[str, Any] = field(repr=False, compare=False)
    _sign: Sign = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sign", signature_algorithm(self.public.alg).signer(self._private))

    @property
    def kid(self) -> str:
        return self.public.kid

    @property
    def alg(self) -> str:
        return self.public.alg

    def sign(self, data: bytes) -> bytes:
        """The signature over `data` as JWS carries it (64 octets for both Ed25519 and ES256)."""
        return self._sign(data)

    def jwk(self) -> dict[str, Any]:
        """The private JWK: a secret, for the key store only."""
        return dict(self._private)


@dataclass(frozen=True, slots=True)
class DecryptionKey:
    """A private key that opens seals. Nothing it prints shows the private part."""

    public: EncryptionKey
    _private: dict[str, Any] = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        agreement_curve(self.public.jwk["crv"]).check_private(self._private)

    @property
    def kid(self) -> str:
        return self.public.kid

    @property
    def alg(self) -> str:
        return self.public.alg

    def jwk(self) -> dict[str, Any]:
        """The private JWK: a secret, for the key store only."""
        return dict(self._private)


def thumbprint(jwk: Mapping[str, Any]) -> str:
    """The RFC 7638 SHA-256 thumbprint in base64url, for EC, OKP, RSA and oct keys. Raises MalformedKey."""
    kty = jwk.get("kty")
    names = _THUMBPRINT_MEMBERS.get(kty) if isinstance(kty, str) else None
    if names is None:
        raise MalformedKey("kty is missing or unknown", member="kty")
    members = {name: jwk.get(name) for name in names}
    for name, value in members.items():
        if not isinstance(value, str):
            raise MalformedKey("a member is missing or is not a string", member=name)
    text = json.dumps(members, separators=(",", ":"), ensure_ascii=False)
    return base64url.encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest())


def parse_public(jwk: object) -> VerifyingKey | EncryptionKey:
    """The public key in a JWK.

    An absent kid is computed, absent `nbf` and `exp` leave the interval open, absent `use` and `alg` are
    derived when the curve or `key_ops` leaves one meaning only. Members without a meaning here are dropped.
    Raises MalformedKey: a private member, a kid that is not the thumbprint, an unknown or contradictory
    purpose, a point that is not on the curve, has a small order or is not canonically encoded.
    """
    if not isinstance(jwk, dict):
        raise MalformedKey("a JWK is a JSON object")
    for name in _PRIVATE_MEMBERS & jwk.keys():
        raise MalformedKey("a private member in a public key", member=name)
    return _public(jwk)


def parse_private(jwk: object) -> SigningKey | DecryptionKey:
    """The private key in a JWK, under the rules of `parse_public`. Raises MalformedKey, also for a broken pair."""
    if not isinstance(jwk, dict):
        raise MalformedKey("a JWK is a JSON object")
    for name in (_PRIVATE_MEMBERS - {"d"}) & jwk.keys():
        raise MalformedKey("a member that does not belong to this type of key", member=name)
    public = _public(jwk)
    private = public.jwk | {"d": jwk.get("d")}
    return SigningKey(public, private) if isinstance(public, VerifyingKey) else DecryptionKey(public, private)


def parse_jwks(document: object) -> list[VerifyingKey | EncryptionKey]:
    """The public keys of a JWK Set (RFC 7517 §5), in order.

    Stricter than the RFC, which lets unknown keys be skipped: an enrolment whose key was dropped in silence
    would fail later and elsewhere. Raises MalformedKey, also when one kid occurs twice.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise MalformedKey("a JWK Set is an object with an array `keys`")
    keys = [parse_public(entry) for entry in entries]
    if len({key.kid for key in keys}) != len(keys):
        raise MalformedKey("a key occurs twice in the set")
    return keys


def public_jwks(keys: Iterable[VerifyingKey | EncryptionKey]) -> dict[str, Any]:
    """The JWK Set of these public keys, ready to be published."""
    return {"keys": [dict(key.jwk) for key in keys]}


def generate_signing(
    alg: str = "Ed25519", not_before: datetime | None = None, expires: datetime | None = None
) -> SigningKey:
    """A fresh signing key; moments are aware and kept to the second. Raises AlgorithmNotAllowed."""
    entry = signature_algorithm(alg)
    fresh = entry.generate() | {"use": "sig", "alg": entry.name} | _dates(not_before, expires)
    key = parse_private(fresh)
    assert isinstance(key, SigningKey)
    return key


def generate_encryption(
    crv: str = "X25519", not_before: datetime | None = None, expires: datetime | None = None
) -> DecryptionKey:
    """A fresh key to be sealed to; moments are aware and kept to the second. Raises AlgorithmNotAllowed."""
    fresh = agreement_curve(crv).generate() | {"use": "enc", "alg": AGREEMENT} | _dates(not_before, expires)
    key = parse_private(fresh)
    assert isinstance(key, DecryptionKey)
    return key


def _public(jwk: dict[str, Any]) -> VerifyingKey | EncryptionKey:
    use, alg = _purpose(jwk)
    kid = thumbprint(jwk)
    if jwk.get("kid", kid) != kid:
        raise MalformedKey(f"the kid is not the key's thumbprint (RFC 7638), {kid}", member="kid", thumbprint=kid)
    not_before, expires = _moment(jwk, "nbf"), _moment(jwk, "exp")
    if not_before is not None and expires is not None and not_before >= expires:
        raise MalformedKey("the key expires before it becomes valid", member="exp")
    members: dict[str, Any] = {
        name: jwk[name] for name in ("kty", "crv", "x", "y") if name in _THUMBPRINT_MEMBERS[jwk["kty"]]
    }
    members |= {"kid": kid, "use": use, "alg": alg} | {name: jwk[name] for name in ("nbf", "exp") if name in jwk}
    make = VerifyingKey if use == "sig" else EncryptionKey
    return make(kid, alg, members, not_before, expires)


def _purpose(jwk: dict[str, Any]) -> tuple[str, str]:
    """The one (use, alg) that fits everything the JWK says of itself."""
    kty, crv, use, alg, operations = (jwk.get(name) for name in ("kty", "crv", "use", "alg", "key_ops"))
    if not (isinstance(kty, str) and isinstance(crv, str)) or (kty, crv) not in _PURPOSES:
        raise MalformedKey("no such type of key is taken here", kty=kty, crv=crv)
    stated = CANONICAL.get(alg, alg) if isinstance(alg, str) else alg
    fitting = [
        purpose
        for purpose in _PURPOSES[kty, crv]
        if use in (None, purpose[0])
        and stated in (None, purpose[1])
        and (operations is None or _fits_operations(operations, purpose[0]))
    ]
    if len(fitting) != 1:
        reason = "contradict each other" if not fitting else "leave open whether it signs or encrypts"
        raise MalformedKey(f"the key's curve, use and alg {reason}", use=use, alg=alg)
    return fitting[0]


def _fits_operations(operations: object, use: str) -> bool:
    return isinstance(operations, list) and all(
        isinstance(operation, str) and operation in _OPERATIONS[use] for operation in operations
    )


def _moment(jwk: dict[str, Any], name: str) -> datetime | None:
    if name not in jwk:
        return None
    seconds = jwk[name]
    if isinstance(seconds, bool) or not isinstance(seconds, int):
        raise MalformedKey("a moment is whole seconds since 1970", member=name)
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise MalformedKey("a moment is out of range", member=name) from None


def _dates(not_before: datetime | None, expires: datetime | None) -> dict[str, int]:
    dates = {}
    for name, moment in (("nbf", not_before), ("exp", expires)):
        if moment is not None:
            if moment.tzinfo is None:
                raise ValueError("a key's validity needs moments with a time zone")
            dates[name] = int(moment.timestamp())
    return dates
