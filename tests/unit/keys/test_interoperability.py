"""The same tokens, thumbprints and seals in both directions with another JOSE library, jwcrypto."""

import json
from typing import Any

import pytest
from jwcrypto import jwe as other_jwe
from jwcrypto import jwk as other_jwk
from jwcrypto import jws as other_jws

from keys import jwe, jws
from keys.errors import BadSeal
from keys.jwk import (
    DecryptionKey,
    EncryptionKey,
    SigningKey,
    VerifyingKey,
    generate_encryption,
    generate_signing,
    parse_private,
    parse_public,
)

TYP = "xieban+jws"
PLAINTEXT = "密封的内容".encode().ljust(1024)
SIGNING = [
    ({"kty": "OKP", "crv": "Ed25519"}, "EdDSA"),
    ({"kty": "OKP", "crv": "Ed25519"}, "Ed25519"),
    ({"kty": "EC", "crv": "P-256"}, "ES256"),
]


def theirs(key: SigningKey | DecryptionKey | VerifyingKey | EncryptionKey) -> Any:
    """Our key as a jwcrypto key; its algorithm, which they name otherwise, left out."""
    members = key.jwk() if isinstance(key, SigningKey | DecryptionKey) else key.jwk
    return other_jwk.JWK(**{name: value for name, value in members.items() if name in ("kty", "crv", "x", "y", "d")})


@pytest.mark.parametrize("alg", ["Ed25519", "ES256"])
def test_they_verify_what_we_sign(alg: str) -> None:
    key = generate_signing(alg)
    token = jws.sign(PLAINTEXT, key, typ=TYP)
    checked = other_jws.JWS()
    checked.allowed_algs = [alg]
    checked.deserialize(token.decode(), theirs(key.public))
    assert checked.payload == PLAINTEXT
    assert checked.jose_header == {"alg": alg, "kid": key.kid, "typ": TYP}


@pytest.mark.parametrize(("kind", "alg"), SIGNING, ids=["EdDSA", "Ed25519", "ES256"])
def test_we_verify_what_they_sign(kind: dict[str, str], alg: str) -> None:
    key = other_jwk.JWK.generate(**kind)
    public = parse_public(key.export_public(as_dict=True) | {"use": "sig"})
    assert isinstance(public, VerifyingKey)
    assert public.kid == key.thumbprint()
    token = other_jws.JWS(PLAINTEXT)
    token.allowed_algs = [alg]
    token.add_signature(key, None, json.dumps({"alg": alg, "kid": key.thumbprint(), "typ": TYP}, indent=1))
    compact = jws.decode(token.serialize(compact=True).encode(), typ=TYP)
    assert jws.verify(compact, public) == PLAINTEXT


@pytest.mark.parametrize(("kind", "alg"), SIGNING, ids=["EdDSA", "Ed25519", "ES256"])
def test_we_sign_with_their_private_keys(kind: dict[str, str], alg: str) -> None:
    key = parse_private(other_jwk.JWK.generate(**kind).export(private_key=True, as_dict=True) | {"use": "sig"})
    assert isinstance(key, SigningKey)
    assert jws.verify(jws.decode(jws.sign(PLAINTEXT, key, typ=TYP), typ=TYP), key.public) == PLAINTEXT


def test_thumbprints_are_the_same() -> None:
    keys: list[SigningKey | DecryptionKey] = [
        generate_signing(),
        generate_signing("ES256"),
        generate_encryption(),
        generate_encryption("P-256"),
    ]
    assert [key.kid for key in keys] == [theirs(key.public).thumbprint() for key in keys]


MIXED = [generate_encryption("X25519"), generate_encryption("P-256"), generate_encryption("X25519")]


@pytest.mark.parametrize("index", range(len(MIXED)))
def test_each_of_several_recipients_opens_our_seal_with_their_library(index: int) -> None:
    opened = other_jwe.JWE()
    opened.deserialize(json.dumps(jwe.seal(PLAINTEXT, [key.public for key in MIXED])), theirs(MIXED[index]))
    assert opened.payload == PLAINTEXT


@pytest.mark.parametrize("index", range(len(MIXED)))
@pytest.mark.parametrize("text", ['{"enc":"A256GCM"}', '{ "enc" : "A256GCM", "typ":"JOSE+JSON" }'])
@pytest.mark.parametrize("aad", [None, b"additional"])
def test_each_of_several_recipients_opens_their_seal_with_ours(index: int, text: str, aad: bytes | None) -> None:
    sealed = other_jwe.JWE(PLAINTEXT, text, aad=aad)
    for key in MIXED:
        sealed.add_recipient(theirs(key.public), json.dumps({"alg": jwe.ALG, "kid": key.kid}))
    document = json.loads(sealed.serialize())
    assert jwe.unseal(document, MIXED[index]) == PLAINTEXT
    assert jwe.recipient_kids(document) == [key.kid for key in MIXED]


def test_the_algorithm_may_stand_in_their_protected_header() -> None:
    sealed = other_jwe.JWE(PLAINTEXT, json.dumps({"enc": jwe.ENC, "alg": jwe.ALG}))
    for key in MIXED:
        sealed.add_recipient(theirs(key.public), json.dumps({"kid": key.kid}))
    assert jwe.unseal(json.loads(sealed.serialize()), MIXED[1]) == PLAINTEXT


def test_a_seal_of_theirs_that_is_compressed_is_refused() -> None:
    sealed = other_jwe.JWE(PLAINTEXT, json.dumps({"enc": jwe.ENC, "zip": "DEF"}))
    for key in MIXED:
        sealed.add_recipient(theirs(key.public), json.dumps({"alg": jwe.ALG, "kid": key.kid}))
    with pytest.raises(BadSeal) as refused:
        jwe.unseal(json.loads(sealed.serialize()), MIXED[0])
    assert refused.value.data["check"] == "form"
