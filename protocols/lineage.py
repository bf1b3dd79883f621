"""The origins that one log has had: a log whose database was set back goes on under a new one, and proves from where.

Each change is an entry `continued`, which holds the old origin's last checkpoint that stands. The tree is one all
along: what an earlier origin signed of more entries is lost, and nothing else is ever signed under that origin.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from keys import checkpoint as notes
from keys.checkpoint import Checkpoint
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import receipt
from protocols.entries import Continued
from protocols.receipt import LogProof, Proven


class LineageInvalid(Fault):
    """The hub does not prove that its log goes on from the one known before."""

    code: ClassVar[str] = "lineage-invalid"


class Earlier(msgspec.Struct, frozen=True):
    """An origin that the log had, and the proof of the entry `continued` that ended it."""

    origin: str
    log: LogProof


@dataclass(frozen=True, slots=True)
class Lineage:
    """The log's origin now; of each earlier one, how many of the entries that it signed stand."""

    origin: str
    ends: Mapping[str, int] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The mailbox epoch."""
        return len(self.ends)

    def stands(self, proven: Proven) -> bool:
        """Whether what was proven then is in the log still: not for what was lost, and not for another log."""
        origin = proven.checkpoint.origin
        return origin == self.origin or proven.index < self.ends.get(origin, 0)

    def signed(self, checkpoint: Checkpoint) -> bool:
        """Whether this log, as it is now, has the checkpoint among its own."""
        return checkpoint.origin == self.origin or checkpoint.size <= self.ends.get(checkpoint.origin, -1)

    def knows(self, origin: str) -> bool:
        """Whether the origin is the log's, or was."""
        return origin == self.origin or origin in self.ends


def verify(origin: str, earlier: Sequence[Earlier], keys: Sequence[VerifyingKey]) -> Lineage:
    """The lineage of the log that has `origin` now; `earlier` are those before, the oldest first.

    Raises LineageInvalid unless the log, signed with one of `keys`, proves each change.
    """
    later = [one.origin for one in earlier[1:]] + [origin]
    ends: dict[str, int] = {}
    for epoch, (one, following) in enumerate(zip(earlier, later, strict=False), 1):
        try:
            proven = receipt.verify_log(one.log, keys, origin=origin)
            entry = proven.entry
            if not isinstance(entry, Continued) or (entry.origin, entry.epoch) != (following, epoch):
                raise LineageInvalid(f"nothing in the log says that {following} goes on from {one.origin}")
            if notes.verify_checkpoint(entry.was, keys, one.origin).size != proven.index:
                raise LineageInvalid(f"the log does not begin under {following} where {one.origin} ends")
        except LineageInvalid:
            raise
        except Fault as fault:
            raise LineageInvalid(f"{following}: {fault.detail}") from None
        ends[one.origin] = proven.index
    return Lineage(origin, ends)
