"""Was a message fetched? Answered from the log alone, so that a hub can prove that it was not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.witness.reading import Reader
from keys import checkpoint, merkle, tiles
from keys.checkpoint import Checkpoint
from keys.errors import BadCheckpoint
from keys.jwk import VerifyingKey
from keys.tiles import Edge
from protocols import entries, receipt
from protocols.entries import Accepted, Acknowledged, Expired, Fetched
from protocols.receipt import Proven
from protocols.refusals import ReceiptInvalid

Progress = Callable[[int, int], None]
"""Told how many of how many entries have been read."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """What the log up to `checkpoint` says of one recipient's position: when it was fetched, signed for, expired.

    Each is RFC 3339, and None where no entry up to the checkpoint says so.
    """

    recipient: str
    position: int
    checkpoint: Checkpoint
    fetched: str | None
    acknowledged: str | None
    expired: str | None


async def fetching(
    reader: Reader,
    log_keys: Sequence[VerifyingKey],
    message: Proven,
    recipient: str,
    progress: Progress = lambda done, size: None,
) -> Fetching:
    """Read every entry from the message's on, and hold them all against the log's newest signed root.

    `message` is proven by its receipt. An entry left out, changed or added makes another root. Raises BadCheckpoint
    where that is so, ReceiptInvalid where the message was not for `recipient`, LogUnreachable.
    """
    entry = message.entry
    if not isinstance(entry, Accepted) or recipient not in entry.recipients:
        raise ReceiptInvalid(f"the receipt is not of a message for {recipient}")
    position = entry.recipients[recipient]
    head = checkpoint.verify_checkpoint(await reader.checkpoint(), log_keys)
    if head.origin != message.checkpoint.origin:
        known = await reader.lineage(log_keys)
        if known.origin != head.origin or not known.stands(message):
            raise BadCheckpoint("the log that holds the message is another, or went on without it", origin=head.origin)
    if head.size <= message.index:
        raise BadCheckpoint("the log is smaller than when it held the message", size=head.size)
    first = message.index // tiles.TILE_WIDTH
    start = index = first * tiles.TILE_WIDTH
    tree, said = await _tree_before(reader, start, head.size), dict[str, str]()
    async for bundle in reader.bundles(first, head.size):
        tree.append(map(merkle.leaf_hash, bundle))
        tree.forget()
        for number, leaf in enumerate(bundle, index):
            if number == message.index and leaf != receipt.leaf(message.log):
                raise BadCheckpoint("the log holds another entry where the receipt has the message", index=number)
            _note(said, leaf, recipient, position)
        index += len(bundle)
        progress(index - start, head.size - start)
    if tree.root() != head.root:
        raise BadCheckpoint("the entries do not make the root that the log signed", size=head.size)
    return Fetching(recipient, position, head, said.get("fetched"), said.get("acknowledged"), said.get("expired"))


async def _tree_before(reader: Reader, size: int, whole: int) -> Edge:
    """The edge of the tree of the first `size` entries, a whole number of bundles, out of the tiles of the `whole`.

    What is wrong in it makes another root in the end.
    """
    widths = tiles.partial_widths(size)
    levels = []
    for level, width in enumerate(widths):
        height = tiles.TILE_HEIGHT * level
        levels.append([(height, index) for index in range((size >> height) - width, size >> height)])
    hashes = await reader.nodes((node for nodes in levels for node in nodes), whole)
    return Edge.load(size, [[hashes[node] for node in nodes] for nodes in levels])


def _note(said: dict[str, str], leaf: bytes, recipient: str, position: int) -> None:
    """Keep the first word of each kind on the position."""
    match entries.decode(leaf):
        case Fetched(recipient=of, from_=begins, through=ends, at=at) if of == recipient and begins <= position <= ends:
            said.setdefault("fetched", at)
        case Acknowledged(recipient=of, from_=begins, through=ends, at=at) if (
            of == recipient and begins <= position <= ends
        ):
            said.setdefault("acknowledged", at)
        case Expired(recipient=of, position=where, at=at) if (of, where) == (recipient, position):
            said.setdefault("expired", at)
