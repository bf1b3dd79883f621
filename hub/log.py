"""The transparency log as stored: head, right edge, tiles, and the proofs worked out from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from hub.store import Connection
from hub.store.queries import SQL
from keys import merkle
from keys.checkpoint import note_origin
from keys.tiles import TILE_WIDTH, Edge, inner_node, partial_widths, tile_of_node
from protocols.lineage import Earlier
from protocols.receipt import LogProof, log_proof

Node = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an entry stands, and under which tree size it is to be proven."""

    index: int
    tree_size: int


class Proven(NamedTuple):
    """An entry's bytes and their proof."""

    leaf: bytes
    proof: LogProof


async def load_edge(connection: Connection, size: int) -> Edge:
    """The right edge of the stored tree of `size` leaves."""
    partial: list[list[bytes]] = []
    for level, width in enumerate(partial_widths(size)):
        last = size >> (8 * level)
        first = last - width
        if level == 0:
            rows = await connection.fetch(SQL["entries_between"], first, last)
            partial.append([merkle.leaf_hash(row["leaf"]) for row in rows])
        else:
            rows = await connection.fetch(SQL["tile_roots"], level - 1, first, last)
            partial.append([row["root"] for row in rows])
    return Edge.load(size, partial)


async def prove(connection: Connection, places: Sequence[Placed]) -> list[Proven]:
    """Each entry with its proof under its own tree size and the origin of then, from what is stored."""
    by_size: dict[int, list[int]] = {}
    for place in places:
        by_size.setdefault(place.tree_size, []).append(place.index)
    plans = {size: merkle.Inclusion(indexes, size) for size, indexes in by_size.items()}
    nodes = await read_nodes(connection, {node for plan in plans.values() for node in plan.nodes()})
    rows = await connection.fetch(SQL["entries"], list({p.index for p in places}))
    leaves = {row["index"]: row["leaf"] for row in rows}
    notes = {row["size"]: row["note"] for row in await connection.fetch(SQL["checkpoints"], list(by_size))}
    found: dict[tuple[int, int], Proven] = {}
    for size, plan in plans.items():
        for index, path in zip(by_size[size], plan.proofs(nodes), strict=True):
            leaf = leaves[index]
            found[index, size] = Proven(leaf, log_proof(note_origin(notes[size]), index, leaf, path, notes[size]))
    return [found[place.index, place.tree_size] for place in places]


async def lineage(connection: Connection) -> tuple[str, list[Earlier]]:
    """The log's origin, and those before it, the oldest first, each with the proof of the entry that ended it."""
    head = await connection.fetchrow(SQL["head"])
    assert head is not None
    rows = await connection.fetch(SQL["origins"])
    proven = await prove(connection, [Placed(row["since"], head["size"]) for row in rows[1:]])
    earlier = [Earlier(row["origin"], one.proof) for row, one in zip(rows, proven, strict=False)]
    return head["origin"], earlier


async def read_nodes(connection: Connection, wanted: Iterable[Node]) -> dict[Node, bytes]:
    """The hashes of complete subtrees, from stored tiles or, at the right edge, from what lies below."""
    by_tile: dict[tuple[int, int], list[Node]] = {}
    for level, index in wanted:
        place = tile_of_node(level, index)
        by_tile.setdefault((place.tile_level, place.tile_index), []).append((level, index))
    found: dict[Node, bytes] = {}
    for (tile_level, tile_index), inside in by_tile.items():
        hashes = await tile_hashes(connection, tile_level, tile_index)
        for level, index in inside:
            place = tile_of_node(level, index)
            found[level, index] = inner_node(hashes, place.row, place.position)
    return found


async def tile_hashes(connection: Connection, level: int, index: int) -> bytes:
    """The hashes of a tile as far as it is filled, empty where there is none."""
    stored = await connection.fetchval(SQL["tile"], level, index)
    if stored is not None:
        return bytes(stored)
    first = index * TILE_WIDTH
    if level == 0:
        rows = await connection.fetch(SQL["entries_between"], first, first + TILE_WIDTH)
        return b"".join(merkle.leaf_hash(row["leaf"]) for row in rows)
    rows = await connection.fetch(SQL["tile_roots"], level - 1, first, first + TILE_WIDTH)
    return b"".join(row["root"] for row in rows)
