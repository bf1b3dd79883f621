"""The log as tiles (C2SP tlog-tiles): paths, entry bundles, nodes within a tile, and the growing edge of the tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from typing import Final, NamedTuple

from keys import merkle
from keys.merkle import HASH_SIZE, node_hash

TILE_HEIGHT: Final = 8
TILE_WIDTH: Final = 1 << TILE_HEIGHT
MAX_LEVEL: Final = 63
ENTRIES: Final = -1
"""Stands for the level of an entry bundle in paths."""
MAX_ENTRY: Final = 0xFFFF
"""Longest entry, in bytes."""

_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/){0,6}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?\Z"
)

Rows = list[list[bytes]]
"""Row k of a tile holds its complete nodes k levels above the tile's own hashes."""


@dataclass(frozen=True, slots=True)
class TilePath:
    """Which tile a path names; `width` is 256 for a full one, `level` is ENTRIES for an entry bundle."""

    level: int
    index: int
    width: int


class TileNode(NamedTuple):
    """Where a node is found: in which tile, how many rows above the tile's hashes, and where in that row."""

    tile_level: int
    tile_index: int
    row: int
    position: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A complete tile: 256 hashes in one string of 8,192 bytes, and the root over them."""

    level: int
    index: int
    hashes: bytes
    root: bytes


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """The path of a tile, below the log's prefix. Raises ValueError for what no path can name."""
    if not (ENTRIES <= level <= MAX_LEVEL and index >= 0 and 1 <= width <= TILE_WIDTH):
        raise ValueError("no such tile")
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.append(f"x{index % 1000:03d}")
    name = "entries" if level == ENTRIES else str(level)
    suffix = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{name}/{'/'.join(reversed(groups))}{suffix}"


