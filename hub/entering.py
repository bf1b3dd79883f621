"""Words on who may sign for an organisation, entered in the log beside the batches of messages."""

from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.intake.store import store
from hub.organisations import Directory, load
from hub.relaying.storing import store_passing
from hub.store import Connection
from hub.store.queries import SQL
from protocols.entries import Delegated, DelegationEnded, KeyAdded, KeyCompromised, KeyRemoved, Succeeded

KEY_EVENTS = KeyAdded | KeyRemoved | KeyCompromised | Delegated | DelegationEnded | Succeeded
"""The entries that an organisation looks through to see who may sign for it."""


async def opened(connection: Connection, known: Directory | None = None) -> Ledger:
    """An empty ledger over the world as it stands; the log's lock is held until the transaction ends.

    Of a directory that is `known` from before only what changed is read.
    """
    before = await load(connection, known)  # a country's takes a while: most of it is read before anybody has to wait
    head = await connection.fetchrow(SQL["lock_head"], "0")
    assert head is not None
    directory, origin, base = await load(connection, before), head["origin"], head["epoch_base"]
    return Ledger(now=head["now"], size=head["size"], directory=directory, origin=origin, epoch_base=base)


async def store_alone(connection: Connection, identity: Identity, ledger: Ledger) -> None:
    """Write what is in the ledger, where it changes nobody's standing."""
    if ledger.leaves:
        await store(connection, ledger, identity)
    else:
        await store_passing(connection, ledger, ledger.size)


async def finish(connection: Connection, identity: Identity, ledger: Ledger) -> None:
    """Write what is in the ledger, in force from the next batch on: whoever judges one reads the directory again."""
    await connection.execute(SQL["bump_key_epoch"])
    if ledger.leaves:
        await store(connection, ledger, identity)
        about = [(e.organisation, at) for at, e in enumerate(ledger.entered, ledger.size) if isinstance(e, KEY_EVENTS)]
        columns = [name for name, _ in about], [index for _, index in about]
        await connection.execute(SQL["add_key_events"], *columns, ledger.size + len(ledger.entered))
