"""Base64url and JSON: one text for one value, and no value that another reader sees differently."""

import json
import math
from base64 import urlsafe_b64encode
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from keys import base64url, strict_json
from keys.errors import MalformedJSON
from tests.strategies import json_like, json_texts


@given(st.binary(max_size=200))
def test_base64url_gives_back_what_was_encoded_and_agrees_with_the_standard_library(data: bytes) -> None:
    text = base64url.encode(data)
    assert text == urlsafe_b64encode(data).rstrip(b"=").decode()
    assert base64url.decode(text) == base64url.decode(text.encode()) == data


@given(st.binary(max_size=12) | st.text("AQgw048-_+/=\n .é", max_size=9).map(str.encode))
@example(b"Zh")
def test_whatever_base64url_text_is_taken_is_the_only_one_for_its_value(text: bytes) -> None:
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert base64url.encode(data).encode() == text


def strange(text: bytes) -> bool:
    """Whether strict JSON must refuse a text that the standard library takes."""
    twice = False

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        twice |= len(dict(members)) != len(members)
        return dict(members)

    value = json.loads(text.decode("utf-8"), object_pairs_hook=pairs)
    return twice or any(map(_strange_scalar, scalars(value)))


def _strange_scalar(value: object) -> bool:
    match value:
        case bool() | None:
            return False
        case int():
            return not -(2**63) <= value < 2**63
        case float():
            return not math.isfinite(value)
        case str():
            return any("\ud800" <= char <= "\udfff" for char in value)
    raise AssertionError(value)


def scalars(value: Any) -> list[object]:
    if isinstance(value, dict):
        return [scalar for name, inner in value.items() for scalar in (name, *scalars(inner))]
    if isinstance(value, list):
        return [scalar for inner in value for scalar in scalars(inner)]
    return [value]


def lenient(text: bytes) -> Any:
    """What the standard library reads, its failures as one type."""
    try:
        return json.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(text) from error


@given(json_texts() | json_like)
@example(b'{"a":1,"\\u0061":2}')
@example(b"[1e999]")
@example(b'["\\ud800"]')
@example(b'{":":1,"a" :2,"a" :3}')
@example(b'{"a":":","a":":"}')
@example(b'{"a" :":b","a":1}')
@example(b'{"a":9223372036854775808}')
@example(b'{"a":[-9223372036854775809]}')
@example(b'{"a":-0,"b":-0.0,"c":1e5,"d":0.1}')
@example(b"\xef\xbb\xbf{}")
@example(b'{"a":"\xff"}')
def test_strict_json_reads_what_the_standard_library_reads_or_says_why_not(text: bytes) -> None:
    try:
        value = strict_json.loads(text)
    except MalformedJSON:
        try:
            lenient(text)
        except ValueError:
            return
        assert strange(text)
    else:
        assert not strange(text)
        # Written again, so that 1 and 1.0 and True are told apart.
        assert json.dumps(value) == json.dumps(lenient(text))


@given(json_texts())
def test_ordinary_json_is_always_taken(text: bytes) -> None:
    assert json.dumps(strict_json.loads(text)) == json.dumps(json.loads(text))


@given(st.integers(1, 200), st.lists(st.sampled_from(["[", '{"a":']), min_size=200, max_size=200))
def test_the_depth_of_nesting_alone_decides(depth: int, openings: list[str]) -> None:
    used = openings[:depth]
    text = "".join(used) + "0" + "".join("]" if opening == "[" else "}" for opening in reversed(used))
    try:
        strict_json.loads(text.encode())
    except MalformedJSON:
        assert depth > strict_json.MAX_DEPTH
    else:
        assert depth <= strict_json.MAX_DEPTH
