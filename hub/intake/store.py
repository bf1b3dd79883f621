"""Step 7: the ledger and the log's new head written in few statements, in the batch's transaction."""

from collections.abc import Sequence
from typing import Any

import msgspec

from hub import log
from hub.identity import Identity
from hub.intake.ledger import Ledger, MessageRow
from hub.store import Connection
from hub.store.queries import SQL
from keys import checkpoint, merkle
from keys.checkpoint import Checkpoint
from keys.tiles import Edge


async def store(
    connection: Connection, ledger: Ledger, identity: Identity, edge: Edge | None = None
) -> tuple[Edge, str]:
    """Write everything in `ledger` and move the log's head; the tree's right edge and its signed checkpoint.

    `edge` is the tree as remembered, used only when it has the ledger's size; it is left as it was, for the
    transaction may yet fail.
    """
    remembered = edge if edge is not None and edge.size == ledger.size else await log.load_edge(connection, ledger.size)
    grown = remembered.copy()
    grown.forget()
    tiles = grown.append([merkle.leaf_hash(leaf) for leaf in ledger.leaves])
    size, root = grown.size, grown.root()
    note = checkpoint.sign_checkpoint(Checkpoint(identity.origin, size, root), identity.key)
    await _messages(connection, ledger, size)
    await _cases(connection, ledger)
    await _mailboxes(connection, ledger, size)
    if tiles:
        columns = ([t.level for t in tiles], [t.index for t in tiles], [t.hashes for t in tiles])
        await connection.execute(SQL["add_tiles"], *columns, [t.root for t in tiles])
    await connection.execute(SQL["append"], ledger.size, ledger.leaves, size, root, note, ledger.now)
    return grown, note


async def _messages(connection: Connection, ledger: Ledger, size: int) -> None:
    if ledger.messages:
        columns = _columns(MessageRow, ledger.messages)
        await connection.execute(SQL["add_messages"], *columns, size, ledger.now)


def _columns(kind: type[Any], rows: Sequence[Any]) -> list[list[Any]]:
    """The rows' fields, a list each, in the order in which the class names them."""
    return [[getattr(row, name) for row in rows] for name in kind.__slots__]


async def _cases(connection: Connection, ledger: Ledger) -> None:
    if not ledger.changed_cases:
        return
    changed = list(ledger.changed_cases.values())
    await connection.execute(
        SQL["set_cases"],
        [case.id for case, _ in changed],
        [case.protocol for case, _ in changed],
        [case.version for case, _ in changed],
        [case.state for case, _ in changed],
        [case.opener for case, _ in changed],
        [case.position.responder for case, _ in changed],
        [due for _, due in changed],
        [case.opened for case, _ in changed],
        [msgspec.json.encode(case).decode() for case, _ in changed],
        ledger.now,
    )
    parties = sorted(ledger.parties)
    await connection.execute(SQL["add_parties"], [p[0] for p in parties], [p[1] for p in parties])


async def _mailboxes(connection: Connection, ledger: Ledger, size: int) -> None:
    rows = ledger.mailbox
    if rows:
        await connection.execute(
            SQL["add_to_mailboxes"],
            [row.recipient for row in rows],
            [row.position for row in rows],
            [row.message.case_id for row in rows],
            [row.message.log_index for row in rows],
            [row.message.source for row in rows],
            [row.message.id for row in rows],
            [row.message.digest for row in rows],
            [row.expires for row in rows],
            size,
            ledger.now,
        )
    counters = sorted((name, c) for name, c in ledger.counters.items() if c.changed)
    if counters:
        await connection.execute(
            SQL["set_counters"],
            [name for name, _ in counters],
            [c.last for _, c in counters],
            [c.handed for _, c in counters],
            [c.fetched for _, c in counters],
            [c.acknowledged for _, c in counters],
        )
    for recipient, position in ledger.expired:
        await connection.execute(SQL["mark_expired"], recipient, position)
    marks = ledger.marks
    if marks:
        columns = ([m.recipient for m in marks], [m.kind for m in marks], [m.first for m in marks])
        ends = ([m.through for m in marks], [m.log_index for m in marks])
        await connection.execute(SQL["add_marks"], *columns, *ends, size)
