"""Following a log over HTTP: every new checkpoint must be the old tree grown, shown by hashes from the log's tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import aiohttp

from adapters.witness.memory import Memory, Remembered
from adapters.witness.reading import TIMEOUT, Reader
from keys import checkpoint, cosignature, merkle
from keys.checkpoint import Checkpoint
from keys.errors import BadCheckpoint, Fault
from keys.jwk import SigningKey, VerifyingKey
from protocols.lineage import LineageInvalid


class LogRewritten(Fault):
    """The log shows a history that contradicts what it showed before: both signed checkpoints are kept as evidence."""

    code: ClassVar[str] = "log-rewritten"


class LogSetBack(Fault):
    """The log was set back, as it says, and lost what was cosigned: nothing is signed until that is accepted."""

    code: ClassVar[str] = "log-set-back"


@dataclass(frozen=True, slots=True)
class Seen:
    """A checkpoint that was verified: how large the log is, whether it grew, and the cosignature over it."""

    size: int
    grown: bool
    cosignature: str


@dataclass(frozen=True, slots=True)
class Follower:
    """One witness of one log: its name and key, the log's address and keys, and what it remembers."""

    name: str
    key: SigningKey
    hub: str
    log_keys: Sequence[VerifyingKey]
    memory: Memory
    accepted: str | None = None
    """An origin that the log may go on under although it lost entries that were cosigned."""

    async def look(self, session: aiohttp.ClientSession) -> Seen:
        """Read the newest checkpoint, hold it against what is remembered, sign it, and hand the hub the cosignature.

        What is remembered is on disk before the signature leaves. Raises LogRewritten, BadCheckpoint (not signed by
        the log), LogUnreachable; then nothing is signed.
        """
        reader = Reader(self.hub, session)
        note = await reader.checkpoint()
        remembered = self.memory.load()
        head = checkpoint.verify_checkpoint(note, self.log_keys)
        if remembered is not None and head.origin != remembered.origin:
            remembered = await self._continued(reader, head, note, remembered)
        if remembered is None or head.size != remembered.size:
            await self._hold(reader, head, note, remembered)
        elif head.root != remembered.root:
            self._rewritten(remembered, note, "two roots for one size")
        self.memory.keep(Remembered(head.origin, head.size, head.root, note))
        line = cosignature.cosign(note, self.name, self.key, datetime.now(UTC))
        await self._hand_over(session, note, line)
        return Seen(head.size, remembered is not None and head.size > remembered.size, line)

    async def _continued(
        self, reader: Reader, head: Checkpoint, note: str, remembered: Remembered
    ) -> Remembered | None:
        """What the log under its new origin is held against: what was remembered, where all of that is in it still.

        Raises LineageInvalid where it does not prove that it goes on from there; LogSetBack where it lost what was
        cosigned, unless that was accepted: then it is a log never seen before.
        """
        known = await reader.lineage(self.log_keys)
        ends = known.ends.get(remembered.origin)
        if known.origin != head.origin or ends is None:
            raise LineageInvalid(f"{head.origin} does not say that it goes on from {remembered.origin}")
        if remembered.size <= ends:
            return remembered
        if head.origin == self.accepted:
            return None
        where = self.memory.accuse(remembered.note, note)
        raise LogSetBack(
            f"{head.origin} goes on from {ends} entries of {remembered.origin}, where {remembered.size} were cosigned;"
            f" both signed checkpoints are in {where}",
            evidence=str(where),
            origin=head.origin,
        )

    async def _hold(self, reader: Reader, head: Checkpoint, note: str, remembered: Remembered | None) -> None:
        """The new tree's own hashes make its root, and the remembered one's: it is the same log, grown."""
        if remembered is not None and head.size < remembered.size:
            self._rewritten(remembered, note, f"the log shrank from {remembered.size} to {head.size}")
        old = remembered.size if remembered else 0
        wanted = {*merkle.root_nodes(head.size), *merkle.root_nodes(old)}
        wanted |= set(merkle.consistency_nodes(old, head.size)) if 0 < old < head.size else set()
        hashes = await reader.nodes(wanted, head.size)
        if merkle.root(head.size, lambda level, index: hashes[level, index]) != head.root:
            raise BadCheckpoint("the log's tiles do not make the root of its checkpoint", size=head.size)
        if remembered is None or not old > 0:
            return
        proof = merkle.consistency_proof(old, head.size, lambda level, index: hashes[level, index])
        try:
            merkle.verify_consistency(old, head.size, proof, remembered.root, head.root)
        except Fault:
            self._rewritten(remembered, note, f"the first {old} entries are not what they were")

    def _rewritten(self, remembered: Remembered, note: str, why: str) -> None:
        where = self.memory.accuse(remembered.note, note)
        raise LogRewritten(f"{remembered.origin}: {why}; both signed checkpoints are in {where}", evidence=str(where))

    async def _hand_over(self, session: aiohttp.ClientSession, note: str, line: str) -> None:
        """Give the hub the cosignature; one that takes none is no reason to stop looking."""
        try:
            url = self.hub.rstrip("/") + "/log/cosignatures"
            async with session.post(url, data=(note + line).encode(), timeout=TIMEOUT) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            return
