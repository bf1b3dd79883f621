"""What holds for every sealed plaintext, whatever its content."""

import json

from hypothesis import given
from hypothesis import strategies as st

from protocols.sealing import BLOCK, compose, digest, read

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
CONTENTS = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=8,
    ),
    max_size=6,
)
SALTS = st.binary(min_size=16, max_size=16)


@given(TEXTS, TEXTS, TEXTS, CONTENTS, SALTS)
def test_what_was_composed_is_read_again(
    source: str, id: str, subject: str, content: dict[str, object], salt: bytes
) -> None:
    plaintext = compose(source, id, subject, content, salt)
    assert len(plaintext) % BLOCK == 0
    assert json.loads(plaintext)["content"] == content
    assert read(plaintext, digest(plaintext), source, id, subject) == content


@given(CONTENTS, SALTS, SALTS)
def test_another_salt_gives_another_digest(content: dict[str, object], salt: bytes, other: bytes) -> None:
    one, two = (digest(compose("a", "b", "c", content, drawn)) for drawn in (salt, other))
    assert (one == two) == (salt == other)
