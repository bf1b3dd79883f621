"""A hub that lies: a log of its making, signed with its true key, and what it hands over to another."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hub.identity import hub_key
from keys import checkpoint, merkle
from keys.checkpoint import Checkpoint
from keys.jwk import SigningKey
from protocols import entries, receipt
from protocols.entries import Entry
from protocols.receipt import Receipt
from tests.acceptance.provinces import Province


@dataclass
class Liar:
    """A log that holds whatever it is given."""

    of: Province
    signing: SigningKey | None = None
    leaves: list[bytes] = field(default_factory=list)
    origin: str = ""
    """That of the true log, unless it lies about that, too."""

    def __post_init__(self) -> None:
        if not self.origin:
            with urllib.request.urlopen(f"{self.of.hub.url}/v1/hub", timeout=20) as answer:
                self.origin = json.load(answer)["log"]["origin"]

    def proof(self, entry: Entry) -> receipt.LogProof:
        """The entry in the log, proven."""
        self.leaves.append(entries.encode(entry))
        hashes, at = [merkle.leaf_hash(leaf) for leaf in self.leaves], len(self.leaves) - 1

        def node(level: int, index: int) -> bytes:
            below = hashes[index << level : (index + 1) << level]
            while len(below) > 1:
                below = [merkle.node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=True)]
            return below[0]

        plan = merkle.Inclusion([at], len(hashes))
        (path,) = plan.proofs({place: node(*place) for place in plan.nodes()})
        root = merkle.root(len(hashes), node)
        key = self.signing or hub_key(self.of.hub.data)
        note = checkpoint.sign_checkpoint(Checkpoint(self.origin, len(hashes), root), key)
        return receipt.log_proof(self.origin, at, self.leaves[-1], path, note)

    def receipt(self, entry: entries.Carried) -> dict[str, Any]:
        """A receipt of it."""
        given: Receipt = receipt.build(entry, self.proof(entry))
        return dict(msgspec.to_builtins(given))


def handed(at: Province, compact: bytes, *receipts: Any) -> tuple[int, Any]:
    """What a hub answers to a message with receipts."""
    body = json.dumps({"message": compact.decode(), "receipts": [msgspec.to_builtins(one) for one in receipts]})
    return posted(at, "/v1/relay", body.encode())


def posted(at: Province, path: str, body: bytes, media: str = "application/json", token: str = "") -> tuple[int, Any]:
    """What a hub answers to a call."""
    headers = {"Content-Type": media} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(at.url + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def size(at: Province) -> int:
    """How many entries a hub's log has."""
    with urllib.request.urlopen(at.url + "/log/checkpoint", timeout=10) as answer:
        return int(answer.read().decode().split("\n")[1])


def code(answer: tuple[int, Any]) -> str:
    """The problem that an answer names."""
    return str(answer[1].get("type", f"{answer[0]}")).rpartition("/")[2]
