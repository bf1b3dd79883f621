"""Whether a message's schema is closed: nothing fits that the schema does not name, and no free text in the open part.

In the open part a string is one of a list of codes, or it has a pattern that is anchored at both ends, made of
lower-case letters, digits and a few signs, and no longer than 72 characters: room for a date, a UUID, an
organisation's id or a digest, and none for a sentence, a Chinese name, a phone number in words or an address.
In the sealed part a string has a length.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_OPEN_TEXT = 72

_WORDS = {"title", "description", "x-title-en", "x-description-en", "$comment"}
_AT_TOP = {"$schema", "$id", "$defs", "examples", "x-counter-examples"}
_KNOWN = _WORDS | {
    "type", "const", "enum", "oneOf", "$ref", "properties", "required", "additionalProperties", "dependentRequired",
    "items", "minItems", "maxItems", "uniqueItems", "minimum", "maximum", "pattern", "format", "minLength", "maxLength",
}  # fmt: skip
_TOKEN = re.compile(r"\[[a-z0-9-]+\]|[a-z0-9:-]|\\\.|\((?:\?:)?|[)|?]|\{[0-9]{1,3}(?:,[0-9]{1,3})?\}")
_CLASS = re.compile(r"\[[^\]]+\]")
_UNBOUNDED = re.compile(r"(?<!\\)[*+]|,\}")

TextRule = Callable[[Mapping[str, Any]], str | None]


def open_findings(document: Mapping[str, Any]) -> Iterator[str]:
    """All that is not closed in an open schema, or lets a text in."""
    return _document(document, _open_text)


def sealed_findings(document: Mapping[str, Any]) -> Iterator[str]:
    """All that is not closed in a sealed schema."""
    return _document(document, _bounded_text)


def longest(pattern: str) -> int | None:
    """The length of the longest text that fits an anchored `pattern`; None where it is not of the simple kind."""
    if not (pattern.startswith("^") and pattern.endswith("$")):
        return None
    body = pattern[1:-1]
    tokens = _TOKEN.findall(body)
    if "".join(tokens) != body:
        return None
    return _width(tokens)


def _width(tokens: list[str]) -> int | None:
    # Each level of brackets: the longest alternative so far, this alternative, its last piece.
    levels = [(0, 0, 0)]
    for token in tokens:
        best, width, last = levels[-1]
        if token.startswith("("):
            levels.append((0, 0, 0))
        elif token == ")":
            levels.pop()
            if not levels:
                return None
            inner = max(best, width)
            best, width, _ = levels[-1]
            levels[-1] = (best, width + inner, inner)
        elif token == "|":
            if len(levels) == 1:
                return None  # ^a|b$ is anchored on one side each
            levels[-1] = (max(best, width), 0, 0)
        elif token.startswith("{"):
            times = int(token[1:-1].rpartition(",")[2])
            levels[-1] = (best, width + last * (times - 1), 0)
        elif token != "?":
            levels[-1] = (best, width + 1, 1)
    return max(levels[0][:2]) if len(levels) == 1 else None


def _document(document: Mapping[str, Any], text: TextRule) -> Iterator[str]:
    if document.get("type") != "object":
        yield "/: is no object"
    value = {keyword: below for keyword, below in document.items() if keyword not in _AT_TOP}
    yield from _value(value, "", text)
    for name, definition in document.get("$defs", {}).items():
        yield from _value(definition, f"/$defs/{name}", text)


def _value(schema: Any, pointer: str, text: TextRule) -> Iterator[str]:
    """Findings of one schema; what stands behind a `$ref` is judged where it is defined."""
    if not isinstance(schema, Mapping):
        yield f"{pointer}: takes anything or nothing"
        return
    unknown = sorted(schema.keys() - _KNOWN)
    if unknown:
        yield f"{pointer}: {unknown[0]} is no keyword that a closed schema may have"
    if "$ref" in schema:
        if not str(schema["$ref"]).startswith("#/$defs/"):
            yield f"{pointer}: refers to something outside of $defs"
    elif "oneOf" in schema:
        for number, choice in enumerate(schema["oneOf"]):
            yield from _value(choice, f"{pointer}/oneOf/{number}", text)
    elif not schema.keys() & {"const", "enum"}:
        yield from _typed(schema, pointer, text)


def _typed(schema: Mapping[str, Any], pointer: str, text: TextRule) -> Iterator[str]:
    kind = schema.get("type")
    if kind == "object":
        if schema.get("additionalProperties") is not False:
            yield f"{pointer}: additionalProperties is not false"
        for name, below in schema.get("properties", {}).items():
            yield from _value(below, f"{pointer}/properties/{name}", text)
    elif kind == "array":
        if "maxItems" not in schema:
            yield f"{pointer}: has no maxItems"
        yield from _value(schema.get("items"), f"{pointer}/items", text)
    elif kind in ("integer", "number"):
        if not schema.keys() >= {"minimum", "maximum"}:
            yield f"{pointer}: has no minimum and maximum"
    elif kind == "string":
        if finding := text(schema):
            yield f"{pointer}: {finding}"
    elif kind not in ("boolean", "null"):
        yield f"{pointer}: takes values of any type"


def _open_text(schema: Mapping[str, Any]) -> str | None:
    width = longest(schema.get("pattern", ""))
    if width is None:
        return "is a text without an anchored pattern of lower-case letters, digits and signs"
    if min(width, schema.get("maxLength", width)) > MAX_OPEN_TEXT:
        return f"may be longer than {MAX_OPEN_TEXT} characters"
    return None


def _bounded_text(schema: Mapping[str, Any]) -> str | None:
    pattern = _CLASS.sub("x", schema.get("pattern", "*"))
    return "has no length" if "maxLength" not in schema and _UNBOUNDED.search(pattern) else None
