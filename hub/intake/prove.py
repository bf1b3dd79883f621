"""Step 8, after commit: the proof of each entry, from memory where it is new, from storage where it was known."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub import log
from hub.intake.ledger import Ledger, Taken
from hub.store import Connection
from keys import merkle
from keys.checkpoint import note_origin
from keys.errors import Fault
from keys.tiles import Edge
from protocols import entries
from protocols.receipt import LogProof, log_proof


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job's end: its entry, proven in the log, and whether it was new."""

    entry: entries.Entry
    proof: LogProof
    new: bool


async def prove(
    connection: Connection, ledger: Ledger, edge: Edge | None, note: str, taken: Sequence[Taken | Fault]
) -> list[Outcome | Fault]:
    """The outcome of each job of a batch, in order; refusals stay what they are."""
    fresh = [one.index for one in taken if isinstance(one, Taken) and one.index >= ledger.size]
    paths = await _paths(connection, fresh, edge) if edge is not None and fresh else {}
    outcomes: list[Outcome | Fault] = []
    for result in taken:
        if isinstance(result, Fault):
            outcomes.append(result)
        elif result.index in paths:
            at = result.index - ledger.size
            proof = log_proof(note_origin(note), result.index, ledger.leaves[at], paths[result.index], note)
            outcomes.append(Outcome(ledger.entered[at], proof, result.new))
        else:
            place = log.Placed(result.index, result.tree_size or ledger.size)
            outcomes.append(await stored(connection, place))
    return outcomes


async def stored(connection: Connection, place: log.Placed) -> Outcome:
    """The outcome of what was entered before, from the log as stored."""
    (proven,) = await log.prove(connection, [place])
    return Outcome(entries.decode(proven.leaf), proven.proof, False)


async def _paths(connection: Connection, indexes: Sequence[int], edge: Edge) -> dict[int, list[bytes]]:
    """The audit paths of what a batch has added; nodes that are no longer at hand are read from storage."""
    plan = merkle.Inclusion(indexes, edge.size)
    try:
        nodes = {node: edge.node(*node) for node in plan.nodes()}
    except KeyError:
        nodes = await log.read_nodes(connection, plan.nodes())
    return dict(zip(indexes, plan.proofs(nodes), strict=True))
