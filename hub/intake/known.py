"""Step 2: bytes that were taken before get their first receipt, whatever has changed since."""

from hub import log
from hub.errors import IdReused
from hub.intake.decode import Incoming
from hub.intake.prove import Outcome, stored
from hub.store import Connection
from hub.store.queries import SQL


async def first(connection: Connection, incoming: Incoming) -> Outcome | None:
    """The outcome these bytes had when they first came, None for unknown ones.

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
    return await stored(connection, log.Placed(row["log_index"], row["tree_size"]))
