"""What a batch carries between hubs, written beside its messages in the same transaction."""

from collections.abc import Sequence
from typing import Any

from hub.intake.ledger import Ledger, MailboxRow
from hub.store import Connection
from hub.store.queries import SQL


async def store_passing(connection: Connection, ledger: Ledger, size: int) -> None:
    """Write what `ledger.passing` holds; nothing where it is empty."""
    passing = ledger.passing
    if passing.messages:
        boxes = columns(passing.mailbox) if passing.mailbox else [()] * len(MailboxRow._fields)
        await connection.execute(SQL["add_passing"], *columns(passing.messages), *boxes, size, ledger.now)
    if passing.rows:
        await connection.execute(SQL["add_relays"], *columns(passing.rows), size)
    if passing.positions:
        await connection.execute(SQL["add_positions_there"], *columns(passing.positions))
    for hub in passing.moved:
        await connection.execute(SQL["move_taken"], hub, passing.taken[hub])


def columns(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The columns of rows, for a statement that takes an array of each."""
    return list(zip(*rows, strict=True))
