"""What waits for a batch, by whose it is: one of each in turn, so that nobody waits behind another's thousand."""

from collections import deque
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


class FairQueue(Generic[Thing]):
    """First come, first served in each line; among lines, one of each in turn."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[Thing]] = {}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, who: str, thing: Thing) -> None:
        """Put it at the end of the line of `who`."""
        self._lines.setdefault(who, deque()).append(thing)
        self._length += 1

    def take(self, most: int) -> list[Thing]:
        """What is next, at most so many."""
        taken: list[Thing] = []
        while self._lines and len(taken) < most:
            who = next(iter(self._lines))
            line = self._lines.pop(who)
            taken.append(line.popleft())
            if line:
                self._lines[who] = line  # behind the others
        self._length -= len(taken)
        return taken
