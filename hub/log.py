"""The transparency log as stored: head, right edge, tiles, and the proofs worked out from them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hub.store import Connection
from hub.store.queries import SQL
from keys import merkle
from keys.tiles import TILE_WIDTH, Edge, inner_node, partial_widths, tile_of_node
from protocols.receipt import LogProof, log_proof

Node = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Placed:
    """Where an entry stands, and under which tree size it is to be proven."""

    index: int
    tree_size: int


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


async def prove(connection: Connection, origin: str, places: Sequence[Placed]) -> list[LogProof]:
    """The proof of each entry under its own tree size, from entries, tiles and checkpoints as stored."""
    wanted = {node for p in places for node in merkle.inclusion_nodes(p.index, p.tree_size)}
    nodes = await read_nodes(connection, wanted)
    leaves = {
        row["index"]: row["leaf"] for row in await connection.fetch(SQL["entries"], list({p.index for p in places}))
    }
    by_size: dict[int, list[int]] = {}
    for place in places:
        by_size.setdefault(place.tree_size, []).append(place.index)
    notes = {row["size"]: row["note"] for row in await connection.fetch(SQL["checkpoints"], list(by_size))}
    paths: dict[Placed, list[bytes]] = {}
    for size, indexes in by_size.items():
        found = merkle.inclusion_proofs(indexes, size, lambda level, at: nodes[level, at])
        paths.update((Placed(index, size), path) for index, path in zip(indexes, found, strict=True))
    return [
        log_proof(origin, place.index, leaves[place.index], paths[place], notes[place.tree_size]) for place in places
    ]


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
