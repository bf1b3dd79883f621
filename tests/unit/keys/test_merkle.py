"""The Merkle tree against the reference tree of RFC 6962, and every way a proof can be wrong."""

from collections.abc import Iterator

import pytest

from keys import merkle
from keys.errors import BadProof
from tests.vectors import vectors

REFERENCE = vectors("merkle")
ENTRIES = [bytes.fromhex(entry) for entry in REFERENCE["entries"]]
ROOTS = [bytes.fromhex(root) for root in REFERENCE["roots"]]
LEAVES = [merkle.leaf_hash(entry) for entry in ENTRIES]
SOME_HASH = bytes.fromhex("abacaba000000000000000000000000000000000000000000060061e00123456")

Inclusion = tuple[bytes, int, int, list[bytes], bytes]
Consistency = tuple[int, int, list[bytes], bytes, bytes]


def node(level: int, index: int) -> bytes:
    if level == 0:
        return LEAVES[index]
    return merkle.node_hash(node(level - 1, 2 * index), node(level - 1, 2 * index + 1))


def hashes(texts: list[str]) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


def inclusions() -> Iterator[Inclusion]:
    for case in REFERENCE["inclusion"]:
        index, size = case["index"], case["size"]
        yield LEAVES[index], index, size, hashes(case["proof"]), ROOTS[size - 1]


def consistencies() -> Iterator[Consistency]:
    for case in REFERENCE["consistency"]:
        old, new = case["old"], case["new"]
        yield old, new, hashes(case["proof"]), ROOTS[old - 1], ROOTS[new - 1]


def test_leaves_nodes_and_the_empty_tree_hash_as_the_reference_does() -> None:
    leaf, inner = REFERENCE["leaf_hash"], REFERENCE["node_hash"]
    assert merkle.leaf_hash(bytes.fromhex(leaf["entry"])).hex() == leaf["hash"]
    assert merkle.leaf_hash(b"").hex() == REFERENCE["empty_leaf_hash"]
    assert merkle.node_hash(bytes.fromhex(inner["left"]), bytes.fromhex(inner["right"])).hex() == inner["hash"]
    assert merkle.EMPTY_ROOT.hex() == merkle.root(0, node).hex() == REFERENCE["empty_root"]


def test_a_leaf_never_hashes_like_a_node() -> None:
    assert merkle.leaf_hash(LEAVES[0] + LEAVES[1]) != merkle.node_hash(LEAVES[0], LEAVES[1])


@pytest.mark.parametrize("size", range(1, 9))
def test_the_roots_of_the_first_eight_trees_are_the_references(size: int) -> None:
    assert merkle.root(size, node) == ROOTS[size - 1]


@pytest.mark.parametrize("case", REFERENCE["inclusion"], ids=lambda case: f"{case['index']}-of-{case['size']}")
def test_inclusion_proofs_are_the_references(case: dict[str, object]) -> None:
    index, size, proof = case["index"], case["size"], case["proof"]
    assert isinstance(index, int) and isinstance(size, int)
    assert [item.hex() for item in merkle.inclusion_proof(index, size, node)] == proof


@pytest.mark.parametrize("case", REFERENCE["consistency"], ids=lambda case: f"{case['old']}-to-{case['new']}")
def test_consistency_proofs_are_the_references(case: dict[str, object]) -> None:
    old, new, proof = case["old"], case["new"], case["proof"]
    assert isinstance(old, int) and isinstance(new, int)
    assert [item.hex() for item in merkle.consistency_proof(old, new, node)] == proof


@pytest.mark.parametrize("case", list(inclusions()))
def test_the_references_inclusion_proofs_verify(case: Inclusion) -> None:
    merkle.verify_inclusion(*case)


@pytest.mark.parametrize("case", list(consistencies()))
def test_the_references_consistency_proofs_verify(case: Consistency) -> None:
    merkle.verify_consistency(*case)


