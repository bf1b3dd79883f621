"""The log as tiles: paths and bundles as C2SP tlog-tiles writes them, nodes within tiles, the growing edge."""

import pytest

from keys import merkle, tiles
from keys.tiles import TILE_WIDTH, Edge, TilePath
from tests.vectors import vectors

PUBLISHED = vectors("tlog")
LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(600)]


@pytest.mark.parametrize("case", PUBLISHED["tile_paths"]["paths"], ids=lambda case: case["path"])
def test_paths_are_those_of_the_specification(case: dict[str, object]) -> None:
    path, level, index, width = (case[name] for name in ("path", "level", "index", "width"))
    assert isinstance(path, str) and isinstance(level, int) and isinstance(index, int) and isinstance(width, int)
    assert tiles.tile_path(level, index, width) == path
    assert tiles.parse_tile_path(path) == TilePath(level, index, width)


@pytest.mark.parametrize("tree", PUBLISHED["partial"]["trees"], ids=lambda tree: str(tree["size"]))
def test_incomplete_tiles_have_the_widths_of_the_specification(tree: dict[str, object]) -> None:
    assert isinstance(tree["size"], int)
    assert tiles.partial_widths(tree["size"]) == tree["widths"]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/x000/001",
        "tile/0/001/x234/067",
        "tile/0/x001/x234",
        "tile/0/001/",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p",
        "tile/0/000.p/1/",
        "tile/0/x01/000",
        "tile/0/../000",
        "tile/0/%30%30%30",
        "tile/0/٠٠٠",
        "tile/entries/-01",
        "tile/data/000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/" + "x001/" * 7 + "000",
    ],
)
def test_what_is_not_exactly_a_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"not a tile path|no such tile"):
        tiles.parse_tile_path(path)


@pytest.mark.parametrize(("level", "index", "width"), [(-2, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_no_path_is_made_for_what_is_no_tile(level: int, index: int, width: int) -> None:
    with pytest.raises(ValueError, match="no such tile"):
        tiles.tile_path(level, index, width)


def test_a_bundle_puts_the_length_before_each_entry() -> None:
    assert tiles.entry_bundle([b"one", b"", "二".encode()]) == b"\x00\x03one\x00\x00\x00\x03\xe4\xba\x8c"
    assert tiles.parse_bundle(b"\x00\x03one\x00\x00\x00\x03\xe4\xba\x8c") == [b"one", b"", "二".encode()]
    assert tiles.parse_bundle(b"") == []


def test_an_entry_has_at_most_65535_bytes() -> None:
    longest = b"x" * 65_535
    assert tiles.parse_bundle(tiles.entry_bundle([longest])) == [longest]
    with pytest.raises(ValueError, match="65,535"):
        tiles.entry_bundle([longest + b"x"])


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01ab", b"\x00\x00\x01", b"\xff\xff"])
def test_a_bundle_that_was_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cut short"):
        tiles.parse_bundle(data)


def test_a_bundle_of_more_than_a_tile_is_refused() -> None:
    assert len(tiles.parse_bundle(b"\0\0" * TILE_WIDTH)) == TILE_WIDTH
    with pytest.raises(ValueError, match="256"):
        tiles.parse_bundle(b"\0\0" * (TILE_WIDTH + 1))


def test_every_node_of_a_tile_is_computed_from_its_bytes() -> None:
    full = b"".join(LEAVES[:TILE_WIDTH])
    assert tiles.inner_node(full, 0, 255) == LEAVES[255]
    assert tiles.inner_node(full, 1, 3) == merkle.node_hash(LEAVES[6], LEAVES[7])
    edge = Edge.empty()
    edge.append(LEAVES[:TILE_WIDTH])
    assert tiles.inner_node(full, 8, 0) == edge.root()


@pytest.mark.parametrize(("row", "position"), [(0, 5), (1, 2), (3, 0), (9, 0), (-1, 0), (0, -1), (10**9, 0)])
def test_a_node_that_a_partial_tile_lacks_is_refused(row: int, position: int) -> None:
    with pytest.raises(ValueError, match="node"):
        tiles.inner_node(b"".join(LEAVES[:5]), row, position)


def test_a_tile_is_given_when_it_is_complete() -> None:
    edge = Edge.empty()
    assert edge.append(LEAVES[:255]) == []
    assert edge.partial_tile(0) == b"".join(LEAVES[:255])
    (tile,) = edge.append(LEAVES[255:257])
    assert (tile.level, tile.index, tile.hashes) == (0, 0, b"".join(LEAVES[:256]))
    assert tile.root == edge.partial()[1][0] == tiles.inner_node(tile.hashes, 8, 0)
    assert edge.partial_tile(7) == b""


def test_tiles_of_higher_levels_complete_after_those_below() -> None:
    edge = Edge.load(256**2 - 1, [LEAVES[:255], LEAVES[:255]])
    completed = edge.append(LEAVES[:1])
    assert [(tile.level, tile.index) for tile in completed] == [(0, 255), (1, 0)]
    assert edge.partial() == [[], [], [completed[1].root]]


def test_a_copy_grows_on_its_own() -> None:
    edge = Edge.empty()
    edge.append(LEAVES[:300])
    before, copy = edge.root(), edge.copy()
    copy.append(LEAVES[300:600])
    assert (edge.size, edge.root()) == (300, before)
    assert copy.size == 600


def test_nodes_are_at_hand_until_their_tiles_are_let_go() -> None:
    edge = Edge.empty()
    edge.append(LEAVES[:300])
    assert edge.node(0, 7) == LEAVES[7]
    edge.forget()
    for level, index in ((0, 7), (7, 1), (0, 300), (5, 9), (8, 1), (16, 0), (-1, 0), (80, 0)):
        with pytest.raises(KeyError):
            edge.node(level, index)
    assert edge.node(0, 299) == LEAVES[299]
    assert edge.node(8, 0) == edge.partial()[1][0]


@pytest.mark.parametrize(
    ("size", "partial"),
    [
        (3, [LEAVES[:2]]),
        (3, []),
        (3, [LEAVES[:3], LEAVES[:1]]),
        (256, [[], []]),
        (0, [LEAVES[:1]]),
        (-1, []),
        (1, [[b"short"]]),
    ],
)
def test_an_edge_whose_tiles_do_not_fit_its_size_is_not_loaded(size: int, partial: list[list[bytes]]) -> None:
    with pytest.raises(ValueError, match=r"fit the size|32 bytes|negative"):
        Edge.load(size, partial)


def test_a_leaf_hash_of_another_length_changes_nothing() -> None:
    edge = Edge.empty()
    with pytest.raises(ValueError, match="32 bytes"):
        edge.append([LEAVES[0], b"short"])
    assert edge.size == 0
