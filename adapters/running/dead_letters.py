"""Dead letters: what a side rejected, one readable file each, with the reason; tried again when somebody says so.

A letter that went down holds the signed message as it came, sealed as it is; one that came up holds what the partner
sent. Its owner alone can read the folder.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from adapters.running.partner import Offer
from keys.errors import Fault
from protocols.envelope import rfc3339


class DeadLetterUnknown(Fault):
    """There is no such dead letter, or its file can't be read."""

    code: ClassVar[str] = "dead-letter-unknown"


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """What was rejected: `down` a message that the partner does not take, `up` an offer that the hub does not."""

    way: Literal["down", "up"]
    reason: str
    at: str
    organisation: str | None = None
    source: str | None = None
    id: str | None = None
    type: str | None = None
    case: str | None = None
    position: int | None = None
    message: str | None = None
    """The signed message, compact JWS."""
    offer: Offer | None = None


class DeadLetters:
    """The folder of one adapter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, letter: DeadLetter) -> Path:
        """Keep one; the same one again takes its own place."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self.folder / f"{_name(letter)}.json"
        temporary = file.with_suffix(".new")
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as out:
            out.write(msgspec.json.format(msgspec.json.encode(letter), indent=1) + b"\n")
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
        return file

    def all(self) -> dict[str, DeadLetter]:
        """Every dead letter, by the name of its file."""
        return {file.stem: self.one(file.stem) for file in sorted(self.folder.glob("*.json"))}

    def one(self, name: str) -> DeadLetter:
        """A dead letter. Raises DeadLetterUnknown."""
        try:
            return msgspec.json.decode((self.folder / f"{_plain(name)}.json").read_bytes(), type=DeadLetter)
        except (OSError, msgspec.MsgspecError) as error:
            raise DeadLetterUnknown(f"{name} in {self.folder}: {error}") from None

    def drop(self, name: str) -> None:
        """Take one away: it is tried again, or nobody wants it."""
        (self.folder / f"{_plain(name)}.json").unlink(missing_ok=True)

    def count(self) -> int:
        """How many there are."""
        return sum(1 for _ in self.folder.glob("*.json")) if self.folder.exists() else 0


def now() -> str:
    """The moment, as a letter has it."""
    return rfc3339(datetime.now(UTC))


def _name(letter: DeadLetter) -> str:
    known = letter.offer.key if letter.offer is not None else f"{letter.source}-{letter.id}-{letter.position or 0}"
    return _plain(f"{letter.way}-{known}")


def _plain(name: str) -> str:
    """A name that is a name of a file and nothing else."""
    return re.sub(r"[^\w.-]", "_", name).lstrip(".")[:180] or "_"
