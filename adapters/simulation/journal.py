"""What a play did, line by line: enough to go on after an interruption, and to be measured afterwards."""

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec


class Clock(msgspec.Struct, frozen=True, tag="clock"):
    """From this real moment on simulated time runs on from there, `speed` times as fast (seconds since the epoch).

    It never ran further than to the next such line; `held` are the real seconds for which it stood still before this
    one, because hub and partners did not keep up.
    """

    real: float
    simulated: float
    speed: float
    held: float = 0.0


class Taken(msgspec.Struct, frozen=True, tag="taken"):
    """A step of a case that the hub has taken: when, by its receipt; the bytes of the message.

    `took` are the seconds until its receipt was there, 0 for all but the first message of a request.
    """

    case: str
    step: int
    accepted: float
    size: int
    took: float


class Read(msgspec.Struct, frozen=True, tag="read"):
    """A mailbox that was read and signed for: as planned for `at`, really at `real`; how many messages, how far.

    `files` are the bytes of each file that was fetched with it.
    """

    organisation: str
    at: float
    real: float
    items: int
    position: int
    files: list[int] = []


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A message that the hub did not take, with the code of its problem: the case is not gone on with."""

    case: str
    step: int
    reason: str


Line = Clock | Taken | Read | Refused


class Journal:
    """The file, appended to line by line. Use as a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> "Journal":
        self._file = open(self.path, "a+b")
        self._file.truncate(_whole(self._file))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def note(self, line: Line) -> None:
        """Append a line, and hand it to the system at once."""
        assert self._file is not None
        self._file.write(msgspec.json.encode(line) + b"\n")
        self._file.flush()

    def lines(self) -> Iterator[Line]:
        """Everything that was noted; a line that was not finished is passed over."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return
        for line in content.splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield msgspec.json.decode(line, type=Line)


def _whole(file: BinaryIO) -> int:
    """How long the file is without a last line that was not finished."""
    file.seek(0)
    return file.read().rfind(b"\n") + 1
