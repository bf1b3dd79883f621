"""Curve points and scalars as JWK writes them, checked before any library touches them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from keys import base64url
from keys.errors import MalformedKey

P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FIELD_BYTES: Final = 32

_P25519: Final = 2**255 - 19
_D25519: Final = -121665 * pow(121666, -1, _P25519) % _P25519
_Y_MASK: Final = 2**255 - 1
# y of the points whose order divides 8; whoever holds such a "key" can make signatures that verify anything.
_Y_OF_ORDER_8: Final = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
_SMALL_ORDER_Y: Final = frozenset({0, 1, _P25519 - 1, _Y_OF_ORDER_8, _P25519 - _Y_OF_ORDER_8})
# Any fixed scalar does: clamping makes it a multiple of 8, which takes every point of small order to zero.
_PROBE: Final = X25519PrivateKey.from_private_bytes(bytes(FIELD_BYTES))


def octets(jwk: Mapping[str, Any], name: str) -> bytes:
    """The member `name` as exactly 32 octets (RFC 7518 §6.2.1.2, RFC 8037 §2). Raises MalformedKey."""
    text = jwk.get(name)
    if not isinstance(text, str):
        raise MalformedKey("a member is missing or is not a string", member=name)
    try:
        value = base64url.decode(text)
    except ValueError:
        raise MalformedKey("a member is not base64url", member=name) from None
    if len(value) != FIELD_BYTES:
        raise MalformedKey("a member has the wrong length", member=name, octets=len(value))
    return value


def _is_edwards_point(encoded: bytes) -> bool:
    """Whether this is the canonical encoding of a point on edwards25519 (RFC 8032 §5.1.3)."""
    y = int.from_bytes(encoded, "little") & _Y_MASK
    if y >= _P25519:
        return False
    square = (y * y - 1) * pow(_D25519 * y * y + 1, -1, _P25519) % _P25519
    return square == 0 or pow(square, (_P25519 - 1) // 2, _P25519) == 1


def ed25519_public(jwk: Mapping[str, Any]) -> Ed25519PublicKey:
    """The Ed25519 key in `x` (RFC 8037 §2). Raises MalformedKey, also for a point of small order."""
    encoded = octets(jwk, "x")
    if int.from_bytes(encoded, "little") & _Y_MASK in _SMALL_ORDER_Y:
        raise MalformedKey("the point has a small order", member="x")
    if not _is_edwards_point(encoded):
        raise MalformedKey("the point is not on the curve", member="x")
    return Ed25519PublicKey.from_public_bytes(encoded)


def ed25519_private(jwk: Mapping[str, Any]) -> Ed25519PrivateKey:
    """The Ed25519 key in `d`, which must be the one that `x` shows. Raises MalformedKey."""
    key = Ed25519PrivateKey.from_private_bytes(octets(jwk, "d"))
    _require_pair(key.public_key().public_bytes_raw() == octets(jwk, "x"))
    return key


def x25519_public(jwk: Mapping[str, Any]) -> X25519PublicKey:
    """The X25519 key in `x` (RFC 8037 §2). Raises MalformedKey for points of small order and foreign encodings."""
    encoded = octets(jwk, "x")
    if int.from_bytes(encoded, "little") >= _P25519:
        raise MalformedKey("the point is not in its canonical encoding", member="x")
    key = X25519PublicKey.from_public_bytes(encoded)
    try:
        _PROBE.exchange(key)
    except ValueError:
        raise MalformedKey("the point has a small order", member="x") from None
    return key


def x25519_private(jwk: Mapping[str, Any]) -> X25519PrivateKey:
    """The X25519 key in `d`, which must be the one that `x` shows. Raises MalformedKey."""
    key = X25519PrivateKey.from_private_bytes(octets(jwk, "d"))
    _require_pair(key.public_key().public_bytes_raw() == octets(jwk, "x"))
    return key


def p256_public(jwk: Mapping[str, Any]) -> ec.EllipticCurvePublicKey:
    """The P-256 point in `x` and `y` (RFC 7518 §6.2.1). Raises MalformedKey when it is not on the curve."""
    x, y = (int.from_bytes(octets(jwk, name), "big") for name in ("x", "y"))
    try:
        return ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    except ValueError:
        raise MalformedKey("the point is not on the curve") from None


def p256_private(jwk: Mapping[str, Any]) -> ec.EllipticCurvePrivateKey:
    """The P-256 key in `d` (RFC 7518 §6.2.2), which must be the one `x` and `y` show. Raises MalformedKey."""
    scalar = int.from_bytes(octets(jwk, "d"), "big")
    if not 0 < scalar < P256_ORDER:
        raise MalformedKey("the private key is out of range", member="d")
    key = ec.derive_private_key(scalar, ec.SECP256R1())
    _require_pair(key.public_key().public_numbers() == p256_public(jwk).public_numbers())
    return key


def x25519_exchange(private: Mapping[str, Any], public: Mapping[str, Any]) -> bytes:
    """The shared secret of an own and a foreign key (RFC 7748 §6.1). Raises MalformedKey, also for small orders."""
    return x25519_private(private).exchange(x25519_public(public))


def p256_exchange(private: Mapping[str, Any], public: Mapping[str, Any]) -> bytes:
    """The shared secret of an own and a foreign key (SEC 1 §3.3.1). Raises MalformedKey for a point off the curve."""
    return p256_private(private).exchange(ec.ECDH(), p256_public(public))


def new_ed25519() -> dict[str, str]:
    """A fresh Ed25519 key pair as private JWK members."""
    key = Ed25519PrivateKey.generate()
    return _okp("Ed25519", key.public_key().public_bytes_raw(), key.private_bytes_raw())


def new_x25519() -> dict[str, str]:
    """A fresh X25519 key pair as private JWK members."""
    key = X25519PrivateKey.generate()
    return _okp("X25519", key.public_key().public_bytes_raw(), key.private_bytes_raw())


def new_p256() -> dict[str, str]:
    """A fresh P-256 key pair as private JWK members."""
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    public = numbers.public_numbers
    coordinates = {"x": public.x, "y": public.y, "d": numbers.private_value}
    texts = {name: base64url.encode(value.to_bytes(FIELD_BYTES, "big")) for name, value in coordinates.items()}
    return {"kty": "EC", "crv": "P-256"} | texts


def _okp(curve: str, public: bytes, private: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": curve, "x": base64url.encode(public), "d": base64url.encode(private)}


def _require_pair(matches: bool) -> None:
    if not matches:
        raise MalformedKey("the private and the public part do not belong together")
