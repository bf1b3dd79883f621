"""What a reader of bytes from outside promises, and the probe that holds it to that with one input."""

import base64
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CORPUS: Final = Path(__file__).parent / "corpus"
"""Inputs kept for good, in base64, one a line, a file a target: found by coverage, or once a finding."""
LONGEST_KEPT: Final = 4 << 10


@dataclass(frozen=True)
class Target:
    """A reader of bytes: `refusals` are all that it may raise, within so many seconds of processor time an input.

    `seeds` makes inputs that it takes, which lead a fuzzer past the first check; `words` are pieces of its language.
    """

    name: str
    read: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...]
    seeds: Callable[[], Sequence[bytes]]
    words: tuple[bytes, ...] = ()
    seconds: float = 2.0
    largest: int = 1 << 16
    """Longest input that a fuzzer makes, in bytes."""

    def kept(self) -> list[bytes]:
        """The kept corpus."""
        file = CORPUS / f"{self.name}.txt"
        return [base64.b64decode(line) for line in file.read_text("ascii").split()] if file.exists() else []

    def keep(self, inputs: Iterable[bytes]) -> None:
        """Add inputs to the kept corpus, those that are not too long."""
        kept = {*self.kept(), *(data for data in inputs if len(data) <= LONGEST_KEPT)} - {b""}
        lines = [base64.b64encode(data).decode("ascii") for data in sorted(kept, key=lambda data: (len(data), data))]
        (CORPUS / f"{self.name}.txt").write_text("".join(f"{line}\n" for line in lines), "ascii")


class Finding(Exception):
    """A reader broke its promise."""

    def __init__(self, target: Target, data: bytes, what: str) -> None:
        super().__init__(f"{target.name}: {what}, on {len(data)} bytes: {data[:200]!r}")
        self.what = what


def probe(target: Target, data: bytes) -> bool:
    """Whether the target takes `data`. Raises Finding for an exception that is no refusal, and for a slow answer."""
    began = time.process_time()
    try:
        target.read(data)
        taken = True
    except target.refusals:
        taken = False
    except Exception as error:
        raise Finding(target, data, f"raised {type(error).__name__}: {error}") from error
    took = time.process_time() - began
    if took > target.seconds:
        raise Finding(target, data, f"took {took:.1f} s, more than {target.seconds} s")
    return taken


def resident() -> int:
    """Bytes of memory that this process holds now (proc(5), statm)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096
