"""The sealed part: its plaintext composed and padded, sealed to its recipients, opened and checked."""

import hmac
import json
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from keys import base64url, jwe, strict_json
from keys.errors import BadSeal, MalformedJSON
from keys.jwk import DecryptionKey, EncryptionKey

BLOCK = 1024
SALT_BYTES = 16

_MEMBERS = {"source", "id", "subject", "salt", "content"}


def compose(source: str, id: str, subject: str, content: Mapping[str, Any], salt: bytes, padding: int = BLOCK) -> bytes:
    """The plaintext to seal: a JSON object in UTF-8, padded with spaces to a multiple of `padding` bytes.

    Its members are `source`, `id` and `subject` of the message that will carry it, `salt` (base64url) and
    `content`. The padding are trailing spaces, which are insignificant whitespace (RFC 8259 §2): the padded
    bytes are still valid JSON, and any parser reads them as they are. The padding hides the length, the salt
    keeps the digest from being guessed. Raises ValueError for a salt that is not 16 bytes, a padding that is no
    multiple of 1,024, and content that JSON can't hold.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"the salt has {SALT_BYTES} bytes")
    if padding < BLOCK or padding % BLOCK:
        raise ValueError(f"padded to a multiple of {BLOCK} bytes")
    document = {
        "source": source,
        "id": id,
        "subject": subject,
        "salt": base64url.encode(salt),
        "content": dict(content),
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode("utf-8")
    return text.ljust(-(-len(text) // padding) * padding, b" ")


def digest(plaintext: bytes) -> str:
    """`sealed_digest` of a plaintext: `sha-256:` and the digest of its bytes in hexadecimal."""
    return f"sha-256:{sha256(plaintext).hexdigest()}"


def seal(
    source: str,
    id: str,
    subject: str,
    content: Mapping[str, Any],
    recipients: Sequence[EncryptionKey],
    salt: bytes | None = None,
    padding: int = BLOCK,
) -> dict[str, Any]:
    """The members `sealed` and `sealed_digest` that a message's open part carries.

    `source`, `id` and `subject` are those of the message: a sealed part copied into another message does not
    open. `salt` is drawn from the system unless given, `padding` as for `compose`. Raises what `compose` raises.
    """
    plaintext = compose(source, id, subject, content, os.urandom(SALT_BYTES) if salt is None else salt, padding)
    return {"sealed": jwe.seal(plaintext, recipients), "sealed_digest": digest(plaintext)}


def unseal(
    sealed: Mapping[str, Any], sealed_digest: str, source: str, id: str, subject: str, key: DecryptionKey
) -> dict[str, Any]:
    """The content sealed in the message that `source`, `id` and `subject` name. Raises BadSeal, as `read`."""
    return read(jwe.unseal(sealed, key), sealed_digest, source, id, subject)


def read(plaintext: bytes, sealed_digest: str, source: str, id: str, subject: str) -> dict[str, Any]:
    """The content in a plaintext, after every check of it.

    For whoever was handed a plaintext with the original message (a forward, a new participant) as for whoever
    opened it. Raises BadSeal whose `check` says what failed: `digest`, `padding`, `json`, `members`, `salt`,
    `source`, `id`, `subject`, `content`.
    """
    if not hmac.compare_digest(digest(plaintext).encode(), sealed_digest.encode()):
        raise BadSeal("the plaintext is not the one that the message's sealed_digest names", check="digest")
    if not plaintext or len(plaintext) % BLOCK:
        raise BadSeal(f"the plaintext is not padded to a multiple of {BLOCK} bytes", check="padding")
    document = _document(plaintext)
    _check_salt(document["salt"])
    for name, expected in (("source", source), ("id", id), ("subject", subject)):
        if document[name] != expected:
            raise BadSeal(f"the sealed part was made for a message with another {name}", check=name)
    content = document["content"]
    if not isinstance(content, dict):
        raise BadSeal("the sealed content is not an object", check="content")
    return content


def _document(plaintext: bytes) -> dict[str, Any]:
    try:
        document = strict_json.loads(plaintext)
    except MalformedJSON as fault:
        raise BadSeal("the plaintext is not JSON", check="json") from fault
    if not isinstance(document, dict) or document.keys() != _MEMBERS:
        raise BadSeal(f"the plaintext has not exactly the members {sorted(_MEMBERS)}", check="members")
    return document


def _check_salt(salt: object) -> None:
    try:
        drawn = base64url.decode(salt) if isinstance(salt, str) else b""
    except ValueError:
        drawn = b""
    if len(drawn) != SALT_BYTES:
        raise BadSeal(f"the salt is not {SALT_BYTES} bytes in base64url", check="salt")
