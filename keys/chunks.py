"""A long content in chunks: each a compact JWE (RFC 7516 §7.1) under one content key (`dir`, RFC 7518 §4.5; A256GCM).

The protected header counts the chunk and how many there are, so that none can be moved, dropped or added unseen.
"""

from __future__ import annotations

import json
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import base64url, strict_json
from keys.algorithms import CONTENT_ENCRYPTION
from keys.errors import BadSeal, MalformedJSON

CHUNK: Final = 1 << 20
"""Most bytes of plaintext in a chunk; every chunk but the last has as many."""
MAX_CHUNKS: Final = 1 << 20
MAX_SEALED: Final = 4 * (CHUNK + 2) // 3 + 512
"""Most bytes of a sealed chunk."""

_KEY: Final = 32
_IV: Final = 12
_TAG: Final = 16
_MAX_HEADER: Final = 256


def new_key() -> bytes:
    """A fresh content key of 32 bytes, for one content only."""
    return AESGCM.generate_key(8 * _KEY)


def count(size: int) -> int:
    """How many chunks a content of `size` bytes has: one for an empty one, too."""
    return max(1, -(-size // CHUNK))


def seal(plaintext: bytes, key: bytes, number: int, of: int) -> bytes:
    """Chunk `number` (from 1) `of` so many, sealed. Raises BadSeal for one that is too long or out of place."""
    _require_place(number, of)
    if len(plaintext) > CHUNK:
        raise BadSeal("a chunk is too long", limit=CHUNK)
    members = {"alg": "dir", "enc": CONTENT_ENCRYPTION, "chunk": number, "chunks": of}
    header = base64url.encode(json.dumps(members, separators=(",", ":")).encode("ascii")).encode("ascii")
    iv = os.urandom(_IV)
    sealed = AESGCM(key).encrypt(iv, plaintext, header)
    texts = (base64url.encode(part).encode("ascii") for part in (iv, sealed[:-_TAG], sealed[-_TAG:]))
    return b".".join((header, b"", *texts))


def unseal(sealed: bytes, key: bytes, number: int, of: int) -> bytes:
    """The plaintext of chunk `number` `of` so many.

    Raises BadSeal, whose `check` is `form` (no such chunk, or another one) or `opening` (altered, or another key).
    """
    _require_place(number, of)
    parts = sealed.split(b".", 5)
    if len(sealed) > MAX_SEALED or len(parts) != 5 or parts[1] or len(parts[0]) > _MAX_HEADER:
        raise BadSeal("a chunk is a compact JWE without an encrypted key", check="form")
    try:
        header = strict_json.loads(base64url.decode(parts[0]))
        iv, ciphertext, tag = (base64url.decode(part) for part in parts[2:])
    except (ValueError, MalformedJSON):
        raise BadSeal("a chunk's parts are not base64url, or its header is no JSON", check="form") from None
    if header != {"alg": "dir", "enc": CONTENT_ENCRYPTION, "chunk": number, "chunks": of}:
        raise BadSeal(f"this is not chunk {number} of {of}", check="form")
    if isinstance(header["chunk"], bool) or len(iv) != _IV or len(tag) != _TAG or len(ciphertext) > CHUNK:
        raise BadSeal("a part of a chunk has the wrong length", check="form")
    if number < of and len(ciphertext) != CHUNK:
        raise BadSeal("a chunk before the last is shorter than it must be", check="form")
    try:
        return AESGCM(key).decrypt(iv, ciphertext + tag, parts[0])
    except (InvalidTag, ValueError):
        raise BadSeal("the chunk was altered, or sealed with another key", check="opening") from None


def _require_place(number: int, of: int) -> None:
    if not 0 < number <= of <= MAX_CHUNKS:
        raise BadSeal(f"there is no chunk {number} of {of}", check="form")
