"""Checkpoints of the log: C2SP tlog-checkpoint bodies in C2SP signed notes, signed with Ed25519."""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from keys import curves
from keys.errors import AlgorithmNotAllowed, BadCheckpoint, BadSignature
from keys.jwk import SigningKey, VerifyingKey
from keys.merkle import HASH_SIZE

_ED25519: Final = b"\x01"
_KEY_ID: Final = 4
_SIGNATURE: Final = 64
_DASH: Final = "\u2014 "
MAX_NOTE: Final = 1 << 17
"""Longest note taken, in bytes: room for well over 16 signatures of any kind."""
MAX_SIGNATURES: Final = 64
MAX_SIZE: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: its origin, its number of leaves and the root over them."""

    origin: str
    size: int
    root: bytes


def body(checkpoint: Checkpoint) -> str:
    """The text that is signed: origin, size, root, each with its newline. Raises BadCheckpoint."""
    if not 0 <= checkpoint.size <= MAX_SIZE or len(checkpoint.root) != HASH_SIZE:
        raise BadCheckpoint("a checkpoint has a size of 63 bits and a root of 32 bytes")
    check_key_name(checkpoint.origin)
    return f"{checkpoint.origin}\n{checkpoint.size}\n{b64encode(checkpoint.root).decode('ascii')}\n"


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey) -> str:
    """The checkpoint as a signed note whose key name is the origin. Raises AlgorithmNotAllowed, BadCheckpoint."""
    text = body(checkpoint)
    signature = _key_id(checkpoint.origin, _public_bytes(key.public)) + key.sign(text.encode("utf-8"))
    return f"{text}\n{_DASH}{checkpoint.origin} {b64encode(signature).decode('ascii')}\n"


def note_origin(note: str) -> str:
    """The origin that a signed note names, in its first line; nothing is verified."""
    return note.partition("\n")[0]


def vkey(origin: str, key: VerifyingKey) -> str:
    """The verifier key as other tools take it: name+hash+key (C2SP signed-note, "Verifier keys")."""
    check_key_name(origin)
    public = _public_bytes(key)
    return f"{origin}+{_key_id(origin, public).hex()}+{b64encode(_ED25519 + public).decode('ascii')}"


def verify_checkpoint(note: str | bytes, keys: Iterable[VerifyingKey], origin: str | None = None) -> Checkpoint:
    """The checkpoint, once one of `keys` signed it under the name of its origin.

    `origin`, when given, must be the checkpoint's. Lines of unknown signers (witnesses, rotated keys) and
    extension lines are ignored; a line that is a known key's but does not verify spoils the whole note.
    Raises BadCheckpoint.
    """
    text, signatures = open_note(note)
    checkpoint = parse_body(text)
    if origin is not None and checkpoint.origin != origin:
        raise BadCheckpoint("the checkpoint is of another log", origin=checkpoint.origin, expected=origin)
    verify_note_signatures(text, signatures, keys, checkpoint.origin)
    return checkpoint


def verify_note(note: str | bytes, keys: Iterable[VerifyingKey], name: str) -> str:
    """The text of any signed note, once one of `keys` signed it under `name`. Raises BadCheckpoint."""
    text, signatures = open_note(note)
    verify_note_signatures(text, signatures, keys, name)
    return text


def verify_note_signatures(
    text: str, signatures: Iterable[tuple[str, bytes]], keys: Iterable[VerifyingKey], name: str
) -> None:
    """Raises BadCheckpoint unless a key verifies, or when a known key's line does not."""
    # Ids are four bytes and collide by design: a line counts against all keys of its id.
    known: dict[bytes, list[VerifyingKey]] = {}
    for key in keys:
        if key.alg == "Ed25519":
            known.setdefault(_key_id(name, _public_bytes(key)), []).append(key)
    verified = False
    for signer, signature in signatures:
        candidates = known.get(signature[:_KEY_ID], ()) if signer == name else ()
        if candidates:
            if not any(_verifies(key, text, signature[_KEY_ID:]) for key in candidates):
                raise BadCheckpoint("the signature of a known key does not verify", name=name)
            verified = True
    if not verified:
        raise BadCheckpoint("no known key signed it", name=name)


def _verifies(key: VerifyingKey, text: str, signature: bytes) -> bool:
    try:
        key.verify(text.encode("utf-8"), signature)
    except BadSignature:
        return False
    return len(signature) == _SIGNATURE


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode("utf-8") + b"\n" + _ED25519 + public).digest()[:_KEY_ID]


def _public_bytes(key: VerifyingKey) -> bytes:
    if key.alg != "Ed25519":
        raise AlgorithmNotAllowed("checkpoints are signed with Ed25519 only", alg=key.alg)
    return curves.octets(key.jwk, "x")


def check_key_name(name: str) -> None:
    """Raises BadCheckpoint for a name that can't stand in a signature line (C2SP signed-note, "Signatures")."""
    if not name or "+" in name or any(char.isspace() or ord(char) < 0x20 for char in name):
        raise BadCheckpoint("a key name is not empty and has no spaces and no plus sign", name=name[:64])


def text_of(note: str | bytes) -> str:
    """What is signed of a note: its text with the last newline. Raises BadCheckpoint."""
    return open_note(note)[0]


def open_note(note: str | bytes) -> tuple[str, list[tuple[str, bytes]]]:
    """Text and signature lines of a signed note (C2SP signed-note, "Format")."""
    try:
        data = note.encode("utf-8") if isinstance(note, str) else note
        whole = data.decode("utf-8")
    except UnicodeError:
        raise BadCheckpoint("a note is UTF-8") from None
    if len(data) > MAX_NOTE:
        raise BadCheckpoint("the note is too long", limit=MAX_NOTE)
    if any(char < " " and char != "\n" for char in whole):
        raise BadCheckpoint("a note has no control characters but newlines")
    head, blank, tail = whole.rpartition("\n\n")
    if not blank or not tail.endswith("\n"):
        raise BadCheckpoint("a note is a text, an empty line and signature lines")
    lines = tail[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise BadCheckpoint("the note has too many signatures", limit=MAX_SIGNATURES)
    return head + "\n", [_signature_line(line) for line in lines]


def _signature_line(line: str) -> tuple[str, bytes]:
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise BadCheckpoint("a signature line is a dash, a name and a signature")
    check_key_name(name)
    signature = base64(encoded)
    if len(signature) <= _KEY_ID:
        raise BadCheckpoint("a signature is too short", name=name)
    return name, signature


def base64(text: str) -> bytes:
    """Standard base64 (RFC 4648 §4), in its one canonical form."""
    try:
        value = b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise BadCheckpoint("not base64") from None
    if b64encode(value).decode("ascii") != text:
        raise BadCheckpoint("not base64 in its canonical form")
    return value


def parse_body(text: str) -> Checkpoint:
    """The checkpoint that a note's text says (C2SP tlog-checkpoint). Raises BadCheckpoint."""
    lines = text[:-1].split("\n")
    if len(lines) < 3 or not all(lines):
        raise BadCheckpoint("a checkpoint is at least three lines, none of them empty")
    origin, size, root = lines[:3]
    digits = size.isascii() and size.isdigit() and len(size) <= 19 and (size == "0" or size[0] != "0")
    if not digits or int(size) > MAX_SIZE:
        raise BadCheckpoint("the tree size is not a decimal number as written here")
    value = base64(root)
    if len(value) != HASH_SIZE:
        raise BadCheckpoint("the root is not a hash of 32 bytes")
    return Checkpoint(origin, int(size), value)
