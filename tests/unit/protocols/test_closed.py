"""What the open part may hold: the rule for patterns, and the rule for schemas around them."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols import closed
from protocols.loading import FOLDER

PATTERNS = sorted(
    {
        found
        for path in FOLDER.glob("*/*/open/*.json")
        for found in re.findall(r'"pattern": ("(?:[^"\\]|\\.)*")', path.read_text("utf-8"))
    }
)


def wrapped(schema: Any) -> list[str]:
    document = {"type": "object", "additionalProperties": False, "properties": {"x": schema}}
    return list(closed.open_findings(document))


@pytest.mark.parametrize("written", PATTERNS)
@given(data=st.data())
def test_no_text_that_fits_is_longer_than_the_rule_says_nor_more_than_letters_and_digits(
    written: str, data: st.DataObject
) -> None:
    pattern = json.loads(written)
    longest = closed.longest(pattern)
    assert longest is not None
    text = data.draw(st.from_regex(pattern, fullmatch=True))
    assert len(text.rstrip("\n")) <= longest <= closed.MAX_OPEN_TEXT
    assert re.fullmatch(r"[a-z0-9.:-]*", text.rstrip("\n"))


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("^$", 0),
        ("^abc$", 3),
        ("^a?$", 1),
        ("^[0-9]{4}$", 4),
        ("^[a-z]{2,40}$", 40),
        ("^(a|bcd)$", 3),
        ("^(?:a|bcd){2}e$", 7),
        ("^a(b(c){3}){2}$", 9),
        (r"^a\.b$", 3),
        ("^a{0}$", 0),
        ("^[0-9]{6}([0-9]{3})?$", 9),
    ],
)
def test_the_longest_text_of_a_simple_pattern(pattern: str, length: int) -> None:
    assert closed.longest(pattern) == length


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "^a",
        "a$",
        "^a|b$",
        "^.$",
        "^.*$",
        "^a*$",
        "^a+$",
        "^a{2,}$",
        "^[^a]$",
        r"^\w{3}$",
        r"^\S{3}$",
        r"^\p{Han}$",
        "^(a$",
        "^a)$",
        "^[a-zA-Z]{9}$",
        "^[ -~]{9}$",
        "^a b$",
        "^张$",
        "^[一-龥]{2}$",
        "^(?!a)b$",
        "^(?=a)b$",
        "^a\n$",
    ],
)
def test_a_pattern_that_lets_a_text_in_is_none(pattern: str) -> None:
    assert closed.longest(pattern) is None
    assert wrapped({"type": "string", "pattern": pattern})


@pytest.mark.parametrize(
    "schema",
    [
        True,
        False,
        None,
        {},
        {"title": "x"},
        {"type": "string"},
        {"type": "string", "maxLength": 4},
        {"type": "object"},
        {"type": "string", "format": "date"},
        {"type": "string", "pattern": "^[a-z]{73}$"},
        {"type": "array", "maxItems": 1},
        {"type": "array", "maxItems": 1, "items": {}},
        {"type": "array", "items": {"const": "a"}},
        {"type": "integer"},
        {"type": "number", "minimum": 0},
        {"type": ["string", "null"]},
        {"oneOf": [{"const": "a"}, {"type": "string"}]},
        {"oneOf": [True]},
        {"$ref": "https://example.cn/x"},
        {"$ref": "#"},
        {"anyOf": [{"const": "a"}]},
        {"not": {}},
        {"type": "object", "additionalProperties": {"const": "a"}},
        {"const": "a", "$dynamicRef": "#x"},
        {"type": "object", "additionalProperties": False, "patternProperties": {"": {}}},
        {"type": "object", "additionalProperties": False, "properties": {"y": {"type": "string"}}},
        {"type": "object", "additionalProperties": False, "unevaluatedProperties": True},
        {"type": "array", "maxItems": 1, "items": {"const": "a"}, "prefixItems": [{}]},
    ],
)
def test_what_is_not_closed_is_found(schema: Any) -> None:
    assert wrapped(schema)


@pytest.mark.parametrize(
    "schema",
    [
        {"const": "a"},
        {"enum": ["a", "b"]},
        {"oneOf": [{"const": "a", "title": "甲"}]},
        {"type": "boolean"},
        {"type": "null"},
        {"type": "integer", "minimum": 0, "maximum": 9},
        {"$ref": "#/$defs/y"},
        {"type": "string", "pattern": "^[a-z]{72}$"},
        {"type": "string", "pattern": "^[a-z]{73}$", "maxLength": 72},
        {"type": "array", "maxItems": 3, "items": {"const": "a"}},
        {"type": "object", "additionalProperties": False},
    ],
)
def test_what_is_closed_is_not_mistaken(schema: Any) -> None:
    assert wrapped(schema) == []


@pytest.mark.parametrize(
    ("schema", "closed_enough"),
    [
        ({"type": "string", "maxLength": 4000}, True),
        ({"type": "string", "pattern": "^[0-9+*() -]{5,30}$"}, True),
        ({"type": "string"}, False),
        ({"type": "string", "pattern": "^[a-z]+$"}, False),
        ({"type": "string", "pattern": "^a{3,}$"}, False),
        ({"type": "object", "properties": {}}, False),
    ],
)
def test_in_the_sealed_part_a_text_needs_a_length_only(schema: Any, closed_enough: bool) -> None:
    document = {"type": "object", "additionalProperties": False, "properties": {"x": schema}}
    assert (list(closed.sealed_findings(document)) == []) == closed_enough
