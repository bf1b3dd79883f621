"""The four signed documents of TUF (root, targets, snapshot, timestamp), made and renewed; pure, `now` is an argument.

Versions but the root's are seconds since 1970, or the last version and one: a hub whose database was restored to an
earlier state still goes forward, and nobody who pinned it has to think of a rollback. Root versions count from 1
without a gap, as the specification has it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from securesystemslib.signer import Key, Signature, Signer, SSlibKey
from tuf.api.metadata import Metadata, MetaFile, Role, Root, Snapshot, TargetFile, Targets, Timestamp

from keys import base64url
from keys.errors import Fault
from keys.jwk import SigningKey

LASTS: Mapping[str, timedelta] = {
    Timestamp.type: timedelta(days=1),
    Snapshot.type: timedelta(days=7),
    Targets.type: timedelta(days=7),
    Root.type: timedelta(days=365),
}
"""How long each document holds: who is shown nothing newer for a day, knows that it is being kept from it."""
RENEWED_AT = 0.75
"""What share of its time a document has left when it is signed again."""
Document = TypeVar("Document", Root, Targets, Snapshot, Timestamp)
ONLINE = (Targets.type, Snapshot.type, Timestamp.type)


class RootInvalid(Fault):
    """The snapshot's root can't be signed like this; nothing was changed."""

    code: ClassVar[str] = "root-invalid"


@dataclass(frozen=True, slots=True)
class Renewed:
    """The newest documents by their role, and what of them, with the files they name, is new: bodies by their names."""

    documents: Mapping[str, bytes]
    stored: Mapping[str, bytes]


def renew(
    before: Mapping[str, bytes], files: Mapping[str, bytes], key: SigningKey, now: datetime, changed: bool
) -> Renewed:
    """The documents for `files` as of `now`, signed with the hub's `key`; nothing is stored where nothing is due.

    `before` are the newest documents so far, none at first; `changed` says that the files are others than before.
    A root that another key signs is left as it is.
    """
    signer, documents, stored = _Signer(key), dict(before), dict[str, bytes]()
    if Root.type not in before or (_due(before, Root.type, now) and _signs(before, signer)):
        root = _root(before, [signer.public_key], signer.public_key, now)
        documents[Root.type] = stored[f"{root.version}.root.json"] = _signed(root, [signer])
    if changed or _due(before, Targets.type, now) or _due(before, Snapshot.type, now):
        targets = Targets(version=_next(before, Targets.type, now), expires=_until(Targets.type, now))
        targets.targets = {path: TargetFile.from_data(path, body, ["sha256"]) for path, body in files.items()}
        documents[Targets.type] = stored[f"{targets.version}.targets.json"] = _signed(targets, [signer])
        stored |= {file.get_prefixed_paths()[0]: files[path] for path, file in targets.targets.items()}
        snapshot = Snapshot(version=_next(before, Snapshot.type, now), expires=_until(Snapshot.type, now))
        snapshot.meta["targets.json"] = MetaFile.from_data(targets.version, documents[Targets.type], ["sha256"])
        documents[Snapshot.type] = stored[f"{snapshot.version}.snapshot.json"] = _signed(snapshot, [signer])
    if documents.get(Snapshot.type) != before.get(Snapshot.type) or _due(before, Timestamp.type, now):
        timestamp = Timestamp(version=_next(before, Timestamp.type, now), expires=_until(Timestamp.type, now))
        body = documents[Snapshot.type]
        timestamp.snapshot_meta = MetaFile.from_data(version(body), body, ["sha256"])
        documents[Timestamp.type] = stored[f"{Timestamp.type}.json"] = _signed(timestamp, [signer])
    return Renewed(documents, stored)


def next_root(
    root: bytes, online: SigningKey, offline: SigningKey, previous: Sequence[SigningKey], now: datetime
) -> bytes:
    """The root after `root`: signed from now on with `offline`, all else with the hub's own key `online`.

    `previous` are the keys at hand that the present root may be signed with. Raises RootInvalid where none of them
    is the one, or `offline` is no Ed25519 key.
    """
    if offline.alg != "Ed25519":
        raise RootInvalid("the root is signed with an Ed25519 key: xieban keys new --alg Ed25519")
    signers = {one.public_key.keyid: one for one in map(_Signer, [offline, *previous]) if one.usable}
    here = set(_read_root(root).roles[Root.type].keyids)
    if here.isdisjoint(signers):
        raise RootInvalid("the present root was signed with another key; give its key store as well")
    new = _Signer(offline).public_key
    made = _root({Root.type: root}, [new], _Signer(online).public_key, now)
    return _signed(made, [signer for keyid, signer in signers.items() if keyid == new.keyid or keyid in here])


def describe(root: bytes) -> tuple[int, datetime, list[str]]:
    """A root's version, its end, and the public keys (base64url) that sign it."""
    found = _read_root(root)
    keys = [found.keys[keyid] for keyid in found.roles[Root.type].keyids]
    publics = [base64url.encode(bytes.fromhex(str(key.keyval["public"]))) for key in keys]
    return found.version, found.expires, publics


