"""Sealing for several recipients: JWE general JSON (RFC 7516 §7.2.1), ECDH-ES+A256KW and A256GCM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import import_key

from keys.errors import BadSeal
from keys.jwk import DecryptionKey, EncryptionKey

ALG: Final = "ECDH-ES+A256KW"
ENC: Final = "A256GCM"
_ALGORITHMS: Final = [ALG, ENC]


def seal(plaintext: bytes, recipients: Sequence[EncryptionKey]) -> dict[str, Any]:
    """`plaintext` sealed so that each of `recipients` can open it. Raises BadSeal without recipients."""
    if not recipients:
        raise BadSeal("nobody to seal to")
    sealed = jwe.GeneralJSONEncryption({"enc": ENC}, plaintext)
    for key in recipients:
        members: dict[str, Any] = {name: key.jwk[name] for name in ("kty", "crv", "x", "y") if name in key.jwk}
        sealed.add_recipient({"alg": ALG, "kid": key.kid}, import_key(members))
    return json.loads(json.dumps(jwe.encrypt_json(sealed, None, algorithms=_ALGORITHMS)))  # type: ignore[no-any-return]


def unseal(sealed: Mapping[str, Any], key: DecryptionKey) -> bytes:
    """The plaintext, opened with the recipient's `key`. Raises BadSeal, saying nothing of why beyond that."""
    for recipient in sealed.get("recipients", []):
        if recipient.get("header", {}).get("kid") == key.kid:
            break
    else:
        raise BadSeal("this key is not among the recipients")
    members = {name: value for name, value in key.jwk().items() if name in ("kty", "crv", "x", "y", "d")}
    one: Any = {name: sealed[name] for name in ("protected", "iv", "ciphertext", "tag", "aad") if name in sealed}
    one["recipients"] = [recipient]
    try:
        opened = jwe.decrypt_json(one, import_key(members), algorithms=_ALGORITHMS)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise BadSeal("the sealed part can't be opened") from error
    if opened.plaintext is None:
        raise BadSeal("the sealed part can't be opened")
    return bytes(opened.plaintext)


def recipient_kids(sealed: Mapping[str, Any]) -> list[str]:
    """The `kid` of every recipient."""
    return [str(recipient.get("header", {}).get("kid")) for recipient in sealed.get("recipients", [])]
