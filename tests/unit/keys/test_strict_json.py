"""Strict JSON and base64url: one text for one value, and no text that keeps a reader busy."""

import json
from typing import Any

import pytest

from keys import base64url, strict_json
from keys.errors import MalformedJSON


def nested(depth: int, opening: str = "[", closing: str = "]") -> bytes:
    return (opening * depth + closing * depth).encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"{}", {}),
        (b' [1, -0, 2.5e3, true, null, "\xe4\xba\x8c"] ', [1, 0, 2500.0, True, None, "二"]),
        (b"9223372036854775807", 2**63 - 1),
        (b"-9223372036854775808", -(2**63)),
        (b"1e308", 1e308),
        (b"1e-400", 0.0),
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\\ud800"', "\\ud800"),
        (b'{"a":{"a":1},"A":2,"":3}', {"a": {"a": 1}, "A": 2, "": 3}),
        (nested(64), json.loads(nested(64))),
        (b'"' + b"[" * 100 + b'"', "[" * 100),
        (b'["' + b'\\"[' * 100 + b'"]', ['"[' * 100]),
        (b"[" + b"[]," * 100 + b"0]", [[]] * 100 + [0]),
    ],
)
def test_what_every_reader_sees_the_same_is_read(text: bytes, value: Any) -> None:
    assert strict_json.loads(text) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"[1,]",
        b'{"a":1,}',
        b"{'a':1}",
        b"{a:1}",
        b"1 2",
        b"{}\0",
        b"// x\n1",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"tru",
        b'"\n"',
        b'"\x00"',
        rb'"\x41"',
        b"\xef\xbb\xbf1",
        b"\xff",
        b'"\xed\xa0\x80"',
        b'"\xc0\xaf"',
        "{}".encode("utf-16"),
        "{}".encode("utf-32"),
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e309",
        b"-1e400",
        b"1" * 400 + b".0",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"1" * 5000,
        rb'"\ud800"',
        rb'"\udc00\ud800"',
        rb'{"\ud800":1}',
        b'{"a":1,"a":1}',
        rb'{"a":1,"\u0061":2}',
        b'[{"b":{"a":1,"c":2,"a":3}}]',
        nested(65),
        nested(65, '{"a":', "") + b"1" + b"}" * 65,
        nested(100_000),
        b"[" * 100_000,
        b'{"a":' * 100_000,
    ],
)
def test_what_readers_differ_about_or_choke_on_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedJSON):
        strict_json.loads(text)


def test_a_repeated_member_is_named_even_at_the_end_of_a_hundred_thousand() -> None:
    # Comparing each name with every other would take minutes.
    text = "{" + "".join(f'"{number}":0,' for number in range(100_000)) + '"99999":0}'
    with pytest.raises(MalformedJSON) as refused:
        strict_json.loads(text.encode())
    assert refused.value.data == {"member": "99999"}


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"", ""), (b"f", "Zg"), (b"fo", "Zm8"), (b"foo", "Zm9v"), (b"\xfb\xff\xfe", "-__-"), (bytes(3), "AAAA")],
)
def test_base64url_is_that_of_rfc_4648_without_padding(data: bytes, text: str) -> None:
    assert base64url.encode(data) == text
    assert base64url.decode(text) == base64url.decode(text.encode()) == data


SPELLINGS = ["A", "AAAAA", "Zg==", "Zg=", "Zm8=", "=", "====", "Zh", "Zv", "Zm9", "Zm-", "+/+/"]
SPELLINGS += ["Zg\n", " Zg", "Z g", "Zg.", "é", "Z\0", "Zm9v!", "Ａ"]


@pytest.mark.parametrize("text", SPELLINGS)
def test_base64url_in_any_other_spelling_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        base64url.decode(text)
    with pytest.raises(ValueError):
        base64url.decode(text.encode())
