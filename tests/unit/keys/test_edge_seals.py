"""Seals at the edges: every bit of what protects them counts, and the neighbours of what opens do not open."""

import copy
from typing import Any

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import agreement, base64url, chunks, curves, jwe
from keys.algorithms import agreement_curve
from keys.errors import BadSeal, MalformedKey
from keys.jwk import DecryptionKey, generate_encryption

KEYS = [generate_encryption("X25519"), generate_encryption("P-256")]
KEY = chunks.new_key()
P25519 = 2**255 - 19


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def check(sealed: Any, key: DecryptionKey) -> object:
    with pytest.raises(BadSeal) as refused:
        jwe.unseal(sealed, key)
    return refused.value.data["check"]


@pytest.mark.parametrize("plaintext", [b"", b"x", bytes(16), bytes(1024)], ids=len)
@pytest.mark.parametrize("name", ["iv", "tag"])
def test_every_bit_of_nonce_and_tag_counts(name: str, plaintext: bytes) -> None:
    key = KEYS[0]
    sealed = jwe.seal(plaintext, [key.public])
    assert jwe.unseal(sealed, key) == plaintext
    value = base64url.decode(sealed[name])
    for bit in range(8 * len(value)):
        assert check(sealed | {name: base64url.encode(flipped(value, bit))}, key) == "opening"
    for other in (bytes(len(value)), b"\xff" * len(value), value[::-1]):
        assert check(sealed | {name: base64url.encode(other)}, key) == "opening"


@pytest.mark.parametrize("length", [0, 4, 8, 12, 13, 14, 15, 17, 32])
def test_a_tag_of_another_length_is_no_tag(length: int) -> None:
    sealed = jwe.seal(b"plaintext", [KEYS[0].public])
    tag = base64url.decode(sealed["tag"])
    assert check(sealed | {"tag": base64url.encode((tag * 2)[:length])}, KEYS[0]) == "form"


@pytest.mark.parametrize("length", [0, 1, 8, 11, 13, 16, 128])
def test_a_nonce_of_another_length_is_none(length: int) -> None:
    sealed = jwe.seal(b"plaintext", [KEYS[0].public])
    assert check(sealed | {"iv": base64url.encode(bytes(length))}, KEYS[0]) == "form"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.public.jwk["crv"])
def test_every_bit_of_the_wrapped_key_counts(key: DecryptionKey) -> None:
    sealed = jwe.seal(b"plaintext", [key.public])
    wrapped = base64url.decode(sealed["recipients"][0]["encrypted_key"])
    for bit in range(8 * len(wrapped)):
        changed = copy.deepcopy(sealed)
        changed["recipients"][0]["encrypted_key"] = base64url.encode(flipped(wrapped, bit))
        assert check(changed, key) == "opening"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.public.jwk["crv"])
def test_a_key_wrapped_with_padding_is_not_one_wrapped_without(key: DecryptionKey) -> None:
    """RFC 5649 makes 40 bytes of a key of 32 as RFC 3394 does, under another check value."""
    sealed = jwe.seal(b"plaintext", [key.public])
    own = sealed["recipients"][0]
    wrapping = agreement.agreed_key(key.jwk(), own["header"]["epk"])
    content = keywrap.aes_key_unwrap(wrapping, base64url.decode(own["encrypted_key"]))
    own["encrypted_key"] = base64url.encode(keywrap.aes_key_wrap(wrapping, content))
    assert jwe.unseal(sealed, key) == b"plaintext"
    own["encrypted_key"] = base64url.encode(keywrap.aes_key_wrap_with_padding(wrapping, content))
    assert check(sealed, key) == "opening"


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.public.jwk["crv"])
def test_a_content_key_of_another_size_opens_nothing(key: DecryptionKey) -> None:
    """32 bytes are a key; 16 and 24, which AES would take, make a wrapped key of another length."""
    for size in (16, 24):
        content, ephemeral = AESGCM.generate_key(8 * size), agreement_curve(key.public.jwk["crv"]).generate()
        sealed = jwe.seal(b"", [key.public])
        share = keywrap.aes_key_wrap(agreement.agreed_key(ephemeral, key.public.jwk), content)
        sealed["recipients"][0]["encrypted_key"] = base64url.encode(share)
        assert check(sealed, key) == "form"


def test_a_shared_secret_keeps_its_leading_zeros() -> None:
    """One exchange on P-256 in 256 has one; a party that drops it derives another key (SEC 1 §2.3.5)."""
    one = generate_encryption("P-256").jwk()
    for _ in range(20_000):
        other = curves.new_p256()
        if curves.p256_exchange(one, other)[0] == 0:
            break
    else:
        raise AssertionError("no secret with a leading zero in 20,000")
    assert len(curves.p256_exchange(one, other)) == 32
    assert agreement.agreed_key(one, other) == agreement.agreed_key(other, one)


@pytest.mark.parametrize("u", [2, 3, 4, 9, 16, P25519 - 2, P25519 - 3], ids=lambda u: str(u)[:6])
def test_x25519_takes_points_of_the_twist_as_the_standard_says(u: int) -> None:
    """RFC 7748 §5: any u in its one encoding; both curves are safe, and both sides come to something not zero."""
    public = {"kty": "OKP", "crv": "X25519", "x": base64url.encode(u.to_bytes(32, "little"))}
    assert any(curves.x25519_exchange(KEYS[0].jwk(), public))


@pytest.mark.parametrize("crv", ["X25519", "P-256"])
@pytest.mark.parametrize("kind", ["X448", "P-384", "P-521", "secp256k1", "Ed25519", "SM2", "", "x25519"])
def test_an_ephemeral_key_on_another_curve_meets_no_private_key(crv: str, kind: str) -> None:
    key = next(one for one in KEYS if one.public.jwk["crv"] == crv)
    sealed = jwe.seal(b"", [key.public])
    sealed["recipients"][0]["header"]["epk"]["crv"] = kind
    assert check(sealed, key) in ("form", "opening")


def test_an_ephemeral_key_in_a_compressed_or_hybrid_form_is_none() -> None:
    x, y = (base64url.decode(KEYS[1].public.jwk[name]) for name in ("x", "y"))
    for point in (b"\x02" + x, b"\x03" + x, b"\x04" + x + y, b"\x06" + x + y, b"\x00"):
        for changed in ({"x": point}, {"x": point, "y": b""}):
            members = {name: base64url.encode(value) for name, value in changed.items()}
            with pytest.raises(MalformedKey):
                curves.p256_exchange(KEYS[1].jwk(), KEYS[1].public.jwk | members)


@pytest.mark.parametrize("plaintext", [b"", b"x" * 33], ids=len)
def test_every_bit_of_a_chunk_counts(plaintext: bytes) -> None:
    sealed = chunks.seal(plaintext, KEY, 1, 1)
    assert chunks.unseal(sealed, KEY, 1, 1) == plaintext
    for bit in range(8 * len(sealed)):
        with pytest.raises(BadSeal):
            chunks.unseal(flipped(sealed, bit), KEY, 1, 1)
