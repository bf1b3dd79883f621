"""Base64url without padding (RFC 4648 §5, RFC 7515 §2), decoded strictly: one text for one value, no other."""

from __future__ import annotations

from typing import Final

import pybase64

_ALPHABET: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_URL_SAFE: Final = b"-_"

# The last character of a text carries only some bits of a byte; the others must be zero (RFC 4648 §3.5),
# or several texts would stand for one value.
_LAST_OF_TWO: Final = frozenset(_ALPHABET[0::16])
_LAST_OF_THREE: Final = frozenset(_ALPHABET[0::4])


def encode(data: bytes) -> str:
    """The base64url text of `data`, without padding."""
    return pybase64.b64encode_as_string(data, _URL_SAFE).rstrip("=")


def decode(text: str | bytes) -> bytes:
    """The bytes that `text` stands for.

    Raises ValueError for padding, characters outside the alphabet, an impossible length, or stray bits in the
    last character, so that `encode(decode(text)) == text` holds for everything accepted.
    """
    raw = text.encode("ascii") if isinstance(text, str) else text
    # The library reads the standard alphabet as well, and padding.
    if b"+" in raw or b"/" in raw or b"=" in raw:
        raise ValueError("a foreign character in base64url")
    rest = len(raw) & 3
    if rest == 0:
        return pybase64.b64decode(raw, _URL_SAFE, validate=True)
    if rest == 1:
        raise ValueError("impossible base64url length")
    if raw[-1] not in (_LAST_OF_TWO if rest == 2 else _LAST_OF_THREE):
        raise ValueError("stray bits or a foreign character at the end of base64url")
    return pybase64.b64decode(raw + b"=="[rest - 2 :], _URL_SAFE, validate=True)
