"""Sealing for several recipients: JWE general JSON (RFC 7516 §7.2.1), ECDH-ES+A256KW and A256GCM.

A sealed part is taken apart strictly before any key touches it: what is not written down here is refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import agreement, base64url, strict_json
from keys.algorithms import AGREEMENT, CONTENT_ENCRYPTION
from keys.errors import BadSeal, MalformedJSON
from keys.jwk import DecryptionKey, EncryptionKey

ALG: Final = AGREEMENT
ENC: Final = CONTENT_ENCRYPTION

MAX_RECIPIENTS: Final = 66
"""32 recipients and the sender, each with an old and a new key during a rotation."""
MAX_PROTECTED: Final = 1024
"""Longest protected header, in bytes."""
MAX_CIPHERTEXT: Final = 2 << 20
"""Longest ciphertext, in bytes; a message and a chunk of an attachment both have 1 MiB at most."""
MAX_AAD: Final = 1024
MAX_PARTY: Final = 64
"""Longest `apu` and `apv`, in bytes."""

_IV: Final = 12
_TAG: Final = 16
_CONTENT_KEY: Final = 32
_THUMBPRINT: Final = re.compile(r"[A-Za-z0-9_-]{43}\Z")
_MEMBERS: Final = frozenset({"protected", "recipients", "iv", "ciphertext", "tag"})
_RECIPIENT_MEMBERS: Final = frozenset({"header", "encrypted_key"})
_HEADER: Final = frozenset({"alg", "enc", "kid", "epk"})
_HEADER_OPTIONAL: Final = frozenset({"apu", "apv", "typ", "cty"})
_EPHEMERAL: Final = {"OKP": frozenset({"kty", "crv", "x"}), "EC": frozenset({"kty", "crv", "x", "y"})}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient's share: whose it is, the ephemeral public key, and the content key wrapped with both."""

    kid: str
    ephemeral: Mapping[str, str] = field(hash=False)
    apu: bytes
    apv: bytes
    wrapped: bytes


@dataclass(frozen=True, slots=True)
class Sealed:
    """A well-formed sealed part; whether it opens, only a key can say. `authenticated` is the AAD of RFC 7516 §5.1."""

    recipients: tuple[Recipient, ...]
    authenticated: bytes
    iv: bytes
    ciphertext: bytes
    tag: bytes


def seal(plaintext: bytes, recipients: Sequence[EncryptionKey]) -> dict[str, Any]:
    """`plaintext` sealed so that each of `recipients` can open it; a key given twice counts once.

    Raises BadSeal without recipients, and for more of them or more bytes than `parse` takes.
    """
    keys = {key.kid: key for key in recipients}
    if not 0 < len(keys) <= MAX_RECIPIENTS:
        raise BadSeal("nobody to seal to, or too many", limit=MAX_RECIPIENTS)
    if len(plaintext) > MAX_CIPHERTEXT:
        raise BadSeal("too much to seal", limit=MAX_CIPHERTEXT)
    content_key, iv = AESGCM.generate_key(8 * _CONTENT_KEY), os.urandom(_IV)
    protected = base64url.encode(json.dumps({"enc": ENC}, separators=(",", ":")).encode("ascii"))
    sealed = AESGCM(content_key).encrypt(iv, plaintext, protected.encode("ascii"))
    return {
        "protected": protected,
        "recipients": [_share(content_key, key) for key in keys.values()],
        "iv": base64url.encode(iv),
        "ciphertext": base64url.encode(sealed[:-_TAG]),
        "tag": base64url.encode(sealed[-_TAG:]),
    }


def unseal(sealed: object, key: DecryptionKey) -> bytes:
    """The plaintext, opened with the recipient's `key`.

    Raises BadSeal, whose `check` is `form` (malformed, whoever tries), `recipient` (not sealed to this key) or
    `opening` (this key should open it and does not: altered, or not made for it in truth).
    """
    parsed = parse(sealed)
    share = next((recipient for recipient in parsed.recipients if recipient.kid == key.kid), None)
    if share is None:
        raise BadSeal("this key is not among the recipients", check="recipient", kid=key.kid)
    content_key = agreement.unwrap(share.wrapped, key.jwk(), share.ephemeral, share.apu, share.apv)
    try:
        return AESGCM(content_key).decrypt(parsed.iv, parsed.ciphertext + parsed.tag, parsed.authenticated)
    except InvalidTag:
        raise BadSeal("the sealed part was altered", check="opening") from None


def recipient_kids(sealed: object) -> list[str]:
    """The `kid` of every recipient that has one, of anything at all; `parse` says whether it is a sealed part."""
    recipients = sealed.get("recipients") if isinstance(sealed, Mapping) else None
    headers = [
        entry.get("header") for entry in (recipients if isinstance(recipients, list) else []) if isinstance(entry, dict)
    ]
    kids = [header.get("kid") for header in headers if isinstance(header, dict)]
    return [kid for kid in kids if isinstance(kid, str)]


