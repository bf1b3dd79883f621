"""Step 8, after commit: the proof of each entry, from memory where it is new, from storage where it was known."""

from dataclasses import dataclass

from hub import log
from hub.intake.ledger import Ledger, Taken
from hub.store import Connection
from keys import merkle
from keys.errors import Fault
from keys.tiles import Edge
from protocols.receipt import LogProof, log_proof


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job's end: proven in the log, and whether it was new."""

    proof: LogProof
    new: bool


async def prove(
    connection: Connection, origin: str, ledger: Ledger, edge: Edge | None, note: str, taken: list[Taken | Fault]
) -> list[Outcome | Fault]:
    """The outcome of each job of a batch, in order; refusals stay what they are."""
    outcomes: list[Outcome | Fault] = []
    for result in taken:
        if isinstance(result, Fault):
            outcomes.append(result)
        elif result.tree_size is None and edge is not None and result.index >= ledger.size:
            outcomes.append(Outcome(await _new(connection, origin, ledger, edge, note, result.index), result.new))
        else:
            place = log.Placed(result.index, result.tree_size or ledger.size)
            (proof,) = await log.prove(connection, origin, [place])
            outcomes.append(Outcome(proof, False))
    return outcomes


async def _new(connection: Connection, origin: str, ledger: Ledger, edge: Edge, note: str, index: int) -> LogProof:
    try:
        path = merkle.inclusion_proof(index, edge.size, edge.node)
    except KeyError:
        nodes = await log.read_nodes(connection, merkle.inclusion_nodes(index, edge.size))
        path = merkle.inclusion_proof(index, edge.size, lambda level, at: nodes[level, at])
    return log_proof(origin, index, ledger.leaves[index - ledger.size], path, note)
