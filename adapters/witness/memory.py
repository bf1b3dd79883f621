"""What a witness remembers: the last checkpoint it signed, on disk before the signature leaves."""

import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from keys import durable
from keys.errors import Fault


class MemoryUnreadable(Fault):
    """The witness's state can't be read: without it nothing may be signed. Restore it, or begin anew on purpose."""

    code: ClassVar[str] = "witness-memory-unreadable"


@dataclass(frozen=True, slots=True)
class Remembered:
    """The last checkpoint signed, with its note."""

    origin: str
    size: int
    root: bytes
    note: str


@dataclass(frozen=True, slots=True)
class Memory:
    """A file that is always whole: the old state or the new one."""

    file: Path

    def load(self) -> Remembered | None:
        """What was kept; None where nothing was yet. Raises MemoryUnreadable."""
        try:
            said = json.loads(self.file.read_text("utf-8"))
            return Remembered(str(said["origin"]), int(said["size"]), b64decode(said["root"]), str(said["note"]))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise MemoryUnreadable(f"{self.file}: {error}") from None

    def keep(self, seen: Remembered) -> None:
        """Write it, atomically and through to the disk."""
        root = b64encode(seen.root).decode("ascii")
        text = json.dumps(
            {"origin": seen.origin, "size": seen.size, "root": root, "note": seen.note}, ensure_ascii=False
        )
        self._write(self.file, text)

    def accuse(self, before: str, now: str) -> Path:
        """Keep two signed notes that contradict each other, beside the state; where they are."""
        place = self.file.with_name(self.file.name + ".contradiction.json")
        self._write(place, json.dumps({"before": before, "now": now}, ensure_ascii=False, indent=2))
        return place

    def _write(self, place: Path, text: str) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_name(f".{place.name}.{os.getpid()}")
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
        durable.flush(place.parent)
