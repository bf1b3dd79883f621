"""The cursor of a follower on disk: how far a mailbox was dealt with, kept over restarts."""

import os
from pathlib import Path

import msgspec

from adapters.client.faults import CursorInvalid
from keys import durable
from protocols import epochs


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds: whose mailbox at which hub, and the last position dealt with."""

    hub: str
    organisation: str
    position: int


REMEMBERED = 50_000
"""So many messages are remembered at least."""


class Cursor:
    """A file with the last position that was dealt with; written whole or not at all, even if the power fails.

    It belongs to one mailbox, for good: positions of another one would skip its messages. Beside it `PATH.seen` lists
    what was dealt with: what senders send again to a hub that was set back comes at new positions, and is passed over.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.seen = self.path.with_name(f"{self.path.name}.seen")
        self._lines = 0
        self._earlier: dict[int, frozenset[str]] = {}

    def remember(self, position: int, source: str, id: str) -> None:
        """Keep that the message at a position was dealt with. Raises CursorInvalid."""
        try:
            if self._lines == 0 or self._lines > 2 * REMEMBERED:
                kept = self._listed()[-REMEMBERED:]
                self.seen.write_text("".join(f"{line}\n" for line in kept), "utf-8")
                self._lines = len(kept)
            with open(self.seen, "a", encoding="utf-8") as file:
                file.write(f"{position} {source} {id}\n")
        except OSError as error:
            raise CursorInvalid(f"{self.seen} can't be written: {error.strerror}") from error
        self._lines += 1

    def had(self, position: int, source: str, id: str) -> bool:
        """Whether the message was dealt with in an earlier mailbox epoch than the position's. Raises CursorInvalid."""
        epoch = epochs.epoch(position)
        if epoch == 0:
            return False
        if epoch not in self._earlier:
            lines = (line.partition(" ") for line in self._listed())
            self._earlier = {
                epoch: frozenset(key for at, _, key in lines if at.isdigit() and epochs.epoch(int(at)) < epoch)
            }
        return f"{source} {id}" in self._earlier[epoch]

    def _listed(self) -> list[str]:
        try:
            return self.seen.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise CursorInvalid(f"{self.seen} can't be read: {error}") from error

    def load(self, hub: str, organisation: str) -> int:
        """The position to go on after, 0 where there is no file yet. Raises CursorInvalid."""
        try:
            kept = msgspec.json.decode(self.path.read_bytes(), type=Kept)
        except FileNotFoundError:
            return 0
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise CursorInvalid(f"{self.path} can't be read: {error}") from error
        if (kept.hub, kept.organisation) != (hub, organisation) or kept.position < 0:
            raise CursorInvalid(f"{self.path} is the cursor of {kept.organisation} at {kept.hub}")
        return kept.position

    def save(self, hub: str, organisation: str, position: int) -> None:
        """Keep that everything up to `position` was dealt with. Raises CursorInvalid."""
        content = msgspec.json.encode(Kept(hub, organisation, position))
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        try:
            with open(temporary, "wb") as file:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
            durable.flush(self.path.parent)
        except OSError as error:
            raise CursorInvalid(f"{self.path} can't be written: {error.strerror}") from error