def parse_tile_path(path: str) -> TilePath:
    """What a path names. Raises ValueError unless it is exactly as `tile_path` writes it."""
    match = _PATH.match(path)
    if match is None:
        raise ValueError("not a tile path")
    level = ENTRIES if match["level"] == "entries" else int(match["level"])
    index = int(match["index"].replace("x", "").replace("/", ""))
    parsed = TilePath(level, index, int(match["width"] or TILE_WIDTH))
    if tile_path(parsed.level, parsed.index, parsed.width) != path:
        raise ValueError("not a tile path in its canonical form")
    return parsed


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """The entries, each behind its length as two bytes, big-endian. Raises ValueError for one over 65,535 bytes."""
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY:
            raise ValueError("an entry has at most 65,535 bytes")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def parse_bundle(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises ValueError when it is cut short or holds more than 256."""
    entries: list[bytes] = []
    offset = 0
    while offset < len(data):
        begin = offset + 2
        offset = begin + int.from_bytes(data[offset:begin], "big")
        if begin > len(data) or offset > len(data):
            raise ValueError("the bundle is cut short")
        entries.append(data[begin:offset])
    if len(entries) > TILE_WIDTH:
        raise ValueError("a bundle holds at most 256 entries")
    return entries


def tile_of_node(level: int, index: int) -> TileNode:
    """Where the node (level, index) of the tree is found."""
    tile_level, row = divmod(level, TILE_HEIGHT)
    height = TILE_HEIGHT - row
    return TileNode(tile_level, index >> height, row, index & ((1 << height) - 1))


def inner_node(hashes: bytes, row: int, position: int) -> bytes:
    """The node in a row of a tile, from the tile's bytes, full or partial; row 8 is the tile's root.

    Raises ValueError when the tile has no such complete node.
    """
    if not 0 <= row <= TILE_HEIGHT or position < 0:
        raise ValueError("no tile has such a node")
    nodes = _inner_nodes(hashes)[row]
    if position >= len(nodes):
        raise ValueError("the tile has no such complete node")
    return nodes[position]


@lru_cache(maxsize=256)
def _inner_nodes(hashes: bytes) -> Rows:
    """All complete nodes of a tile by row, the root of a full one in row 8; some 20 kB a tile."""
    rows: Rows = [*_empty_rows(), []]
    _extend(rows, _split(hashes))
    return rows


def partial_widths(size: int) -> list[int]:
    """How many hashes the incomplete tile has at each tile level, the lowest first, for a tree of `size` leaves.

    Raises ValueError for a negative size.
    """
    if size < 0:
        raise ValueError("a tree has no negative size")
    widths = []
    while size:
        widths.append(size % TILE_WIDTH)
        size //= TILE_WIDTH
    return widths


def _split(hashes: bytes) -> list[bytes]:
    return [hashes[at : at + HASH_SIZE] for at in range(0, len(hashes), HASH_SIZE)]


def _parents(nodes: Sequence[bytes]) -> list[bytes]:
    pairs = zip(nodes[0::2], nodes[1::2], strict=False)
    return [sha256(b"\x01" + left + right).digest() for left, right in pairs]


def _empty_rows() -> Rows:
    return [[] for _ in range(TILE_HEIGHT)]


def _extend(rows: Rows, hashes: Sequence[bytes]) -> None:
    """Puts hashes into the lowest row and completes what becomes complete above; at most up to a full tile."""
    rows[0].extend(hashes)
    for below, row in pairwise(rows):
        new = _parents(below[2 * len(row) :])
        if not new:
            return
        row.extend(new)


class Edge:
    """The right edge of a growing tree: the incomplete tile of each tile level, with its inner complete nodes.

    Tiles completed since `load` (or `forget`) stay at hand too, so that proofs for what was just appended need
    no storage. Appending costs one node hash a leaf, amortised.
    """

    __slots__ = ("_completed", "_levels", "_size")

    def __init__(self, size: int, levels: list[Rows], completed: dict[tuple[int, int], Rows]) -> None:
        self._size = size
        self._levels = levels
        self._completed = completed

    @classmethod
    def empty(cls) -> Edge:
        """The edge of the empty tree."""
        return cls(0, [], {})

    @classmethod
    def load(cls, size: int, partial: Sequence[Sequence[bytes]]) -> Edge:
        """The edge of a stored tree: the hashes of the incomplete tile at each tile level, the lowest first.

        Levels without hashes may be left out at the end. Raises ValueError when the numbers do not fit `size`.
        """
        widths = partial_widths(size)
        given = [len(hashes) for hashes in partial]
        if given + [0] * (len(widths) - len(given)) != widths + [0] * (len(given) - len(widths)):
            raise ValueError("the partial tiles do not fit the size of the tree")
        levels: list[Rows] = []
        for level in range(len(widths)):
            hashes = list(partial[level]) if level < len(partial) else []
            if any(len(item) != HASH_SIZE for item in hashes):
                raise ValueError("a tile is made of hashes of 32 bytes")
            rows = _empty_rows()
            _extend(rows, hashes)
            levels.append(rows)
        return cls(size, levels, {})

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def copy(self) -> Edge:
        """An edge that grows on its own; completed tiles, which never change, are shared."""
        return Edge(self._size, [[row[:] for row in rows] for rows in self._levels], self._completed.copy())

    def append(self, leaf_hashes: Iterable[bytes]) -> list[Tile]:
        """Appends leaves; gives the tiles they complete, in the order of completion. Raises ValueError."""
        leaves = list(leaf_hashes)
        if any(len(leaf) != HASH_SIZE for leaf in leaves):
            raise ValueError("a leaf hash has 32 bytes")
        tiles: list[Tile] = []
        at = 0
        while at < len(leaves):
            room = TILE_WIDTH - self._size % TILE_WIDTH
            chunk = leaves[at : at + room]
            at += len(chunk)
            self._size += len(chunk)
            self._push(0, chunk, tiles)
        return tiles

    def _push(self, level: int, hashes: Sequence[bytes], tiles: list[Tile]) -> None:
        if level == len(self._levels):
            self._levels.append(_empty_rows())
        rows = self._levels[level]
        _extend(rows, hashes)
        if len(rows[0]) == TILE_WIDTH:
            index = (self._size >> (TILE_HEIGHT * (level + 1))) - 1
            root = node_hash(*rows[-1])
            tiles.append(Tile(level, index, b"".join(rows[0]), root))
            self._completed[level, index] = rows
            self._levels[level] = _empty_rows()
            self._push(level + 1, [root], tiles)

    def node(self, level: int, index: int) -> bytes:
        """The node (level, index). Raises KeyError for one that is incomplete, or of a tile not at hand."""
        place = tile_of_node(level, index)
        rows = self._completed.get((place.tile_level, place.tile_index))
        if rows is None:
            current = self._size >> (TILE_HEIGHT * (place.tile_level + 1))
            if place.tile_index != current or not 0 <= place.tile_level < len(self._levels):
                raise KeyError((level, index))
            rows = self._levels[place.tile_level]
        try:
            return rows[place.row][place.position]
        except IndexError:
            raise KeyError((level, index)) from None

    def partial(self) -> list[list[bytes]]:
        """The hashes of the incomplete tile at each tile level, as `load` takes them."""
        return [rows[0][:] for rows in self._levels]

    def partial_tile(self, level: int) -> bytes:
        """The bytes of the incomplete tile at a tile level, empty when there is none."""
        return b"".join(self._levels[level][0]) if level < len(self._levels) else b""

    def root(self) -> bytes:
        """The root over all leaves."""
        return merkle.root(self._size, self.node)

    def forget(self) -> None:
        """Lets go of the tiles completed so far, once they are stored."""
        self._completed.clear()