def version(body: bytes) -> int:
    """A document's version."""
    return int(Metadata[Any].from_bytes(body).signed.version)


def names(documents: Mapping[str, bytes]) -> dict[str, str]:
    """Under which name each document is handed out, by its role."""
    return {
        role: f"{role}.json" if role == Timestamp.type else f"{version(body)}.{role}.json"
        for role, body in documents.items()
    }


def named(documents: Mapping[str, bytes]) -> list[str]:
    """The names of the files that the documents speak of."""
    targets = Metadata[Targets].from_bytes(documents[Targets.type]).signed.targets
    return [file.get_prefixed_paths()[0] for file in targets.values()]


class _Signer(Signer):
    """A key of ours as TUF wants it: Ed25519, named by the digest of its canonical form."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self.usable = key.alg == "Ed25519"
        if self.usable:
            point = Ed25519PublicKey.from_public_bytes(base64url.decode(key.public.jwk["x"]))
            self._public = SSlibKey.from_crypto(point)

    @property
    def public_key(self) -> Key:
        return self._public

    def sign(self, payload: bytes) -> Signature:
        return Signature(self._public.keyid, self._key.sign(payload).hex())

    @classmethod
    def from_priv_key_uri(
        cls, priv_key_uri: str, public_key: Key, secrets_handler: Callable[[str], str] | None = None
    ) -> "Signer":
        raise NotImplementedError("keys come from a key store")


def _root(before: Mapping[str, bytes], signed_by: Sequence[Key], online: Key, now: datetime) -> Root:
    roles = {name: [online.keyid] for name in ONLINE} | {Root.type: [key.keyid for key in signed_by]}
    return Root(
        version=version(before[Root.type]) + 1 if Root.type in before else 1,
        expires=_until(Root.type, now),
        keys={key.keyid: key for key in (*signed_by, online)},
        roles={name: Role(keyids, 1) for name, keyids in roles.items()},
        consistent_snapshot=True,
    )


def _signs(before: Mapping[str, bytes], signer: _Signer) -> bool:
    return signer.public_key.keyid in _read_root(before[Root.type]).roles[Root.type].keyids


def _read_root(body: bytes) -> Root:
    return Metadata[Root].from_bytes(body).signed


def _due(before: Mapping[str, bytes], role: str, now: datetime) -> bool:
    if role not in before:
        return True
    left: timedelta = Metadata[Any].from_bytes(before[role]).signed.expires - now
    return left < LASTS[role] * RENEWED_AT


def _next(before: Mapping[str, bytes], role: str, now: datetime) -> int:
    last = version(before[role]) if role in before else 0
    return max(last + 1, int(now.timestamp()))


def _until(role: str, now: datetime) -> datetime:
    return now.replace(microsecond=0) + LASTS[role]


def _signed(document: Document, signers: Sequence[_Signer]) -> bytes:
    metadata = Metadata(document)
    for signer in signers:
        metadata.sign(signer, append=True)
    return metadata.to_bytes()
