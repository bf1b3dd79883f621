"""The cursor of a follower on disk: how far a mailbox was dealt with, kept over restarts."""

import os
from pathlib import Path

import msgspec

from adapters.client.faults import CursorInvalid


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds: whose mailbox at which hub, and the last position dealt with."""

    hub: str
    organisation: str
    position: int


class Cursor:
    """A file with the last position that was dealt with; written whole or not at all, even if the power fails.

    It belongs to one mailbox, for good: positions of another one would skip its messages.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)

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
            _flush(self.path.parent)
        except OSError as error:
            raise CursorInvalid(f"{self.path} can't be written: {error.strerror}") from error


def _flush(directory: Path) -> None:
    """A rename is on disk once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
