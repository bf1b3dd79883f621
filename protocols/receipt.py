"""A receipt: built from a log entry and its proof, and verified offline with the hub's public key alone."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pybase64

from keys import checkpoint as notes
from keys import merkle, strict_json
from keys.checkpoint import Checkpoint
from keys.errors import Fault, MalformedJSON
from keys.jwk import VerifyingKey
from protocols import entries
from protocols.entries import Accepted, Carried, Entry
from protocols.refusals import ReceiptInvalid


class LogProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an entry stands in the log: leaf, inclusion proof (RFC 6962 §2.1.1), C2SP checkpoint."""

    origin: str
    index: int
    entry: str
    proof: list[str]
    checkpoint: str


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sender of a message holds: that it is in the log, to be verified with the hub's key alone."""

    message: str
    digest: str
    accepted: str
    log: LogProof


@dataclass(frozen=True, slots=True)
class Proven:
    """An entry that is in the log, under a checkpoint that the hub signed."""

    entry: Entry
    index: int
    checkpoint: Checkpoint
    log: LogProof


def digest(compact: bytes) -> str:
    """`sha-256:<hex>` of a compact JWS as received."""
    return "sha-256:" + hashlib.sha256(compact).hexdigest()


def log_proof(origin: str, index: int, leaf: bytes, proof: Sequence[bytes], note: str) -> LogProof:
    """The `log` member of a receipt or of an event, from raw bytes."""
    return LogProof(origin, index, _b64(leaf), [_b64(node) for node in proof], note)


def leaf(log: LogProof) -> bytes:
    """The exact bytes of the entry."""
    return _unb64(log.entry)


def build(entry: Carried, log: LogProof) -> Receipt:
    """The receipt of a message that was accepted, or carried for another hub."""
    return Receipt(entry.id, entry.digest, entry.at, log)


def parse(document: bytes | Mapping[str, Any]) -> Receipt:
    """A receipt from its JSON. Raises ReceiptInvalid."""
    try:
        return msgspec.convert(strict_json.loads(document) if isinstance(document, bytes) else document, Receipt)
    except (MalformedJSON, msgspec.MsgspecError) as error:
        raise ReceiptInvalid(f"not a receipt: {error}") from error


def verify(
    receipt: Receipt,
    keys: Iterable[VerifyingKey],
    *,
    compact: bytes | None = None,
    origin: str | None = None,
    kinds: tuple[type[Carried], ...] = (Accepted,),
) -> Proven:
    """Prove the receipt with the hub's public `keys`, and that it is for `compact` where given.

    Its entry is of one of `kinds`: only the first hub of a case accepts, others relay and return.

    Raises ReceiptInvalid, naming what does not hold: the signature of the checkpoint, the inclusion
    proof, an outer field that differs from the entry's, or the message's digest.
    """
    proven = verify_log(receipt.log, keys, origin=origin)
    entry = proven.entry
    if not isinstance(entry, kinds):
        named = " or ".join(str(kind.__struct_config__.tag) for kind in kinds)
        raise ReceiptInvalid(f"the log entry is not of kind {named}")
    if (receipt.message, receipt.digest, receipt.accepted) != (entry.id, entry.digest, entry.at):
        raise ReceiptInvalid("the receipt's fields differ from the log entry's")
    if compact is not None and digest(compact) != entry.digest:
        raise ReceiptInvalid("the receipt is for other bytes than this message")
    return proven


def verify_log(log: LogProof, keys: Iterable[VerifyingKey], *, origin: str | None = None) -> Proven:
    """Prove that an entry is in the log. Raises ReceiptInvalid."""
    try:
        if origin is not None and log.origin != origin:
            raise ReceiptInvalid("the receipt is of another log")
        checkpoint = notes.verify_checkpoint(log.checkpoint, keys, log.origin)
        entry = leaf(log)
        path = [_unb64(node) for node in log.proof]
        merkle.verify_inclusion(merkle.leaf_hash(entry), log.index, checkpoint.size, path, checkpoint.root)
        return Proven(entries.decode(entry), log.index, checkpoint, log)
    except ReceiptInvalid:
        raise
    except (Fault, ValueError) as error:
        raise ReceiptInvalid(str(error)) from error


def _b64(data: bytes) -> str:
    return pybase64.b64encode_as_string(data)


def _unb64(text: str) -> bytes:
    """Standard base64 (RFC 4648 §4) in its one canonical form, so that a proof can be written in one way only."""
    data = pybase64.b64decode(text, validate=True)
    if _b64(data) != text:
        raise ValueError("not base64 in its canonical form")
    return data
