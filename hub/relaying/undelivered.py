"""A message that expired unread at another hub: entered here too, and its sender told by the case's home."""

from datetime import datetime

from asyncpg import Record

from hub import expiry
from hub.identity import Identity
from hub.intake.decode import decode
from hub.intake.ledger import Counter, Ledger
from hub.store import Connection
from hub.store.queries import SQL
from protocols import envelope
from protocols.between_hubs import There
from protocols.entries import Expired
from protocols.loading import Catalogue


async def expired(
    connection: Connection, ledger: Ledger, identity: Identity, catalogue: Catalogue, entry: Expired, there: There
) -> None:
    """Enter what a neighbour says of the mailbox of its own organisation, where this hub is the case's home.

    Passed over where the message had not expired by what its sender signed: a neighbour takes back nobody's word.
    """
    if ledger.directory.home(entry.recipient) != there.hub:
        return
    rows = await connection.fetch(SQL["positions_there"], entry.recipient, entry.position, entry.position)
    known = {row["position"] for row in rows} | {
        here for name, at, here in ledger.passing.positions if (name, at) == (entry.recipient, entry.position)
    }
    for position in sorted(known):
        row = await connection.fetchrow(SQL["mailbox_place"], entry.recipient, position)
        if row is None or row["expired"] or (row["source"], str(row["id"])) != (entry.source, entry.id):
            continue
        (found,) = await connection.fetch(SQL["cases"], [row["case_id"]])
        case = ledger.read(found)
        if case.home is None and await _past(connection, row, datetime.fromisoformat(there.at)):
            ledger.cases[case.id] = case
            await _count(connection, ledger, entry.source)
            expiry.job(row, identity, catalogue, case, there).take(ledger)


async def _past(connection: Connection, row: Record, moment: datetime) -> bool:
    """Whether the message had expired at that moment, by its own signed words."""
    keys = [row["case_id"]], [row["log_index"]], [row["accepted"]]
    (kept,) = await connection.fetch(SQL["messages"], *keys)
    until = envelope.event(decode(kept["jws"]).attributes).expirytime
    return until is not None and until <= moment


async def _count(connection: Connection, ledger: Ledger, sender: str) -> None:
    """The counters that the notice to its sender moves."""
    wanted = {sender, *ledger.directory.neighbours} - ledger.counters.keys()
    for row in await connection.fetch(SQL["counters"], list(wanted)):
        ledger.counters[row["recipient"]] = Counter(row["last"], row["handed"], row["fetched"], row["acknowledged"])
