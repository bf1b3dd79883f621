"""Strategies for property tests: what hypothesis draws keys, JSON, logs and tile paths from."""

import json
from typing import Any

from hypothesis import strategies as st

from keys import merkle
from keys.jwk import DecryptionKey, SigningKey, generate_encryption, generate_signing
from keys.tiles import ENTRIES, MAX_LEVEL, TILE_WIDTH

# Keys are costly to make and any will do: a few of each kind.
SIGNING_KEYS: list[SigningKey] = [generate_signing(alg) for alg in ("Ed25519", "ES256") for _ in range(2)]
DECRYPTION_KEYS: list[DecryptionKey] = [generate_encryption(crv) for crv in ("X25519", "P-256") for _ in range(3)]

signing_keys = st.sampled_from(SIGNING_KEYS)
ed25519_keys = st.sampled_from([key for key in SIGNING_KEYS if key.alg == "Ed25519"])
recipients = st.lists(st.sampled_from(DECRYPTION_KEYS), min_size=1, max_size=6, unique_by=lambda key: key.kid)

# Text that UTF-8 can carry, which half a surrogate pair is not.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | texts
json_values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=20
)

_TOKENS = ["{", "}", "[", "]", ":", ",", '"a"', '"b"', '"\\u0061"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\\\"', '"\\""']
_TOKENS += ["1", "-0", "01", "1.5", "1e999", "9223372036854775808", "NaN", "-Infinity", "true", "null", " ", "\ufeff"]
json_like = st.lists(st.sampled_from(_TOKENS), max_size=12).map("".join).map(str.encode) | st.binary(max_size=24)
"""Texts that are nearly JSON, some of them JSON."""

hashes = st.binary(min_size=merkle.HASH_SIZE, max_size=merkle.HASH_SIZE)
tree_sizes = st.integers(1, 700)
tile_paths = st.tuples(
    st.just(ENTRIES) | st.integers(0, MAX_LEVEL),
    st.integers(0, 1500) | st.integers(0, 10**21 - 1),
    st.integers(1, TILE_WIDTH),
)
origins = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"], exclude_characters="+"), min_size=1, max_size=40)


@st.composite
def json_texts(draw: st.DrawFn) -> bytes:
    """JSON in one of its many spellings."""
    value = draw(json_values)
    indent, ascii_only = draw(st.sampled_from([None, 0, 2])), draw(st.booleans())
    return json.dumps(value, indent=indent, ensure_ascii=ascii_only).encode("utf-8")


@st.composite
def bit_of(draw: st.DrawFn, data: bytes) -> bytes:
    """`data` with one bit flipped."""
    bit = draw(st.integers(0, 8 * len(data) - 1))
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