def ciphertext_length(sealed: Mapping[str, Any]) -> int:
    """The bytes of the ciphertext, which are as many as those of the plaintext (A256GCM, RFC 7518 §5.3)."""
    text = sealed.get("ciphertext")
    return len(text) * 3 // 4 if isinstance(text, str) else 0


def parse(sealed: object) -> Sealed:
    """Takes a sealed part apart without opening it.

    Beside the members of the general serialisation only `aad` may be there: no `unprotected`, no flattened
    form. The header, protected and per recipient together, is `enc` (protected), `kid` (per recipient), `alg`
    and `epk`, perhaps `apu`, `apv`, `typ` and `cty`, no name in both places; so there is no `zip`, no `crit`
    and no `jku`. Raises BadSeal with `check` = `form`.
    """
    if not isinstance(sealed, Mapping) or not _MEMBERS <= sealed.keys() <= _MEMBERS | {"aad"}:
        raise _malformed("a sealed part has exactly the members of a JWE in general JSON serialisation")
    protected = _protected(sealed["protected"])
    entries = sealed["recipients"]
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_RECIPIENTS:
        raise _malformed(f"recipients are an array of 1 to {MAX_RECIPIENTS}")
    recipients = tuple(_recipient(entry, protected) for entry in entries)
    if len({recipient.kid for recipient in recipients}) != len(recipients):
        raise _malformed("a recipient occurs twice")
    authenticated = str(sealed["protected"])
    if "aad" in sealed:
        authenticated += "." + base64url.encode(_octets(sealed["aad"], "aad", 1, MAX_AAD))
    return Sealed(
        recipients,
        authenticated.encode("ascii"),
        _octets(sealed["iv"], "iv", _IV, _IV),
        _octets(sealed["ciphertext"], "ciphertext", 0, MAX_CIPHERTEXT),
        _octets(sealed["tag"], "tag", _TAG, _TAG),
    )


def _share(content_key: bytes, key: EncryptionKey) -> dict[str, Any]:
    ephemeral, wrapped = agreement.wrap(content_key, key.jwk)
    return {"header": {"alg": ALG, "kid": key.kid, "epk": ephemeral}, "encrypted_key": base64url.encode(wrapped)}


def _malformed(detail: str, **data: object) -> BadSeal:
    return BadSeal(detail, check="form", **data)


def _octets(text: object, name: str, least: int, most: int) -> bytes:
    # The length is looked at before anything is decoded.
    if not isinstance(text, str) or len(text) > 4 * most // 3 + 4:
        raise _malformed("a member is missing, not a string or too long", member=name)
    try:
        value = base64url.decode(text)
    except ValueError:
        raise _malformed("a member is not base64url", member=name) from None
    if not least <= len(value) <= most:
        raise _malformed("a member has the wrong length", member=name, octets=len(value))
    return value


def _protected(segment: object) -> dict[str, Any]:
    try:
        header = strict_json.loads(_octets(segment, "protected", 2, MAX_PROTECTED))
    except MalformedJSON as fault:
        raise _malformed(f"the protected header: {fault.detail}") from None
    if not isinstance(header, dict) or header.get("enc") != ENC:
        raise _malformed(f"the protected header is an object whose enc is {ENC}")
    return header


def _recipient(entry: object, protected: dict[str, Any]) -> Recipient:
    if not isinstance(entry, dict) or entry.keys() != _RECIPIENT_MEMBERS or not isinstance(entry["header"], dict):
        raise _malformed("a recipient is an object of a header and an encrypted_key")
    own: dict[str, Any] = entry["header"]
    header = protected | own
    if protected.keys() & own.keys():
        raise _malformed("a header member stands in the protected header and in the recipient's")
    if not _HEADER <= header.keys() <= _HEADER | _HEADER_OPTIONAL:
        raise _malformed("the header has exactly alg, enc, kid and epk, and perhaps apu, apv, typ, cty")
    if header["alg"] != ALG:
        raise _malformed(f"content keys are wrapped with {ALG} only")
    if not isinstance(own.get("kid"), str) or not _THUMBPRINT.match(own["kid"]):
        raise _malformed("a recipient's own header names its key by thumbprint", member="kid")
    if any(not isinstance(header.get(name, ""), str) for name in ("typ", "cty")):
        raise _malformed("a header member is not a string")
    apu, apv = (_octets(header.get(name, ""), name, 0, MAX_PARTY) for name in ("apu", "apv"))
    wrapped = _octets(entry["encrypted_key"], "encrypted_key", agreement.WRAPPED_KEY, agreement.WRAPPED_KEY)
    return Recipient(own["kid"], _ephemeral(header["epk"]), apu, apv, wrapped)


def _ephemeral(jwk: object) -> dict[str, str]:
    if not isinstance(jwk, dict) or not all(isinstance(value, str) for value in jwk.values()):
        raise _malformed("an ephemeral key is a JWK whose members are strings", member="epk")
    if jwk.keys() != _EPHEMERAL.get(jwk.get("kty", "")):
        raise _malformed("an ephemeral key is a public JWK of kty, crv, x and, on P-256, y", member="epk")
    return jwk
