"""The board: what the bureaus report as they work, counted, waited for and shown while it happens."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from adapters.client import Sent
from protocols import entries, receipt
from protocols.entries import Accepted

WINDOW = 3.0
"""Seconds over which messages per second are counted."""


class Board:
    """Counts of this run. `receipts` holds every receipt that was handed out, in the order of arrival."""

    def __init__(self, cases: int) -> None:
        self.cases = cases
        self.receipts: list[Sent] = []
        self.opened: set[str] = set()
        self._answered: set[str] = set()
        self.ended: dict[str, str] = {}
        self._read: dict[str, int] = {}
        self._given: dict[str, int] = {}
        self._moments: deque[float] = deque()
        self._changed = asyncio.Condition()

    @property
    def answered(self) -> set[str]:
        """The cases of this run that were answered or declined."""
        return self._answered & self.opened

    @property
    def carried_on(self) -> set[str]:
        """Cases of an earlier run, which was interrupted, that something was sent in."""
        return {sent.case for sent in self.receipts} - self.opened

    async def sent(self, sent: Sent) -> None:
        """A bureau has a receipt for this message."""
        self.receipts.append(sent)
        self._moments.append(time.monotonic())
        for recipient, position in entry_of(sent).recipients.items():
            self._given[recipient] = max(position, self._given.get(recipient, 0))
        await self._notify()

    async def case(self, id: str, *, opened: bool = False, answered: bool = False, state: str | None = None) -> None:
        """A case was opened, answered (or declined), or one of this run has ended in `state`."""
        if opened:
            self.opened.add(id)
        if answered:
            self._answered.add(id)
        if state is not None:
            self.ended[id] = state
        await self._notify()

    async def read(self, organisation: str, position: int) -> None:
        """A bureau has dealt with its mailbox up to `position`."""
        self._read[organisation] = position
        await self._notify()

    async def until(self, holds: Callable[["Board"], bool]) -> None:
        """Return once `holds`."""
        async with self._changed:
            await self._changed.wait_for(lambda: holds(self))

    def everything_done(self) -> bool:
        """Every case has ended and every message has been read."""
        unread = (name for name, position in self._given.items() if self._read.get(name, 0) < position)
        return len(self.ended) == self.cases and next(unread, None) is None

    def rate(self) -> float:
        """Messages a second, over the last seconds."""
        since = time.monotonic() - WINDOW
        while self._moments and self._moments[0] < since:
            self._moments.popleft()
        return len(self._moments) / WINDOW

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


def entry_of(sent: Sent) -> Accepted:
    """What the log says of a message whose receipt was verified."""
    entry = entries.decode(receipt.leaf(sent.receipt.log))
    assert isinstance(entry, Accepted)
    return entry
