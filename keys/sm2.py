"""SM2 signatures with SM3 (GB/T 32918.2, GB/T 32905), for organisations whose rules ask for them.

The arithmetic is Tongsuo's, installed with the extra `[sm]`. Without it SM2 keys are still read, checked and
published; only signing and verifying are refused. There is no sealing to SM2 keys.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keys import base64url, curves
from keys.errors import AlgorithmNotAllowed, MalformedKey

# The recommended curve (GB/T 32918.5 §A; also SM2 in RFC 8998).
P: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
B: Final = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
ORDER: Final = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123

USER_ID: Final = b"1234567812345678"
"""The signer's distinguishing identifier, which enters the digest; it is the library's own, and cannot be another."""


def public(jwk: Mapping[str, Any]) -> tuple[int, int]:
    """The point in `x` and `y`, in the form of RFC 7518 §6.2.1. Raises MalformedKey when it is not on the curve."""
    x, y = (int.from_bytes(curves.octets(jwk, name), "big") for name in ("x", "y"))
    if max(x, y) >= P or (y * y - (x * x * x - 3 * x + B)) % P:
        raise MalformedKey("the point is not on the curve")
    return x, y


def verifier(jwk: Mapping[str, Any]) -> Callable[[bytes, bytes], None]:
    """What verifies signatures of r and s, 32 octets each, with this key. Raises MalformedKey.

    It raises InvalidSignature, and AlgorithmNotAllowed where the extra is not installed.
    """
    x, y = public(jwk)
    key: Any = None

    def verify(signature: bytes, data: bytes) -> None:
        nonlocal key
        ec, sm3 = _library()
        if key is None:
            key = ec.EllipticCurvePublicNumbers(x, y, ec.SM2()).public_key()
        if len(signature) != 2 * curves.FIELD_BYTES:
            raise InvalidSignature
        r = int.from_bytes(signature[: curves.FIELD_BYTES], "big")
        s = int.from_bytes(signature[curves.FIELD_BYTES :], "big")
        if not (0 < r < ORDER and 0 < s < ORDER):
            raise InvalidSignature
        try:
            key.verify(encode_dss_signature(r, s), data, ec.ECDSA(sm3))
        except _refusals():
            raise InvalidSignature from None

    return verify


def signer(jwk: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    """What signs with the key in `d`, which must be that of `x` and `y`. Raises MalformedKey, AlgorithmNotAllowed."""
    scalar = int.from_bytes(curves.octets(jwk, "d"), "big")
    if not 0 < scalar < ORDER - 1:  # d = n - 1 has no inverse of 1 + d (GB/T 32918.2 §6.1).
        raise MalformedKey("the private key is out of range", member="d")
    ec, sm3 = _library()
    key = ec.derive_private_key(scalar, ec.SM2())
    numbers = key.public_key().public_numbers()
    if (numbers.x, numbers.y) != public(jwk):
        raise MalformedKey("the private and the public part do not belong together")

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, ec.ECDSA(sm3)))
        return r.to_bytes(curves.FIELD_BYTES, "big") + s.to_bytes(curves.FIELD_BYTES, "big")

    return sign


def new() -> dict[str, str]:
    """A fresh SM2 key pair as private JWK members. Raises AlgorithmNotAllowed without the extra."""
    ec, _ = _library()
    scalar = 0
    while not 0 < scalar < ORDER - 1:
        scalar = int.from_bytes(os.urandom(curves.FIELD_BYTES), "big")
    numbers = ec.derive_private_key(scalar, ec.SM2()).public_key().public_numbers()
    members = {"x": numbers.x, "y": numbers.y, "d": scalar}
    texts = {name: base64url.encode(value.to_bytes(curves.FIELD_BYTES, "big")) for name, value in members.items()}
    return {"kty": "EC", "crv": "SM2"} | texts


@cache
def _library() -> tuple[Any, Any]:
    try:
        ec = importlib.import_module("tongsuopy.crypto.asymciphers.ec")
        return ec, importlib.import_module("tongsuopy.crypto.hashes").SM3()
    except ImportError:
        raise AlgorithmNotAllowed("SM2 needs the extra sm: pip install 'xieban[sm]'", alg="SM2") from None


@cache
def _refusals() -> tuple[type[Exception], ...]:
    faults = importlib.import_module("tongsuopy.crypto.exceptions")
    return faults.InvalidSignature, faults.InternalError
