"""A log whose database was set back, or may have been, goes on under a new origin: what was published never forks."""

from hub import entering
from hub.identity import Identity, new_origin
from hub.store import Connection
from hub.store.queries import SQL
from keys.checkpoint import note_origin
from protocols import epochs
from protocols.entries import Continued


async def go_on(connection: Connection, identity: Identity, published: str | None) -> Continued:
    """Begin a new origin and mailbox epoch, in one transaction; the entry that says so is the log's next.

    `published` is the last checkpoint that is known to have been handed out, where one is. Whatever runs on the
    database meanwhile signs under the new origin from its next batch on: the origin is read under the log's lock.
    """
    async with connection.transaction():
        ledger = await entering.opened(connection)
        head = await connection.fetchrow(SQL["head"])
        assert head is not None
        epoch = len(await connection.fetch(SQL["origins"]))
        said = Continued(new_origin(identity.hub), epoch, head["note"], published, ledger.at)
        assert note_origin(head["note"]) == ledger.origin
        await connection.execute(SQL["continue_log"], said.origin, epoch, epochs.base(epoch))
        await connection.execute(SQL["begin_epoch"], epochs.base(epoch))
        ledger.origin, ledger.epoch_base = said.origin, epochs.base(epoch)
        ledger.append(said)
        await entering.store_alone(connection, identity, ledger)
    return said
