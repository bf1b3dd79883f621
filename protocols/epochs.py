"""Mailbox epochs: a hub whose database was set back numbers on where nobody can have a cursor yet.

Positions of epoch *e* are those above *e* · 2^40. So a position is never given out twice, whatever was lost, and a
cursor of an earlier epoch still has all of the new one before it. Every position is below 2^53, which JSON keeps exact.
"""

from collections.abc import Iterable

SIZE = 1 << 40
"""Positions in one epoch."""


def epoch(position: int) -> int:
    """The epoch that a position, or a cursor after it, belongs to; 0 is the first."""
    return position // SIZE


def base(number: int) -> int:
    """The position before the first of an epoch."""
    return number * SIZE


def follows(position: int, before: int) -> bool:
    """Whether `position` is the next after `before`: one more, or the first of a later epoch."""
    return position == before + 1 or (position > before and position % SIZE == 1)


def in_order(positions: Iterable[int], after: int) -> bool:
    """Whether positions follow each other, and the first one `after`, without a gap inside an epoch."""
    for position in positions:
        if not follows(position, after):
            return False
        after = position
    return True
