"""The algorithms this system takes: one table entry each; whatever is not in the table does not exist."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from keys import curves, sm2
from keys.errors import AlgorithmNotAllowed

Verify = Callable[[bytes, bytes], None]
"""Takes signature and data; raises cryptography's InvalidSignature."""

Sign = Callable[[bytes], bytes]
Members = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """A way to sign: its JOSE name, the other names accepted on input, the keys it takes and what they do."""

    name: str
    aliases: tuple[str, ...]
    kty: str
    crv: str
    verifier: Callable[[Members], Verify]
    signer: Callable[[Members], Sign]
    generate: Callable[[], dict[str, str]]


@dataclass(frozen=True, slots=True)
class AgreementCurve:
    """A curve that content keys are agreed on with ECDH-ES: checks of its keys, new ones, and the exchange itself.

    `exchange` takes one's own private JWK and the other side's public one and gives the shared secret.
    """

    kty: str
    crv: str
    check_public: Callable[[Members], object]
    check_private: Callable[[Members], object]
    generate: Callable[[], dict[str, str]]
    exchange: Callable[[Members, Members], bytes]


def _ed25519_verifier(jwk: Members) -> Verify:
    return curves.ed25519_public(jwk).verify


def _ed25519_signer(jwk: Members) -> Sign:
    return curves.ed25519_private(jwk).sign


_ECDSA: Final = ec.ECDSA(SHA256())


def _es256_verifier(jwk: Members) -> Verify:
    key = curves.p256_public(jwk)

    def verify(signature: bytes, data: bytes) -> None:
        if len(signature) != 2 * curves.FIELD_BYTES:
            raise InvalidSignature
        r = int.from_bytes(signature[: curves.FIELD_BYTES], "big")
        s = int.from_bytes(signature[curves.FIELD_BYTES :], "big")
        if not (0 < r < curves.P256_ORDER and 0 < s < curves.P256_ORDER):
            raise InvalidSignature
        key.verify(encode_dss_signature(r, s), data, _ECDSA)

    return verify


def _es256_signer(jwk: Members) -> Sign:
    key = curves.p256_private(jwk)

    def sign(data: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(data, _ECDSA))
        return r.to_bytes(curves.FIELD_BYTES, "big") + s.to_bytes(curves.FIELD_BYTES, "big")

    return sign


SIGNATURES: Final[tuple[SignatureAlgorithm, ...]] = (
    # RFC 8037 with the fully specified name of RFC 9864 §2.2.
    SignatureAlgorithm("Ed25519", ("EdDSA",), "OKP", "Ed25519", _ed25519_verifier, _ed25519_signer, curves.new_ed25519),
    # RFC 7518 §3.4; the signature is r and s, 32 octets each.
    SignatureAlgorithm("ES256", (), "EC", "P-256", _es256_verifier, _es256_signer, curves.new_p256),
    # Like ES256 on the curve SM2 with SM3; only where an organisation's allow-list names it.
    SignatureAlgorithm("SM2", (), "EC", "SM2", sm2.verifier, sm2.signer, sm2.new),
)

AGREEMENT: Final = "ECDH-ES+A256KW"
"""The one way content keys are agreed on (RFC 7518 §4.6)."""

CONTENT_ENCRYPTION: Final = "A256GCM"

AGREEMENT_CURVES: Final[tuple[AgreementCurve, ...]] = (
    AgreementCurve(
        "OKP", "X25519", curves.x25519_public, curves.x25519_private, curves.new_x25519, curves.x25519_exchange
    ),
    AgreementCurve("EC", "P-256", curves.p256_public, curves.p256_private, curves.new_p256, curves.p256_exchange),
)

_BY_NAME: Final = {name: entry for entry in SIGNATURES for name in (entry.name, *entry.aliases)}
CANONICAL: Final[Mapping[str, str]] = {name: entry.name for name, entry in _BY_NAME.items()}
"""Every accepted algorithm name → the name used inside."""

DEFAULT_ALGORITHMS: Final[frozenset[str]] = frozenset({"Ed25519", "ES256"})
"""What an organisation may sign with unless its allow-list says otherwise."""

EVERY_ALGORITHM: Final[frozenset[str]] = frozenset(entry.name for entry in SIGNATURES)
"""For whoever verifies what a hub has taken by its allow-lists: each key still has one algorithm only."""


def signature_algorithm(name: str) -> SignatureAlgorithm:
    """The table entry for a JOSE name or alias. Raises AlgorithmNotAllowed, for `none` and HMAC as for any other."""
    entry = _BY_NAME.get(name)
    if entry is None:
        raise AlgorithmNotAllowed(alg=name)
    return entry


def agreement_curve(crv: str) -> AgreementCurve:
    """The table entry for a curve. Raises AlgorithmNotAllowed."""
    for entry in AGREEMENT_CURVES:
        if entry.crv == crv:
            return entry
    raise AlgorithmNotAllowed("no key agreement is offered on this curve", crv=crv)
