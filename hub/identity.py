"""Who this hub is: its id, its signing key on disk, the origin of its log, made on first start."""

import fcntl
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from hub.config import ConfigInvalid
from hub.store import Connection
from hub.store.queries import SQL
from keys import checkpoint, merkle
from keys.checkpoint import Checkpoint
from keys.errors import BadCheckpoint, Fault, KeyStoreFault
from keys.jwk import SigningKey, generate_signing
from keys.keystore import KeyStore

PASSPHRASE = "XIEBAN_HUB_PASSPHRASE"
PASSPHRASE_FILE = "passphrase"
PUBLISHED = "published"
"""The folder of the checkpoints that left this data directory (`hub.published`)."""


class HubKeyLocked(Fault):
    """The passphrase of the hub's key is missing, or is another one; put back the copy that was kept elsewhere."""

    code: ClassVar[str] = "hub-key-locked"


class HubKeyGone(Fault):
    """The hub has a log, and the key that signs it is gone: put it back from a backup, for a new one would not fit."""

    code: ClassVar[str] = "hub-key-gone"


@dataclass(frozen=True, slots=True)
class Identity:
    """The hub's id and the key that signs its checkpoints. The origin that it signs under is the log's to say."""

    hub: str
    key: SigningKey


def holds_keys(data: Path) -> bool:
    """Whether any private key of a hub is in the data directory."""
    return any((data / "keys").glob("*.jwe"))


def gone(data: Path) -> HubKeyGone:
    """What is said of a data directory whose keys are gone."""
    return HubKeyGone(
        f"{data / 'keys'} holds no key to the log that is there: put the hub's keys back from a backup, xieban restore"
        f" BACKUP --keys-only --data {data}, or from its first node; unless the database named is another hub's"
    )


def hub_key(data: Path) -> SigningKey:
    """The hub's Ed25519 key, made and stored encrypted on the first call.

    The passphrase is that of XIEBAN_HUB_PASSPHRASE, else of the file `passphrase` (0600) that is made
    beside the keys; an operator moves it elsewhere and sets the variable. (XIEBAN_PASSPHRASE is a partner's.)
    Raises HubKeyLocked where it does not open the keys that are there, for which none is made up; HubKeyGone where
    there are none and a hub has published from here; KeyStoreFault.
    """
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    store = KeyStore(data / "keys")
    # A command beside a hub that starts for the first time must not make a second key.
    with open(data / "keys.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not holds_keys(data) and any((data / PUBLISHED).glob("*")):
            raise gone(data)
        store.create()
        new = not store.kids()
        passphrase = os.environ.get(PASSPHRASE) or _passphrase_file(data, new)
        if new:
            made = generate_signing("Ed25519")
            store.add(made, passphrase)
            return made
    return _unlocked(store, data, passphrase)


def _unlocked(store: KeyStore, data: Path, passphrase: str) -> SigningKey:
    try:
        return store.signing_key(passphrase, datetime.now(UTC))
    except KeyStoreFault as fault:
        if fault.data.get("check") != "passphrase":
            raise
        raise HubKeyLocked(f"{fault.detail}; {_put_back(data)}") from None


def _put_back(data: Path) -> str:
    return f"put the copy that was kept elsewhere into {data / PASSPHRASE_FILE} (0600), or set {PASSPHRASE}"


def _passphrase_file(data: Path, new: bool) -> str:
    path = data / PASSPHRASE_FILE
    if not path.exists():
        if not new:
            raise HubKeyLocked(f"there is no passphrase of the hub's key; {_put_back(data)}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text().strip()


def new_origin(hub: str) -> str:
    """An origin that no log has had."""
    return f"xieban.example/{hub}/{datetime.now(UTC):%Y%m%d}-{secrets.token_hex(4)}"


async def establish(connection: Connection, hub: str, key: SigningKey) -> Identity:
    """The identity as the database has it; a new log gets its origin and its first checkpoint.

    Raises ConfigInvalid where the database is another hub's, or its checkpoints are signed with another key.
    """
    origin = new_origin(hub)
    note = checkpoint.sign_checkpoint(Checkpoint(origin, 0, merkle.EMPTY_ROOT), key)
    await connection.execute(SQL["create_head"], hub, origin, merkle.EMPTY_ROOT, note)
    head = await connection.fetchrow(SQL["head"])
    assert head is not None
    if head["hub"] != hub:
        raise ConfigInvalid(f"the database is that of {head['hub']}; [hub] id says {hub}", check="another-hub")
    _check_key(head["note"], head["origin"], key)
    return Identity(head["hub"], key)


def _check_key(note: str, origin: str, key: SigningKey) -> None:
    try:
        checkpoint.verify_checkpoint(note, [key.public], origin)
    except BadCheckpoint:
        raise ConfigInvalid(
            "the log is signed with another key than this data directory holds: give it keys and passphrase of the"
            " hub's first node, or of its backup",
            check="another-key",
        ) from None
