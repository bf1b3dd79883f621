"""Published figures held against the log: every entry is read, the signed root made, and each case worked out again."""

from collections.abc import Callable

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
        head = await connection.fetchrow(SQL["head"])
        assert head is not None
        everybody = [row["id"] for row in await connection.fetch(SQL["organisations"])]
        published = await figures(connection, asked, by, everybody, at)
        stored = await _stored(connection, asked, everybody)
        redone, tree = Recomputation(catalogue, opened_between(asked.first, asked.last)), Edge.empty()
        for first in range(0, head["size"], PAGE):
            page = await connection.fetch(SQL["entries_between"], first, min(first + PAGE, head["size"]))
            tree.append(merkle.leaf_hash(row["leaf"]) for row in page)
            tree.forget()
            for row in page:
                if row["index"] < published.through:
                    redone.take(row["index"], entries.decode(row["leaf"]))
            progress(min(first + PAGE, head["size"]), head["size"])
        signed = checkpoint.verify_checkpoint(head["note"], [key], head["origin"])
    rooted = (tree.size, tree.root()) == (signed.size, signed.root)
    return redone.against(published, stored, head["size"], rooted)


async def _stored(connection: Connection, asked: Asked, sight: list[str]) -> dict[str, Facts]:
    found: dict[str, Facts] = {}
    after = None
    while True:
        page = await contributions(connection, asked, sight, after, PAGE)
        found |= {one.case: one.facts for one in page.items}
        if page.next is None:
            return found
        after = page.next
