"""The Merkle tree recomputed: every leaf, every tile, every checkpoint ever handed out, the head."""

from typing import Any

from hub.audit.page import Page
from hub.store import Connection
from hub.store.queries import SQL
from keys import checkpoint, merkle
from keys.errors import Fault
from keys.jwk import VerifyingKey
from keys.tiles import Edge, Tile
from protocols.entries import Continued
from protocols.epochs import base


class Tree:
    """Grows the tree leaf by leaf and compares on the way."""

    def __init__(self, head: Any, key: VerifyingKey) -> None:
        self._head, self._key = head, key
        self._edge = Edge.empty()
        self._tiles = 0
        self._checkpoints = 0
        self._latest = ""
        self._origin: str | None = None
        """Under which the log signs as of the entry last seen; the first one is what the first checkpoint says."""
        self._epoch = 0

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """Tiles and checkpoints that this stretch completes; acceptance never goes back in time."""
        found: list[str] = []
        notes = {
            row["size"]: row["note"] for row in await connection.fetch(SQL["checkpoints_between"], page.first, page.end)
        }
        tiles: list[Tile] = []
        for index in range(page.first, page.end):
            entry = page.entries.get(index)
            if isinstance(entry, Continued):
                found += self._continued(index, entry)
            tiles += self._edge.append([merkle.leaf_hash(page.leaves.get(index, b""))])
            if self._edge.size in notes:
                found += self._checkpoint(notes[self._edge.size], self._edge.size, self._edge.root())
            if entry is not None and entry.at < self._latest:
                found.append(f"entry {index} is older than the one before it")
            self._latest = entry.at if entry is not None else self._latest
        self._edge.forget()
        self._checkpoints += len(notes)
        self._tiles += len(tiles)
        for tile in tiles:
            row = await connection.fetchrow(SQL["stored_tile"], tile.level, tile.index)
            if row is None or (row["hashes"], row["root"]) != (tile.hashes, tile.root):
                found.append(f"tile {tile.level}/{tile.index} does not fit the entries")
        return found

    async def finish(self, connection: Connection) -> list[str]:
        """The head, and that nothing is stored beyond it."""
        found: list[str] = []
        head, size = self._head, self._edge.size
        root = self._root()
        if (head["size"], head["root"]) != (size, root):
            found.append(f"the log's head does not fit its {size} entries")
        if (self._head["origin"], self._head["epoch_base"]) != (
            self._origin or self._head["origin"],
            base(self._epoch),
        ):
            found.append("the log's origin and epoch are not those that its entries say")
        found += self._checkpoint(head["note"], size, root)
        totals = await connection.fetchrow(SQL["log_totals"])
        assert totals is not None
        for name, expected in (("entries", size), ("tiles", self._tiles), ("checkpoints", self._checkpoints)):
            if totals[name] != expected:
                found.append(f"{totals[name]} {name} are stored where the log has {expected}")
        return found

    def _checkpoint(self, note: str, size: int, root: bytes) -> list[str]:
        try:
            signed = checkpoint.verify_checkpoint(note, [self._key], self._origin)
        except Fault as fault:
            return [f"checkpoint {size}: {fault.detail}"]
        self._origin = signed.origin
        return [] if (signed.size, signed.root) == (size, root) else [f"checkpoint {size} does not fit the entries"]

    def _continued(self, index: int, entry: Continued) -> list[str]:
        """The log goes on under another origin from the very checkpoint that the old one ended with."""
        found = self._checkpoint(entry.was, index, self._root())
        self._origin, self._epoch = entry.origin, self._epoch + 1
        if entry.epoch != self._epoch:
            found.append(f"entry {index}: epoch {entry.epoch} follows {self._epoch - 1}")
        return [f"entry {index}: {one}" for one in found]

    def _root(self) -> bytes:
        return self._edge.root() if self._edge.size else merkle.EMPTY_ROOT
