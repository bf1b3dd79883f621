"""Step 7: the ledger and the log's new head written in few statements, in the batch's transaction."""

from collections.abc import Sequence
from typing import Any

import msgspec

from hub import log
from hub.errors import Unavailable
from hub.identity import Identity
from hub.intake.ledger import Ledger, MailboxRow
from hub.relaying.storing import store_passing
from hub.store import Connection
from hub.store.queries import SQL
from keys import checkpoint, merkle
from keys.checkpoint import Checkpoint
from keys.tiles import Edge

MAX_NOTICE = 7_900
"""PostgreSQL carries fewer than 8,000 bytes in one notification."""
_case_encoder = msgspec.json.Encoder()


async def store(
    connection: Connection, ledger: Ledger, identity: Identity, edge: Edge | None = None
) -> tuple[Edge, str]:
    """Write everything in `ledger` and move the log's head; the tree's right edge and its signed checkpoint.

    Raises Unavailable where a case is no longer what the ledger read.

    `edge` is the tree as remembered, used only when it has the ledger's size; it is left as it was, for the
    transaction may yet fail.
    """
    remembered = edge if edge is not None and edge.size == ledger.size else await log.load_edge(connection, ledger.size)
    grown = remembered.copy()
    grown.forget()
    tiles = grown.append([merkle.leaf_hash(leaf) for leaf in ledger.leaves])
    size, root = grown.size, grown.root()
    note = checkpoint.sign_checkpoint(Checkpoint(ledger.origin, size, root), identity.key)
    await _messages(connection, ledger, size)
    await store_passing(connection, ledger, size)
    await _cases(connection, ledger, size)
    await _mailboxes(connection, ledger, size)
    if ledger.uses:
        await connection.execute(SQL["add_uses"], *_columns(ledger.uses), *_columns(ledger.grants))
        await connection.execute(SQL["name_attachments"], [use[0] for use in ledger.uses])
    if tiles:
        columns = ([t.level for t in tiles], [t.index for t in tiles], [t.hashes for t in tiles])
        await connection.execute(SQL["add_tiles"], *columns, [t.root for t in tiles])
    woken = _woken(ledger)
    await connection.execute(SQL["append"], ledger.size, ledger.leaves, size, root, note, ledger.now, woken)
    return grown, note


def _woken(ledger: Ledger) -> str | None:
    """Who has something new in the mailbox, for the processes where they wait: everybody where the list is too long."""
    names = " ".join({row.recipient for row in (*ledger.mailbox, *ledger.passing.mailbox)})
    return (names if len(names) <= MAX_NOTICE else "") if names else None


async def _messages(connection: Connection, ledger: Ledger, size: int) -> None:
    if ledger.messages:
        columns = *_columns(ledger.messages), *_columns(ledger.mailbox, len(MailboxRow._fields))
        await connection.execute(SQL["add_messages"], *columns, size, ledger.now)


async def _cases(connection: Connection, ledger: Ledger, size: int) -> None:
    if not ledger.changed_cases:
        return
    rows = [
        (
            case.id,
            case.protocol,
            case.version,
            case.state,
            case.opener,
            case.position.responder,
            due,
            case.opened,
            _case_encoder.encode(case).decode(),
            ledger.moves.get(case.id, 0) + 1,
        )
        for case, due in ledger.changed_cases.values()
    ]
    parties = _columns(sorted(ledger.parties))
    written = await connection.execute(SQL["set_cases"], *_columns(rows), ledger.now, *parties)
    if written != f"INSERT 0 {len(rows)}":
        # On a cluster a node can hear late of a commit, after what it had before was read here (decision 43).
        raise Unavailable("a case was written meanwhile")
    duties = [(case, index, ready) for case, (index, ready) in ledger.duties.items() if ready is not None]
    if duties:
        await connection.execute(SQL["set_duties"], *_columns(duties))
    if len(duties) < len(ledger.duties):
        await connection.execute(
            SQL["end_duties"], [case for case, (_, ready) in ledger.duties.items() if ready is None]
        )
    if ledger.due_changes:
        await connection.execute(SQL["add_due_changes"], *_columns(ledger.due_changes), size)
    if ledger.links:
        await connection.execute(SQL["add_links"], *_columns(ledger.links))


async def _mailboxes(connection: Connection, ledger: Ledger, size: int) -> None:
    changed = [(name, c.last, c.handed, c.fetched, c.acknowledged) for name, c in ledger.counters.items() if c.changed]
    if changed:
        await connection.execute(SQL["set_counters"], *_columns(sorted(changed)))
    for recipient, position in ledger.expired:
        await connection.execute(SQL["mark_expired"], recipient, position)
    if ledger.marks:
        await connection.execute(SQL["add_marks"], *_columns(ledger.marks), size)


def _columns(rows: Sequence[tuple[Any, ...]], width: int = 0) -> list[tuple[Any, ...]]:
    """The columns of rows, for a statement that takes an array of each; `width` of them where there are no rows."""
    return list(zip(*rows, strict=True)) if rows else [()] * width
