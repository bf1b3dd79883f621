"""Keys and moments that are the same in every run, so that a kept input means tomorrow what it means today.

These keys are public: they are for tests, and for nothing else.
"""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from adapters.as4.packing import Identity
from keys import base64url
from keys.jwk import DecryptionKey, SigningKey, parse_private

NOW: Final = datetime(2026, 11, 2, 1, 0, tzinfo=UTC)
ORIGIN: Final = "xieban.example/410000-hub/log/1"
HUB: Final = "410000-hub"


def secret(name: str) -> bytes:
    """Thirty-two bytes that only look random."""
    return hashlib.sha256(f"xieban fuzzing {name}".encode()).digest()


@cache
def signing(name: str) -> SigningKey:
    """An Ed25519 key of a party."""
    d = secret(name)
    public = ed25519.Ed25519PrivateKey.from_private_bytes(d).public_key()
    x = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    found = parse_private({"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(x), "d": base64url.encode(d)})
    assert isinstance(found, SigningKey)
    return found


@cache
def opening(name: str) -> DecryptionKey:
    """An X25519 key of a party."""
    d = secret(name)
    x = x25519.X25519PrivateKey.from_private_bytes(d).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    found = parse_private({"kty": "OKP", "crv": "X25519", "x": base64url.encode(x), "d": base64url.encode(d)})
    assert isinstance(found, DecryptionKey)
    return found


@cache
def identity(us: str, partner: str) -> Identity:
    """An access point that agreed on signatures of ECDSA, unencrypted."""
    return Identity(us, _p256(us), _certificate(us), _certificate(partner), _certificate(partner), encrypt=False)


def _p256(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(secret(name), "big") >> 1, ec.SECP256R1())


@cache
def _certificate(name: str) -> x509.Certificate:
    key, who = _p256(name), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(1)
    made = made.not_valid_before(NOW - timedelta(days=3650)).not_valid_after(NOW + timedelta(days=36500))
    return made.sign(key, hashes.SHA256())
