"""Chunks of a long content: what was sealed opens in its place and nowhere else, for us and for another library."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto import jwe, jwk

from keys import base64url, chunks
from keys.errors import BadSeal

KEY = chunks.new_key()
CONTENTS = st.binary(max_size=2000)


@given(CONTENTS, st.integers(1, 5))
def test_a_chunk_opens_in_its_own_place_only(plaintext: bytes, of: int) -> None:
    sealed = chunks.seal(plaintext, KEY, of, of)
    assert chunks.unseal(sealed, KEY, of, of) == plaintext
    for number, count in ((of, of + 1), (of + 1, of + 1), (1, 6)):
        with pytest.raises(BadSeal):
            chunks.unseal(sealed, KEY, number, count)
    with pytest.raises(BadSeal):
        chunks.unseal(sealed, chunks.new_key(), of, of)


@given(CONTENTS, st.data())
def test_no_byte_of_a_chunk_can_be_changed(plaintext: bytes, data: st.DataObject) -> None:
    sealed = bytearray(chunks.seal(plaintext, KEY, 1, 1))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(BadSeal):
        chunks.unseal(bytes(sealed), KEY, 1, 1)


@given(st.binary(max_size=300))
def test_what_is_no_chunk_is_refused(junk: bytes) -> None:
    with pytest.raises(BadSeal):
        chunks.unseal(junk, KEY, 1, 1)


@given(st.binary(min_size=1, max_size=2000))  # jwcrypto takes an empty plaintext for none
def test_another_library_opens_ours_and_we_open_its(plaintext: bytes) -> None:
    key = jwk.JWK(kty="oct", k=base64url.encode(KEY))
    token = jwe.JWE()
    token.deserialize(chunks.seal(plaintext, KEY, 1, 1).decode(), key)
    assert token.payload == plaintext
    header = {"enc": "A256GCM", "chunks": 1, "alg": "dir", "chunk": 1}
    theirs = jwe.JWE(plaintext, json.dumps(header, indent=1))
    theirs.add_recipient(key)
    assert chunks.unseal(theirs.serialize(compact=True).encode(), KEY, 1, 1) == plaintext


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "dir", "enc": "A256GCM", "chunk": 1},
        {"alg": "dir", "enc": "A256GCM", "chunk": 1, "chunks": 1, "zip": "DEF"},
        {"alg": "dir", "enc": "A128GCM", "chunk": 1, "chunks": 1},
        {"alg": "dir", "enc": "A256GCM", "chunk": True, "chunks": 1},
        {"alg": "dir", "enc": "A256GCM", "chunk": 1.5, "chunks": 1},
        [],
    ],
)
def test_another_header_is_refused_before_any_key_is_used(header: object) -> None:
    sealed = chunks.seal(b"x", KEY, 1, 1).split(b".")
    sealed[0] = base64url.encode(json.dumps(header).encode()).encode()
    with pytest.raises(BadSeal) as refused:
        chunks.unseal(b".".join(sealed), KEY, 1, 1)
    assert refused.value.data["check"] == "form"


def test_a_chunk_before_the_last_is_full() -> None:
    with pytest.raises(BadSeal, match="shorter"):
        chunks.unseal(chunks.seal(b"x", KEY, 1, 2), KEY, 1, 2)
    with pytest.raises(BadSeal, match="too long"):
        chunks.seal(bytes(chunks.CHUNK + 1), KEY, 1, 2)
