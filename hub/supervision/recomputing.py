"""Published figures held against the log: every entry is read, the signed root made, and each case worked out again."""

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest
from typing import Any

import msgspec

from hub.bulletins import issuing
from hub.bulletins.figures import Period
from hub.bulletins.history import BETWEEN_PARTIES, History
from hub.errors import NotFound
from hub.intake import own
from hub.store import Connection
from hub.store.queries import SQL
from hub.supervision.figures import contributions, figures
from keys import checkpoint, merkle
from keys.jwk import VerifyingKey
from keys.tiles import Edge
from protocols import entries
from protocols.course import Facts
from protocols.loading import Catalogue
from protocols.recomputing import Recomputation, Recomputed, opened_between
from protocols.scorecard import Asked, By

PAGE = 2_000
Progress = Callable[[int, int], None]


async def recompute(
    connection: Connection, key: VerifyingKey, catalogue: Catalogue, asked: Asked, by: By, progress: Progress
) -> Recomputed:
    """Work the figures asked for out again from the log's entries and nothing else, in one snapshot.

    `key` is the hub's public key, which must have signed the root that the entries make.
    """
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        at = await connection.fetchval("SELECT now()")
        everybody = [row["id"] for row in await connection.fetch(SQL["organisations"], -1)]
        published = await figures(connection, asked, by, everybody, at)
        stored = await _stored(connection, asked, everybody)
        redone = Recomputation(catalogue, opened_between(asked.first, asked.last))
        read = await _replayed(connection, key, redone, published.through, progress)
    return redone.against(published, stored, *read)


class Item(msgspec.Struct, frozen=True):
    """A figure of a bulletin: what it said, and what the log comes to; the same where both are."""

    published: Mapping[str, Any] | None
    recomputed: Mapping[str, Any] | None

    @property
    def holds(self) -> bool:
        """Whether the log says the same."""
        return self.published == self.recomputed


@dataclass(frozen=True, slots=True)
class Bulletin:
    """A bulletin's figures, each with its cases, beside what the log comes to; `rooted` as for other figures."""

    case: str
    type: str
    data: Mapping[str, Any]
    items: Sequence[Item]
    entries: int
    rooted: bool

    @property
    def holds(self) -> bool:
        """Whether the log is whole and says every figure."""
        return self.rooted and all(item.holds for item in self.items)


async def recompute_bulletin(
    connection: Connection, key: VerifyingKey, catalogue: Catalogue, case: str, progress: Progress
) -> Bulletin:
    """Work the figures of a bulletin out again by the entries that it names, whoever issued it. Raises NotFound."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        said = [event for event in await own.said(connection, case) if "items" in event.data and "log" in event.data]
        kinds = {event.type.partition(".")[0] for event in said}
        if not said or not kinds <= issuing.FIGURES.keys():
            raise NotFound(f"{case} is no bulletin that this hub computed")
        last = said[-1]
        sides = set(last.data["between"])
        redone = Recomputation(catalogue, lambda entry: not sides.isdisjoint({entry.source, *entry.recipients}))
        read = await _replayed(connection, key, redone, last.data["log"]["size"], progress)
    (kind,) = kinds
    days = (date.fromisoformat(last.data["period"][end]) for end in ("from", "to"))
    items = issuing.FIGURES[kind](_histories(redone, sides), last.data["between"], Period(*days))
    pairs = zip_longest(last.data["items"], items)
    return Bulletin(case, last.type, last.data, [Item(*pair) for pair in pairs], *read)


def _histories(redone: Recomputation, sides: Set[str]) -> list[History]:
    found = []
    for id, course in sorted(redone.courses().items()):
        facts = course.facts(redone.calendar)
        if facts is None or facts.protocol not in BETWEEN_PARTIES or {facts.opener, facts.responder} != sides:
            continue
        days = facts.acknowledged_on, facts.acknowledge_by
        found.append(History(id, course.flow, facts.opener, facts.responder, course.steps, *days))
    return found


async def _replayed(
    connection: Connection, key: VerifyingKey, redone: Recomputation, through: int, progress: Progress
) -> tuple[int, bool]:
    """Every entry read, those before `through` taken; how many there are, and whether they make the signed root."""
    head = await connection.fetchrow(SQL["head"])
    assert head is not None
    tree = Edge.empty()
    for first in range(0, head["size"], PAGE):
        page = await connection.fetch(SQL["entries_between"], first, min(first + PAGE, head["size"]))
        tree.append(merkle.leaf_hash(row["leaf"]) for row in page)
        tree.forget()
        for row in page:
            if row["index"] < through:
                redone.take(row["index"], entries.decode(row["leaf"]))
        progress(min(first + PAGE, head["size"]), head["size"])
    signed = checkpoint.verify_checkpoint(head["note"], [key], head["origin"])
    return head["size"], (tree.size, tree.root()) == (signed.size, signed.root)


async def _stored(connection: Connection, asked: Asked, sight: list[str]) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    after = None
    while True:
        page = await contributions(connection, asked, sight, after, PAGE)
        found |= {one.case: one.facts for one in page.items}
        if page.next is None:
            return found
        after = page.next
