"""A file and its signature beside it: `NAME.sig`, a compact JWS (RFC 7515) over what the file is called and holds.

The signed manifest is `{"file","sha256","size","organisation","hub","time"}`. A partner's own needs `file`, `sha256`
and `size`, and may be of any type (`typ`).
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from adapters.desk.forms import Words
from adapters.exchange.words import Unfit
from keys import jws, strict_json
from keys.errors import Fault
from keys.jwk import SigningKey, VerifyingKey
from protocols import envelope

TYP: Final = "xieban-file+jws"
LARGEST: Final = 8192
"""Bytes of a signature's file."""


class Manifest(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is signed about a file."""

    file: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size: int
    organisation: str | None = None
    hub: str | None = None
    time: str | None = None


def signed(file: str, content: bytes, organisation: str, hub: str, key: SigningKey) -> bytes:
    """The signature of a file that is handed out."""
    manifest = Manifest(file, hashlib.sha256(content).hexdigest(), len(content), organisation, hub,
                        envelope.rfc3339(datetime.now(UTC)))  # fmt: skip
    return jws.sign(msgspec.json.encode(manifest), key, typ=TYP) + b"\n"


def check(token: bytes, file: str, content: bytes, keys: Sequence[VerifyingKey]) -> None:
    """Raises Unfit unless one of the keys signed for this very file."""
    if len(token) > LARGEST:
        raise Unfit(Words("签名文件过大", "the file of the signature is too large"))
    try:
        compact = jws.decode(token.strip(), typ=None, extra_headers=True)
        manifest = msgspec.convert(strict_json.loads(_verified(compact, keys)), Manifest)
    except (Fault, msgspec.MsgspecError) as error:
        why = error.detail if isinstance(error, Fault) else str(error)
        raise Unfit(Words(f"签名无效：{why[:200]}", f"its signature is not valid: {why[:200]}")) from None
    if manifest.file != file:
        raise Unfit(Words("签名是为另一个文件名作的", "its signature is for a file of another name"))
    if (manifest.sha256, manifest.size) != (hashlib.sha256(content).hexdigest(), len(content)):
        raise Unfit(Words("文件在签名之后被改动", "the file was altered after it was signed"))


def _verified(compact: jws.Compact, keys: Sequence[VerifyingKey]) -> bytes:
    """The payload; the header's kid says which key, else each is tried. Raises Fault."""
    named = [key for key in keys if compact.header.kid in (None, key.kid)]
    now = datetime.now(UTC)
    fault: Fault = Fault("it is signed by none of the partner's keys")
    for key in named:
        try:
            if key.valid_at(now):
                return jws.verify(compact, key)
        except Fault as found:
            fault = found
    raise fault
