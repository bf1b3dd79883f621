"""Merkle trees as in RFC 6962 §2.1: hashes, the nodes a proof needs, proofs made and verified."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from keys.errors import BadProof

HASH_SIZE: Final = 32
EMPTY_ROOT: Final = sha256().digest()

Node = tuple[int, int]
"""(level, index): the hash over the leaves [index << level, (index + 1) << level), a complete subtree."""

NodeHash = Callable[[int, int], bytes]
"""Gives the hash of the node (level, index)."""


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a log entry (RFC 6962 §2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node (RFC 6962 §2.1)."""
    return sha256(b"\x01" + left + right).digest()


def _nodes(begin: int, end: int) -> list[Node]:
    """The complete subtrees, from left to right, that make up the leaves [begin, end) of one side of a split.

    `begin` is a multiple of the largest power of two in `end - begin`, which holds for every such side.
    """
    nodes: list[Node] = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def _fold(hashes: Sequence[bytes]) -> bytes:
    """The hash over neighbouring subtrees that shrink from left to right, joined as the RFC splits them."""
    result = hashes[-1]
    for left in reversed(hashes[:-1]):
        result = node_hash(left, result)
    return result


def _split(begin: int, end: int) -> int:
    """Where the RFC splits [begin, end): after the largest power of two smaller than its size."""
    return begin + (1 << ((end - begin - 1).bit_length() - 1))


def _inclusion_ranges(index: int, size: int) -> list[tuple[int, int]]:
    """The leaves under each hash of the audit path, from the leaf upwards.

    Below the level at which the paths of `index` and of the last leaf meet, a sibling stands on either side, and
    only the topmost of them can be cut off by the tree's end; above it all siblings stand on the left.
    """
    if not 0 <= index < size:
        raise ValueError("the leaf is not in the tree")
    meeting = (index ^ (size - 1)).bit_length()
    ranges = []
    for level in range(meeting):
        begin = ((index >> level) ^ 1) << level
        ranges.append((begin, min(begin + (1 << level), size)))
    for level in range(meeting, index.bit_length()):
        if (index >> level) & 1:
            end = (index >> level) << level
            ranges.append((end - (1 << level), end))
    return ranges


def _consistency_ranges(old: int, new: int) -> list[tuple[int, int]]:
    if not 0 <= old <= new:
        raise ValueError("a tree is consistent with larger trees only")
    if old in (0, new):
        return []
    begin, end = 0, new
    ranges = []
    while end != old:
        middle = _split(begin, end)
        if old <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((begin, middle))
            begin = middle
    if begin > 0:
        ranges.append((begin, end))
    return ranges[::-1]


def root_nodes(size: int) -> list[Node]:
    """The nodes that the root of a tree of `size` leaves is made of, from left to right."""
    return _nodes(0, size)


def consistency_nodes(old: int, new: int) -> list[Node]:
    """The nodes a consistency proof is made of, in the proof's order. Raises ValueError unless 0 ≤ old ≤ new."""
    return [node for begin, end in _consistency_ranges(old, new) for node in _nodes(begin, end)]


def _hashes(ranges: Iterable[tuple[int, int]], node: NodeHash) -> list[bytes]:
    return [_fold([node(level, index) for level, index in _nodes(begin, end)]) for begin, end in ranges]


def root(size: int, node: NodeHash) -> bytes:
    """The root of the tree over the first `size` leaves (RFC 6962 §2.1)."""
    if size == 0:
        return EMPTY_ROOT
    return _fold([node(level, index) for level, index in root_nodes(size)])


def inclusion_proof(index: int, size: int, node: NodeHash) -> list[bytes]:
    """The audit path of a leaf in the tree of `size` leaves (RFC 6962 §2.1.1). Raises ValueError as above."""
    return _hashes(_inclusion_ranges(index, size), node)


class Inclusion:
    """The audit paths of many leaves in one tree (RFC 6962 §2.1.1); what they share is worked out once.

    Raises ValueError unless 0 ≤ index < size for each.
    """

    def __init__(self, indexes: Iterable[int], size: int) -> None:
        self._ranges = [_inclusion_ranges(index, size) for index in indexes]
        spans = {span for ranges in self._ranges for span in ranges}
        self._nodes = {span: _nodes(*span) for span in spans}

    def nodes(self) -> Iterable[Node]:
        """The nodes that the paths are made of."""
        return (node for nodes in self._nodes.values() for node in nodes)

    def proofs(self, hashes: Mapping[Node, bytes]) -> list[list[bytes]]:
        """The paths, in the order of the leaves. Raises KeyError for a node that `hashes` lacks."""
        known = {span: _fold([hashes[node] for node in nodes]) for span, nodes in self._nodes.items()}
        return [[known[span] for span in ranges] for ranges in self._ranges]


def consistency_proof(old: int, new: int, node: NodeHash) -> list[bytes]:
    """The proof that the first `old` of `new` leaves are unchanged (RFC 6962 §2.1.2); empty for old = 0."""
    return _hashes(_consistency_ranges(old, new), node)


def _check_hashes(proof: Sequence[bytes]) -> None:
    if any(len(item) != HASH_SIZE for item in proof):
        raise BadProof("a proof is made of hashes of 32 bytes")


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raises BadProof unless `proof` leads from the leaf at `index` to the root (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        raise BadProof("the leaf is not in the tree", index=index, size=size)
    _check_hashes([leaf_hash, *proof])
    position, last, result = index, size - 1, leaf_hash
    for item in proof:
        if last == 0:
            raise BadProof("the inclusion proof is too long", index=index, size=size)
        if position & 1 or position == last:
            result = node_hash(item, result)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            result = node_hash(result, item)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise BadProof("the inclusion proof is too short", index=index, size=size)
    if result != root:
        raise BadProof("the inclusion proof leads to another root", index=index, size=size)


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raises BadProof unless the new tree begins with all of the old one (RFC 9162 §2.1.4.2).

    From the empty tree, and between equal sizes, the proof must be empty; the roots are still compared.
    """
    if not 0 <= old_size <= new_size:
        raise BadProof("a tree is consistent with larger trees only", old_size=old_size, new_size=new_size)
    _check_hashes([old_root, new_root, *proof])
    if (old_size == 0 and old_root != EMPTY_ROOT) or (new_size == 0 and new_root != EMPTY_ROOT):
        raise BadProof("this is not the root of the empty tree")
    if old_size == new_size and old_root != new_root:
        raise BadProof("trees of the same size have different roots", size=old_size)
    if old_size in (0, new_size):
        if proof:
            raise BadProof("the consistency proof must be empty", old_size=old_size, new_size=new_size)
        return
    _walk_consistency(old_size, new_size, proof, old_root, new_root)


def _walk_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    # A complete old tree is itself a node of the new one, and its root is left out of the proof.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise BadProof("the consistency proof is too short", old_size=old_size, new_size=new_size)
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for item in path[1:]:
        if last == 0:
            raise BadProof("the consistency proof is too long", old_size=old_size, new_size=new_size)
        if position & 1 or position == last:
            old, new = node_hash(item, old), node_hash(item, new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, item)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise BadProof("the consistency proof is too short", old_size=old_size, new_size=new_size)
    if old != old_root or new != new_root:
        raise BadProof("the consistency proof leads to other roots", old_size=old_size, new_size=new_size)
