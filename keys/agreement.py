"""The key that wraps a content key: ECDH-ES with the Concat KDF (RFC 7518 §4.6), and AES key wrap around it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from keys.algorithms import AGREEMENT, agreement_curve
from keys.errors import BadSeal, Fault

WRAPPING_KEY: Final = 32
"""Length of the wrapping key, in bytes."""
WRAPPED_KEY: Final = 40
"""Length of a wrapped content key of 32 bytes (RFC 3394)."""


def agreed_key(
    private: Mapping[str, Any],
    public: Mapping[str, Any],
    apu: bytes = b"",
    apv: bytes = b"",
    algorithm: str = AGREEMENT,
    length: int = WRAPPING_KEY,
) -> bytes:
    """The key of `length` bytes that two parties agree on, from one's private JWK and the other's public JWK.

    `apu` and `apv` are the names of producer and recipient that a header may carry. `algorithm` enters the
    derivation; it is the name of the wrapping, or of the content encryption where nothing is wrapped
    (RFC 7518 §4.6.2). Raises MalformedKey or AlgorithmNotAllowed for a key that is none, BadSeal when the two
    keys are not on one curve.
    """
    if (private.get("kty"), private.get("crv")) != (public.get("kty"), public.get("crv")):
        raise BadSeal("the two keys are not on the same curve")
    shared = agreement_curve(private["crv"]).exchange(private, public)
    info = b"".join(len(part).to_bytes(4, "big") + part for part in (algorithm.encode("ascii"), apu, apv))
    return ConcatKDFHash(SHA256(), length, info + (8 * length).to_bytes(4, "big")).derive(shared)


def wrap(content_key: bytes, recipient: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """A fresh ephemeral public JWK, and the content key wrapped for the holder of the `recipient` JWK."""
    ephemeral = agreement_curve(recipient["crv"]).generate()
    wrapped = aes_key_wrap(agreed_key(ephemeral, recipient), content_key)
    return {name: value for name, value in ephemeral.items() if name != "d"}, wrapped


def unwrap(wrapped: bytes, private: Mapping[str, Any], ephemeral: Mapping[str, Any], apu: bytes, apv: bytes) -> bytes:
    """The content key. Raises BadSeal when the ephemeral key is none, or the wrapped key was not made for us."""
    try:
        return aes_key_unwrap(agreed_key(private, ephemeral, apu, apv), wrapped)
    except InvalidUnwrap:
        raise BadSeal("the content key was not wrapped for this key", check="opening") from None
    except Fault as fault:
        raise BadSeal(f"the ephemeral key: {fault.detail}", check="form") from None
