"""The log: proofs of every leaf and every growth verify, nothing else does, and tiles hold the same tree."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import merkle, tiles
from keys.errors import BadProof
from keys.tiles import TILE_WIDTH, Edge
from tests.strategies import bit_of, hashes, tile_paths, tree_sizes

LEAVES = [merkle.leaf_hash(str(number).encode()) for number in range(1000)]
MOST_BY_HAND = 40


@cache
def naive_root(begin: int, end: int) -> bytes:
    """The root over some leaves, word for word as RFC 6962 §2.1 defines it."""
    if end - begin < 2:
        return LEAVES[begin] if end > begin else merkle.EMPTY_ROOT
    split = 1
    while 2 * split < end - begin:
        split *= 2
    return merkle.node_hash(naive_root(begin, begin + split), naive_root(begin + split, end))


def node(level: int, index: int) -> bytes:
    return naive_root(index << level, (index + 1) << level)


@given(tree_sizes, st.data())
def test_every_leaf_is_proven_and_in_no_other_place(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = merkle.inclusion_proof(index, size, node), naive_root(0, size)
    merkle.verify_inclusion(LEAVES[index], index, size, proof, root)
    other = data.draw(st.integers(-2, size + 2))
    if other != index:
        with pytest.raises(BadProof):
            merkle.verify_inclusion(LEAVES[index], other, size, proof, root)
        if 0 <= other < size:
            with pytest.raises(BadProof):
                merkle.verify_inclusion(LEAVES[other], index, size, proof, root)


@given(tree_sizes, st.data())
def test_proofs_planned_together_are_those_made_one_by_one(size: int, data: st.DataObject) -> None:
    indexes = data.draw(st.lists(st.integers(0, size - 1), max_size=20))
    plan = merkle.Inclusion(indexes, size)
    together = plan.proofs({(level, index): node(level, index) for level, index in plan.nodes()})
    assert together == [merkle.inclusion_proof(index, size, node) for index in indexes]


@given(tree_sizes, st.data())
def test_an_inclusion_proof_with_anything_changed_is_refused(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof, root = merkle.inclusion_proof(index, size, node), naive_root(0, size)
    at = data.draw(st.integers(-2, len(proof) - 1))
    changed = [data.draw(bit_of(item)) if place == at else item for place, item in enumerate(proof)]
    leaf = data.draw(bit_of(LEAVES[index])) if at == -1 else LEAVES[index]
    wrong_root = data.draw(bit_of(root)) if at == -2 else root
    with pytest.raises(BadProof):
        merkle.verify_inclusion(leaf, index, size, changed, wrong_root)
    for longer in ([*proof, root], [root, *proof], proof[:-1] or [root]):
        with pytest.raises(BadProof):
            merkle.verify_inclusion(LEAVES[index], index, size, longer, root)


@given(hashes, st.integers(-3, 2**63), st.integers(-3, 2**63), st.lists(hashes, max_size=70), hashes)
def test_an_arbitrary_inclusion_proof_is_refused(
    leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes
) -> None:
    with pytest.raises(BadProof):
        merkle.verify_inclusion(leaf, index, size, proof, root)


@pytest.mark.parametrize("old", range(MOST_BY_HAND))
def test_every_small_tree_is_proven_to_continue_every_smaller_one(old: int) -> None:
    for new in range(old, MOST_BY_HAND):
        proof = merkle.consistency_proof(old, new, node)
        merkle.verify_consistency(old, new, proof, naive_root(0, old), naive_root(0, new))


@given(tree_sizes, tree_sizes, st.data())
def test_a_consistency_proof_with_anything_changed_is_refused(one: int, two: int, data: st.DataObject) -> None:
    old, new = sorted((one, two))
    proof, roots = merkle.consistency_proof(old, new, node), (naive_root(0, old), naive_root(0, new))
    merkle.verify_consistency(old, new, proof, *roots)
    for longer in ([*proof, roots[0]], [roots[1], *proof]):
        with pytest.raises(BadProof):
            merkle.verify_consistency(old, new, longer, *roots)
    for wrong in ((data.draw(bit_of(roots[0])), roots[1]), (roots[0], data.draw(bit_of(roots[1])))):
        with pytest.raises(BadProof):
            merkle.verify_consistency(old, new, proof, *wrong)
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed = [*proof[:at], data.draw(bit_of(proof[at])), *proof[at + 1 :]]
        for wrong_proof in (changed, proof[:at] + proof[at + 1 :], []):
            with pytest.raises(BadProof):
                merkle.verify_consistency(old, new, wrong_proof, *roots)


@given(st.integers(1, 600), st.integers(1, 600), st.data())
def test_a_tree_whose_past_was_changed_does_not_continue_it(one: int, two: int, data: st.DataObject) -> None:
    old, new = sorted((one, two))
    if old == new:
        return
    altered = list(LEAVES[:new])
    at = data.draw(st.integers(0, old - 1))
    altered[at] = data.draw(bit_of(altered[at]))
    edge = Edge.empty()
    edge.append(altered)
    proof = merkle.consistency_proof(old, new, edge.node)
    with pytest.raises(BadProof):
        merkle.verify_consistency(old, new, proof, naive_root(0, old), edge.root())


@given(st.lists(st.tuples(st.integers(0, 300), st.sampled_from(["", "reload", "forget", "copy"])), max_size=6))
def test_the_edge_is_the_same_tree_however_it_grew(steps: list[tuple[int, str]]) -> None:
    edge = Edge.empty()
    stored: dict[tuple[int, int], bytes] = {}
    for count, then in steps:
        count = min(count, len(LEAVES) - edge.size)
        for tile in edge.append(LEAVES[edge.size : edge.size + count]):
            stored[tile.level, tile.index] = tile.hashes
        if then == "reload":
            edge = Edge.load(edge.size, edge.partial())
        elif then == "forget":
            edge.forget()
        elif then == "copy":
            edge.copy().append(LEAVES[:300])
            edge = edge.copy()
        assert edge.root() == naive_root(0, edge.size)
    assert [len(hashes) for hashes in edge.partial()] == tiles.partial_widths(edge.size)
    assert sorted(stored) == [(0, index) for index in range(edge.size // TILE_WIDTH)]
    for (_, index), content in stored.items():
        assert content == b"".join(LEAVES[TILE_WIDTH * index : TILE_WIDTH * (index + 1)])


@given(st.integers(1, 1000), st.data())
def test_every_complete_node_is_found_where_its_tile_says(size: int, data: st.DataObject) -> None:
    edge = Edge.empty()
    full = {(tile.level, tile.index): tile.hashes for tile in edge.append(LEAVES[:size])}
    level = data.draw(st.integers(0, size.bit_length() - 1))
    index = data.draw(st.integers(0, (size >> level) - 1))
    place = tiles.tile_of_node(level, index)
    content = full.get((place.tile_level, place.tile_index)) or edge.partial_tile(place.tile_level)
    assert tiles.inner_node(content, place.row, place.position) == edge.node(level, index) == node(level, index)


@given(tile_paths)
def test_a_tiles_path_names_it_and_no_other(tile: tuple[int, int, int]) -> None:
    path = tiles.tile_path(*tile)
    assert tiles.parse_tile_path(path) == tiles.TilePath(*tile)


@given(st.text("tile/enrs0123456789x.p", max_size=40) | st.text(max_size=20))
def test_whatever_path_is_taken_is_the_only_one_for_its_tile(path: str) -> None:
    try:
        tile = tiles.parse_tile_path(path)
    except ValueError:
        return
    assert tiles.tile_path(tile.level, tile.index, tile.width) == path


@given(st.lists(st.binary(max_size=300), max_size=TILE_WIDTH))
def test_a_bundle_gives_back_its_entries(entries: list[bytes]) -> None:
    assert tiles.parse_bundle(tiles.entry_bundle(entries)) == entries


@given(st.binary(max_size=200))
def test_whatever_bundle_is_taken_is_the_only_one_for_its_entries(data: bytes) -> None:
    try:
        entries = tiles.parse_bundle(data)
    except ValueError:
        return
    assert tiles.entry_bundle(entries) == data
