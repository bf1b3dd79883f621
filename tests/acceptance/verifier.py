"""A receipt and the log checked by an outsider: hashlib, cryptography and the standards, nothing of ours."""

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


@dataclass(frozen=True)
class Head:
    """What a checkpoint says."""

    origin: str
    size: int
    root: bytes


def read_note(note: str, jwks: dict[str, Any]) -> Head:
    """The checkpoint in a C2SP signed note; raises unless a key of the set signed it under the origin's name."""
    text, _, signatures = note.rpartition("\n\n")
    origin, size, root = (text + "\n").split("\n")[:3]
    verified = 0
    for jwk in jwks["keys"]:
        public = base64.urlsafe_b64decode(jwk["x"] + "==")
        id = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
        for line in signatures.strip("\n").split("\n"):
            name, encoded = line.removeprefix("— ").split(" ")
            blob = base64.b64decode(encoded)
            if name == origin and blob[:4] == id:
                Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], (text + "\n").encode())
                verified += 1
    assert verified, "no key of the hub signed the checkpoint"
    return Head(origin, int(size), base64.b64decode(root))


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962 §2.1."""
    return hashlib.sha256(b"\x00" + entry).digest()


def tree_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as its definition reads, over leaf hashes."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def path_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2: the root that an inclusion proof leads to."""
    node, last = index, size - 1
    for step in path:
        assert last > 0
        if node & 1 or node == last:
            leaf = hashlib.sha256(b"\x01" + step + leaf).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            leaf = hashlib.sha256(b"\x01" + leaf + step).digest()
        node, last = node >> 1, last >> 1
    assert last == 0
    return leaf


def consistency_path(old: int, leaves: list[bytes], known: bool = True) -> list[bytes]:
    """RFC 6962 §2.1.2, as its definition reads: PROOF of the first `old` leaves, over leaf hashes."""
    if old == len(leaves):
        return [] if known else [tree_root(leaves)]
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if old <= split:
        return [*consistency_path(old, leaves[:split], known), tree_root(leaves[split:])]
    return [*consistency_path(old - split, leaves[split:], False), tree_root(leaves[:split])]


def verify_growth(old: Head, new: Head, path: list[bytes]) -> None:
    """RFC 9162 §2.1.4.2: raise unless the new tree begins with the old one, of at least one leaf."""
    if old.size == new.size:
        assert (old.root, path) == (new.root, [])
        return
    path = [old.root, *path] if old.size & (old.size - 1) == 0 else path
    node, last = old.size - 1, new.size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for step in path[1:]:
        assert last > 0
        if node & 1 or node == last:
            before = hashlib.sha256(b"\x01" + step + before).digest()
            after = hashlib.sha256(b"\x01" + step + after).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = hashlib.sha256(b"\x01" + after + step).digest()
        node, last = node >> 1, last >> 1
    assert (last, before, after) == (0, old.root, new.root)


def inclusion_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, as its definition reads: PATH of a leaf, over leaf hashes."""
    if len(leaves) == 1:
        return []
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    if index < split:
        return [*inclusion_path(index, leaves[:split]), tree_root(leaves[split:])]
    return [*inclusion_path(index - split, leaves[split:]), tree_root(leaves[:split])]


def verify_receipt(receipt: dict[str, Any], jwks: dict[str, Any], token: bytes | None = None) -> Head:
    """Raise unless the receipt holds; the head it is proven under."""
    log = receipt["log"]
    head = read_note(log["checkpoint"], jwks)
    assert head.origin == log["origin"]
    leaf = base64.b64decode(log["entry"])
    proof = [base64.b64decode(step) for step in log["proof"]]
    assert path_root(leaf_hash(leaf), log["index"], head.size, proof) == head.root
    entry = json.loads(leaf)
    assert entry["kind"] == "accepted"
    assert (receipt["message"], receipt["digest"], receipt["accepted"]) == (entry["id"], entry["digest"], entry["at"])
    if token is not None:
        assert receipt["digest"] == "sha-256:" + hashlib.sha256(token).hexdigest()
    return head
