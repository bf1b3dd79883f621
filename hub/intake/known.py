"""Step 2: bytes that were taken before get their first receipt, whatever has changed since."""

from dataclasses import dataclass

from hub import log
from hub.errors import IdReused
from hub.intake.decode import Incoming
from hub.intake.ledger import Job, Ledger, Taken
from hub.store import Connection
from hub.store.queries import SQL


@dataclass(frozen=True, slots=True)
class Known(Job):
    """What was entered before, at this place of the log.

    It changes nothing, and goes through a batch all the same: what can be read may be with the primary alone, after a
    crash, and the batch's commit waits until standbys have all that was there before it. So no receipt is given twice
    for what might be gone with the primary (docs/decisions/0048-silent-servers.md).
    """

    place: log.Placed

    @property
    def recipients(self) -> tuple[str, ...]:
        """Nobody gets it again."""
        return ()

    def take(self, ledger: Ledger) -> Taken:
        """As it was."""
        return Taken(self.place.index, self.place.tree_size, False)


async def first(connection: Connection, incoming: Incoming) -> Known | None:
    """What answers these bytes as when they first came, None for unknown ones.

    Raises IdReused where their source has used their id for another signing input. A message that passes
    every other check is looked up in its batch, under the log's lock; this look-up is for the others.
    """
    if incoming.key is None:
        return None
    source, id = incoming.key
    row = await connection.fetchrow(SQL["known"], [source], [id])
    if row is None:
        return None
    if row["signing_input"] != incoming.signing_digest:
        raise IdReused()
    return Known(log.Placed(row["log_index"], row["tree_size"]))