def wrong_inclusions() -> Iterator[Inclusion]:
    for leaf, index, size, proof, root in inclusions():
        yield from ((leaf, other, size, proof, root) for other in (index - 1, index + 1, index ^ 2, -1, size, 2**64))
        yield from ((leaf, index, other, proof, root) for other in (size * 2, size // 2, 0, -1))
        yield from ((other, index, size, proof, root) for other in (b"WrongLeaf", b"", SOME_HASH, LEAVES[7][::-1]))
        yield from ((leaf, index, size, proof, other) for other in (b"", merkle.EMPTY_ROOT, SOME_HASH))
        yield from ((leaf, index, size, [*proof, more], root) for more in (b"", root, SOME_HASH))
        yield from ((leaf, index, size, [more, *proof], root) for more in (b"", root, SOME_HASH))
        for at, item in enumerate(proof):
            changed = bytes([item[0] ^ 8]) + item[1:]
            yield leaf, index, size, [*proof[:at], changed, *proof[at + 1 :]], root
            yield leaf, index, size, [*proof[:at], *proof[at + 1 :]], root
            yield leaf, index, size, [*proof[:at], SOME_HASH, *proof[at:]], root
            yield leaf, index, size, [*proof[:at], item[:31], *proof[at + 1 :]], root


@pytest.mark.parametrize("case", list(wrong_inclusions()))
def test_no_altered_inclusion_proof_verifies(case: Inclusion) -> None:
    with pytest.raises(BadProof):
        merkle.verify_inclusion(*case)


def wrong_consistencies() -> Iterator[Consistency]:
    for old, new, proof, old_root, new_root in consistencies():
        if old == new:
            continue
        yield from ((other, new, proof, old_root, new_root) for other in (old - 1, old + 1, old ^ 2, -1, new + 1))
        yield from ((old, other, proof, old_root, new_root) for other in (new * 2, new // 2, old))
        yield from ((old, new, proof, other, new_root) for other in (b"WrongRoot", new_root, SOME_HASH))
        yield from ((old, new, proof, old_root, other) for other in (b"WrongRoot", old_root, SOME_HASH))
        yield old, new, [], old_root, new_root
        yield old, new, proof[:-1], old_root, new_root
        for more in (b"", old_root, new_root, proof[0]):
            yield old, new, [*proof, more], old_root, new_root
            yield old, new, [more, *proof], old_root, new_root
        for at, item in enumerate(proof):
            changed = bytes([item[0] ^ 16]) + item[1:]
            yield old, new, [*proof[:at], changed, *proof[at + 1 :]], old_root, new_root


@pytest.mark.parametrize("case", list(wrong_consistencies()))
def test_no_altered_consistency_proof_verifies(case: Consistency) -> None:
    with pytest.raises(BadProof):
        merkle.verify_consistency(*case)


@pytest.mark.parametrize(
    "case",
    [
        (0, 0, [], SOME_HASH, SOME_HASH),
        (0, 1, [], SOME_HASH, ROOTS[0]),
        (0, 0, [merkle.EMPTY_ROOT], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT),
        (0, 1, [merkle.EMPTY_ROOT], merkle.EMPTY_ROOT, ROOTS[0]),
        (1, 1, [], ROOTS[0], SOME_HASH),
        (1, 1, [ROOTS[0]], ROOTS[0], ROOTS[0]),
        (1, 0, [], ROOTS[0], merkle.EMPTY_ROOT),
        (2, 1, [], ROOTS[1], ROOTS[0]),
        (1, 2, [], ROOTS[0], ROOTS[1]),
        (3, 4, [], ROOTS[2], ROOTS[3]),
    ],
)
def test_trees_that_say_nothing_or_lie_about_it_are_not_consistent(case: Consistency) -> None:
    with pytest.raises(BadProof):
        merkle.verify_consistency(*case)


def test_every_tree_continues_the_empty_one_and_itself() -> None:
    merkle.verify_consistency(0, 8, [], merkle.EMPTY_ROOT, ROOTS[7])
    merkle.verify_consistency(0, 0, [], merkle.EMPTY_ROOT, merkle.EMPTY_ROOT)
    merkle.verify_consistency(5, 5, [], ROOTS[4], ROOTS[4])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (9, 8)])
def test_no_proof_is_made_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="not in the tree"):
        merkle.inclusion_proof(index, size, node)


def test_no_proof_is_made_from_a_larger_tree_to_a_smaller() -> None:
    with pytest.raises(ValueError, match="larger"):
        merkle.consistency_proof(5, 4, node)
