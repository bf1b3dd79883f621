"""The manifest, last in a backup: what it is a backup of and a digest over all before it, signed by the hub."""

import hashlib
from typing import Final

import msgspec

from hub.backup import BackupInvalid
from keys import checkpoint, jws, strict_json
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import SigningKey, VerifyingKey

TYP: Final = "xieban-backup+jws"
FORMAT: Final = "xieban-backup/1"
NAME: Final = "manifest.jws"


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a backup holds. `members` and `digest` are those of `Counted`; `checkpoint` is the log's signed head in it.

    `elsewhere` says that attachments lie in a store of their own and are not in it. `final` is what was made of a hub
    that will never run on that database again.
    """

    format: str
    version: str
    hub: str
    made: str
    checkpoint: str
    entries: int
    attachments: int
    elsewhere: bool
    final: bool
    members: int
    digest: str


class Counted:
    """A digest over members in order, each by its name, size and SHA-256: as small for a million of them as for one."""

    def __init__(self) -> None:
        self.members = 0
        self._all = hashlib.sha256()

    def add(self, name: str, size: int, digest: bytes) -> None:
        """Count a member."""
        self.members += 1
        self._all.update(f"{digest.hex()} {size} {name}\n".encode())

    def digest(self) -> str:
        """Of all that were counted."""
        return f"sha-256:{self._all.hexdigest()}"


def sign(manifest: Manifest, key: SigningKey) -> bytes:
    """The manifest as a compact JWS."""
    return jws.sign(msgspec.json.encode(manifest), key, typ=TYP)


def verify(token: bytes, counted: Counted, keys: list[VerifyingKey]) -> Manifest:
    """The manifest, once one of the hub's `keys` signed it and what was counted is what it says.

    Raises BackupInvalid.
    """
    try:
        compact = jws.decode(token, typ=TYP)
        said = msgspec.convert(strict_json.loads(compact.payload), Manifest)
        signer = next((key for key in keys if key.kid == compact.header.kid), None)
        if signer is None:
            raise BackupInvalid(
                "its manifest is signed by another hub, or with a key that was not given", check="signer"
            )
        jws.verify(compact, signer, EVERY_ALGORITHM)
        head = checkpoint.verify_checkpoint(said.checkpoint, keys)
    except BackupInvalid:
        raise
    except (Fault, msgspec.ValidationError) as error:
        raise BackupInvalid(f"its manifest does not hold: {error}") from None
    if said.format != FORMAT or head.size != said.entries:
        raise BackupInvalid("its manifest is of another format", check="format")
    if (said.members, said.digest) != (counted.members, counted.digest()):
        raise BackupInvalid("its members are not those that the hub signed")
    return said
