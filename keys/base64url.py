"""Base64url without padding (RFC 4648 §5, RFC 7515 §2), decoded strictly: one text for one value, no other."""

from __future__ import annotations

import binascii
from typing import Final

_STANDARD: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE: Final = _STANDARD[:-2] + b"-_"
_FOREIGN: Final = b"!"

# Everything outside the alphabet, "+", "/" and "=" included, becomes one character the decoder refuses.
_TO_STANDARD: Final = bytes.maketrans(
    _URL_SAFE + bytes(sorted(set(range(256)) - set(_URL_SAFE))),
    _STANDARD + _FOREIGN * (256 - len(_URL_SAFE)),
)
_TO_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")

# The last character of a text carries only some bits of a byte; the others must be zero (RFC 4648 §3.5),
# or several texts would stand for one value.
_LAST_OF_TWO: Final = frozenset(_URL_SAFE[0::16])
_LAST_OF_THREE: Final = frozenset(_URL_SAFE[0::4])


def encode(data: bytes) -> str:
    """The base64url text of `data`, without padding."""
    return binascii.b2a_base64(data, newline=False).translate(_TO_URL_SAFE, b"=").decode("ascii")


def decode(text: str | bytes) -> bytes:
    """The bytes that `text` stands for.

    Raises ValueError for padding, characters outside the alphabet, an impossible length, or stray bits in the
    last character, so that `encode(decode(text)) == text` holds for everything accepted.
    """
    raw = text.encode("ascii") if isinstance(text, str) else text
    rest = len(raw) & 3
    if rest == 0:
        return binascii.a2b_base64(raw.translate(_TO_STANDARD), strict_mode=True)
    if rest == 1:
        raise ValueError("impossible base64url length")
    if raw[-1] not in (_LAST_OF_TWO if rest == 2 else _LAST_OF_THREE):
        raise ValueError("stray bits or a foreign character at the end of base64url")
    return binascii.a2b_base64(raw.translate(_TO_STANDARD) + b"=="[rest - 2 :], strict_mode=True)
