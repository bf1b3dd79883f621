"""Signatures, thumbprints and key agreement against the numbers that the RFCs print."""

from typing import Any

import pytest

from keys import agreement, base64url, curves, jws
from keys.errors import AlgorithmNotAllowed, BadSignature
from keys.jwk import SigningKey, VerifyingKey, parse_private, parse_public, thumbprint
from tests.vectors import vectors

JOSE = vectors("jose")


def signing(members: dict[str, Any]) -> SigningKey:
    key = parse_private(members)
    assert isinstance(key, SigningKey)
    return key


def verifying(members: dict[str, Any]) -> VerifyingKey:
    key = parse_public({name: value for name, value in members.items() if name != "d"})
    assert isinstance(key, VerifyingKey)
    return key


def test_the_es256_example_of_rfc_7515_verifies() -> None:
    example = JOSE["es256"]
    compact = jws.decode(example["token"].encode(), typ=None, extra_headers=True)
    assert jws.verify(compact, verifying(example["key"] | {"use": "sig"})) == example["payload"].encode()


def test_the_es256_key_of_rfc_7515_signs_what_its_public_part_verifies() -> None:
    key = signing(JOSE["es256"]["key"] | {"use": "sig"})
    key.public.verify(b"data", key.sign(b"data"))
    assert key.sign(b"data") != key.sign(b"data")


@pytest.mark.parametrize("name", ["unsecured", "hs256"])
def test_the_unsecured_and_the_hmac_example_of_rfc_7515_are_refused(name: str) -> None:
    compact = jws.decode(JOSE[name]["token"].encode(), typ=None, extra_headers=True)
    for key in (JOSE["es256"]["key"] | {"use": "sig"}, JOSE["ed25519"]["key"]):
        with pytest.raises(AlgorithmNotAllowed):
            jws.verify(compact, verifying(key))


def test_the_thumbprint_of_rfc_7638_is_reached() -> None:
    assert thumbprint(JOSE["rsa_thumbprint"]["key"]) == JOSE["rsa_thumbprint"]["thumbprint"]


def test_the_ed25519_key_of_rfc_8037_has_its_thumbprint() -> None:
    example = JOSE["ed25519"]
    assert thumbprint(example["key"]) == signing(example["key"]).kid == example["thumbprint"]


def test_the_ed25519_example_of_rfc_8037_verifies_and_is_signed_the_same() -> None:
    example = JOSE["ed25519"]
    key = signing(example["key"])
    compact = jws.decode(example["token"].encode(), typ=None, extra_headers=True)
    assert jws.verify(compact, key.public) == example["payload"].encode()
    assert key.sign(compact.signing_input) == compact.signature


@pytest.mark.parametrize("vector", vectors("ed25519")["vectors"], ids=lambda vector: vector["message"][:8] or "empty")
def test_the_ed25519_signatures_of_rfc_8032_are_made_and_verified(vector: dict[str, str]) -> None:
    public, private, message, signature = (
        bytes.fromhex(vector[name]) for name in ("public", "private", "message", "signature")
    )
    members = {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(public), "d": base64url.encode(private)}
    key = signing(members)
    assert key.sign(message) == signature
    key.public.verify(message, signature)
    with pytest.raises(BadSignature):
        key.public.verify(message + b"\0", signature)


def test_the_x25519_secret_of_rfc_8037_is_agreed_on_from_both_sides() -> None:
    example = JOSE["x25519"]
    ephemeral = okp(example["ephemeral"], example["ephemeral_private"])
    recipient = okp(example["recipient"], example["recipient_private"])
    assert curves.x25519_exchange(ephemeral, okp(example["recipient"])).hex() == example["shared"]
    assert curves.x25519_exchange(recipient, okp(example["ephemeral"])).hex() == example["shared"]


def okp(public: str, private: str | None = None) -> dict[str, str]:
    members = {"kty": "OKP", "crv": "X25519", "x": public}
    return members if private is None else members | {"d": base64url.encode(bytes.fromhex(private))}


def test_the_key_of_rfc_7518_appendix_c_is_derived_from_both_sides() -> None:
    example = JOSE["concat_kdf"]
    ephemeral, recipient = example["ephemeral"], example["recipient"]
    for private, public in ((ephemeral, recipient), (recipient, ephemeral)):
        apu, apv = example["apu"].encode(), example["apv"].encode()
        derived = agreement.agreed_key(private, public, apu, apv, algorithm=example["algorithm"], length=16)
        assert base64url.encode(derived) == example["derived"]
