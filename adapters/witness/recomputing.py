"""A hub's published figures held against its log from outside, by an auditor, who may read every entry."""

from collections.abc import Callable, Sequence

from adapters.client import Client
from adapters.witness.reading import Reader
from keys import checkpoint, merkle
from keys.errors import BadCheckpoint
from keys.jwk import VerifyingKey
from keys.tiles import Edge
from protocols import entries
from protocols.loading import Catalogue
from protocols.recomputing import Recomputation, Recomputed, opened_between
from protocols.scorecard import Asked, By

Progress = Callable[[int, int], None]


async def recompute(
    client: Client,
    reader: Reader,
    log_keys: Sequence[VerifyingKey],
    catalogue: Catalogue,
    asked: Asked,
    by: By,
    progress: Progress = lambda done, size: None,
) -> Recomputed:
    """Ask for the figures and the cases behind them, read the whole log, and work both out again.

    Raises Refused, Undecided, AnswerInvalid; BadCheckpoint where the log is smaller than what the figures are by;
    LogUnreachable.
    """
    published = await client.figures(asked, by)
    stored = {one.case: one.facts async for one in client.contributions(asked)}
    head = checkpoint.verify_checkpoint(await reader.checkpoint(), log_keys, client.log_origin)
    if head.size < published.through:
        raise BadCheckpoint("the figures are by more entries than the log has", size=head.size)
    redone, tree, index = Recomputation(catalogue, opened_between(asked.first, asked.last)), Edge.empty(), 0
    async for bundle in reader.bundles(0, head.size):
        tree.append(map(merkle.leaf_hash, bundle))
        tree.forget()
        for leaf in bundle:
            if index < published.through:
                redone.take(index, entries.decode(leaf))
            index += 1
        progress(index, head.size)
    return redone.against(published, stored, head.size, tree.root() == head.root)
