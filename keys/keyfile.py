"""One private key at rest: an encrypted JWK (RFC 7517 §7), a compact JWE under a passphrase (PBES2)."""

from __future__ import annotations

import json
import unicodedata
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from keys import base64url, strict_json
from keys.errors import Fault, KeyStoreFault
from keys.jwk import DecryptionKey, SigningKey, parse_private

ALG: Final = "PBES2-HS512+A256KW"
ENC: Final = "A256GCM"
ITERATIONS: Final = 210_000
MAX_ITERATIONS: Final = 300_000
"""A file that asks for more would only keep the machine busy."""
MIN_PASSPHRASE: Final = 8
"""Shortest passphrase taken, in characters (NIST SP 800-63B §3.1.1.2)."""

_HEADER: Final = frozenset({"alg", "enc", "cty", "kid", "p2c", "p2s"})
_CONTENT_TYPE: Final = "jwk+json"
_LEAST_SALT: Final = 8
_WRAPPED_KEY: Final = 40
_IV: Final = 12
_TAG: Final = 16


def require_long(passphrase: str) -> None:
    """Raises KeyStoreFault for a passphrase that is too short to protect a private key."""
    if len(passphrase) < MIN_PASSPHRASE:
        said = f"a passphrase has at least {MIN_PASSPHRASE} characters"
        raise KeyStoreFault(said, check="too-short", limit=MIN_PASSPHRASE)


def encrypt(key: SigningKey | DecryptionKey, passphrase: str) -> bytes:
    """The private key, encrypted. Raises KeyStoreFault for a passphrase that is too short.

    Deriving the wrapping key takes a tenth of a second or so, on purpose.
    """
    require_long(passphrase)
    header = {"alg": ALG, "enc": ENC, "cty": _CONTENT_TYPE, "p2c": ITERATIONS, "kid": key.kid}
    body = json.dumps(key.jwk()).encode("utf-8")
    return jwe.encrypt_compact(header, body, _secret(passphrase), registry=_registry()).encode("ascii")


def decrypt(token: bytes, kid: str, passphrase: str) -> SigningKey | DecryptionKey:
    """The private key that goes by `kid`.

    Raises KeyStoreFault, whose `check` tells a file that is `damaged`, a wrong `passphrase`, and `another` key.
    """
    token = token.strip()
    _check(token, kid)
    try:
        opened = jwe.decrypt_compact(token, _secret(passphrase), registry=_registry())
    except (JoseError, ValueError):
        raise KeyStoreFault("wrong passphrase, or the file was altered", check="passphrase") from None
    try:
        key = parse_private(strict_json.loads(opened.plaintext or b""))
    except Fault as fault:
        raise KeyStoreFault(f"what was encrypted is not a key: {fault.detail}", check="damaged") from None
    if key.kid != kid:
        raise KeyStoreFault("holds another key than its name says", check="another", kid=key.kid)
    return key


def _check(token: bytes, kid: str) -> None:
    """Whether this is what `encrypt` writes, before a passphrase is tried: a cut file is not a wrong passphrase."""
    segments = token.split(b".")
    try:
        if len(segments) != 5:
            raise ValueError("five segments are needed")
        header, *parts = (base64url.decode(segment) for segment in segments)
        members = strict_json.loads(header)
    except (ValueError, Fault) as error:
        raise KeyStoreFault(f"not an encrypted key, or cut short: {error}", check="damaged") from None
    wrapped, iv, ciphertext, tag = map(len, parts)
    if (wrapped, iv, tag) != (_WRAPPED_KEY, _IV, _TAG) or not ciphertext or not _as_written(members):
        raise KeyStoreFault("not an encrypted key as this store writes it, or cut short", check="damaged")
    if members["kid"] != kid:
        raise KeyStoreFault("holds another key than its name says", check="another", kid=members["kid"])


def _as_written(header: Any) -> bool:
    if not isinstance(header, dict) or header.keys() != _HEADER:
        return False
    if (header["alg"], header["enc"], header["cty"]) != (ALG, ENC, _CONTENT_TYPE) or type(header["p2c"]) is not int:
        return False
    try:
        salt = base64url.decode(header["p2s"]) if isinstance(header["p2s"], str) else b""
    except ValueError:
        return False
    return ITERATIONS <= header["p2c"] <= MAX_ITERATIONS and len(salt) >= _LEAST_SALT


def _secret(passphrase: str) -> OctKey:
    # One spelling of a text typed on different keyboards (RFC 8265 §4.2.2, OpaqueString).
    raw = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogatepass")
    if not raw:
        raise KeyStoreFault("the passphrase is empty", check="no-passphrase")
    # Not `import_key`: it is for raw keys, and warns on stderr that a passphrase is shorter than one.
    return OctKey(raw, raw)


def _registry() -> jwe.JWERegistry:
    return jwe.JWERegistry(algorithms=[ALG, ENC])
