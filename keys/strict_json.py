"""JSON from outside, read so that every reader sees the same value: RFC 8259 in the narrow sense of RFC 7493."""

from __future__ import annotations

import json
import re
from collections import Counter
from math import isfinite
from typing import Any, Final, NoReturn

import msgspec

from keys.errors import MalformedJSON

MAX_DEPTH: Final = 64
"""Arrays and objects may be nested this deep, the outermost counted as 1."""

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1
_SURELY_64_BITS: Final = 18

_BRACES_TO_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(sorted(set(range(256)) - set(b"[]{}")))
_FAST: Final = msgspec.json.Decoder()
_SURROGATE_ESCAPE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


class _NotPlain(Exception):
    """The quick way does not serve this text."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # Counted in one pass: refusing an object of a hundred thousand members must not keep the hub busy.
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise MalformedJSON(f"an object has the member {twice[:64]!r} twice", member=twice[:64])
    return members


def _integer(digits: str) -> int:
    # The length is looked at first: converting a million digits would take seconds.
    if len(digits) <= _SURELY_64_BITS:
        return int(digits)
    if len(digits) > 20 or not MIN_INTEGER <= (value := int(digits)) <= MAX_INTEGER:
        raise MalformedJSON("an integer does not fit into 64 bits", digits=digits[:32])
    return value


def _number(digits: str) -> float:
    value = float(digits)
    if not isfinite(value):
        raise MalformedJSON("a number is too large", digits=digits[:32])
    return value


def _constant(name: str) -> NoReturn:
    raise MalformedJSON("NaN and Infinity are not JSON", constant=name)


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _nested_too_deeply(data: bytes) -> bool:
    """Whether brackets outside strings nest deeper than MAX_DEPTH (or never close), before anything recurses."""
    outside = data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2]
    brackets = b"".join(outside).translate(_BRACES_TO_BRACKETS, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        inner = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == inner:
            break
    return len(brackets) > 0


def _has_lone_surrogate(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


def _plain(data: bytes) -> Any:
    """The value of a text that is quickly seen to be strict; raises _NotPlain where a closer look is needed.

    Without backslashes a quote inside a string ends it, and without white space before a colon every member has
    its own `":` in the text. So as many members found as there are `":` means that none was named twice.
    """
    if b"\\" in data or b"\t" in data or b"\n" in data or b"\r" in data or (b" " in data and b" :" in data):
        raise _NotPlain
    try:
        value = _FAST.decode(data)
    except (ValueError, RecursionError):  # msgspec's own errors are ValueErrors
        raise _NotPlain from None
    if _members(value, MAX_DEPTH) != data.count(b'":'):
        raise _NotPlain
    return value


def _members(value: Any, depth: int) -> int:
    """How many members the objects in `value` have; raises _NotPlain for deep nesting and for large integers."""
    kind = type(value)
    if kind is str:
        return 0
    if kind is dict or kind is list:
        if depth == 0:
            raise _NotPlain
        inner = value.values() if kind is dict else value
        count = len(value) if kind is dict else 0
        for item in inner:
            if type(item) is not str:
                count += _members(item, depth - 1)
        return count
    if kind is int and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise _NotPlain
    return 0


def loads(data: bytes) -> Any:
    """The value of one JSON text in UTF-8.

    Raises MalformedJSON for what RFC 8259 forbids and for what readers disagree about (RFC 7493): bytes that
    are not UTF-8, a byte order mark, a member named twice in one object, NaN and Infinity, a number that
    overflows a double, an integer outside -2**63 … 2**63 - 1 (beyond 64 bits; send it as a string), an escape
    that leaves half a surrogate pair, and nesting deeper than MAX_DEPTH.
    """
    try:
        return _plain(data)
    except _NotPlain:
        return _closely(data)


def _closely(data: bytes) -> Any:
    # The number of brackets bounds the depth, and few texts have so many that a closer look is needed.
    if data.count(b"{") + data.count(b"[") > MAX_DEPTH and _nested_too_deeply(data):
        raise MalformedJSON("nested too deeply, or a bracket is never closed", limit=MAX_DEPTH)
    try:
        value = _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedJSON("the text is not UTF-8", offset=error.start) from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise MalformedJSON(f"not JSON: {error.msg} ({where})", offset=error.pos) from None
    except RecursionError:
        raise MalformedJSON("nested too deeply", limit=MAX_DEPTH) from None
    if b"\\u" in data and _SURROGATE_ESCAPE.search(data) and _has_lone_surrogate(value):
        raise MalformedJSON("a string has half of a surrogate pair")
    return value
