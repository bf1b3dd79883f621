"""What organisations of a neighbour fetched and signed for there, and due dates that a home moved, repeated here."""

from datetime import date, datetime

import msgspec

from hub.intake.ledger import Ledger, MarkRow
from hub.mailbox import read_acknowledgement
from hub.organisations import Directory, Organisation
from hub.relaying.faults import RelayInvalid
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from protocols import entries
from protocols.between_hubs import Marked, Relayed, There
from protocols.entries import Accepted, Acknowledged, DueChanged, Entry, Fetched

MOST_POSITIONS = 2_000
"""Positions in one entry, so that it stays an entry."""


async def place(connection: Connection, ledger: Ledger, hub: str, entry: Accepted | Relayed) -> None:
    """Learn where the neighbour's organisations have a message that lies in mailboxes here, too."""
    row = await connection.fetchrow(SQL["message_key"], entry.source, entry.id)
    if row is None or "sha-256:" + row["digest"].hex() != entry.digest:
        return
    carried = await connection.fetch(SQL["relays"], [row["case_id"]])
    down = [
        r["log_index"] for r in carried if (r["source"], str(r["id"]), r["way"]) == (entry.source, entry.id, "down")
    ]
    (found,) = await connection.fetch(SQL["entries"], [*down, row["log_index"]][:1])
    here = getattr(entries.decode(found["leaf"]), "recipients", {})
    ledger.passing.positions += [
        (name, position, here[name])
        for name, position in entry.recipients.items()
        if ledger.directory.home(name) == hub and name in here
    ]


async def mark(connection: Connection, ledger: Ledger, entry: Entry, there: There) -> None:
    """Enter that an organisation of the neighbour fetched, or signed for, messages that have positions here."""
    if not isinstance(entry, Fetched | Acknowledged) or ledger.directory.home(entry.recipient) != there.hub:
        return
    kind = "fetched" if isinstance(entry, Fetched) else "acknowledged"
    found = await connection.fetch(SQL["positions_there"], entry.recipient, entry.from_, entry.through)
    at = {row["position"] for row in found}
    at |= {here for name, where, here in ledger.passing.positions
           if name == entry.recipient and entry.from_ <= where <= entry.through}  # fmt: skip
    known = await connection.fetch(SQL["marked"], entry.recipient, kind, list(at))
    news = sorted(at - {row["through"] for row in known})
    if not news:
        return
    if isinstance(entry, Acknowledged):
        _require_signed(entry, there, ledger.directory)
    for begin in range(0, len(news), MOST_POSITIONS):
        positions = news[begin : begin + MOST_POSITIONS]
        word = entry.jws if isinstance(entry, Acknowledged) else None
        marked = Marked(kind, entry.recipient, positions, there, ledger.at, word)  # type: ignore[arg-type]
        index = ledger.append(marked)
        ledger.marks += [MarkRow(entry.recipient, kind, at, at, index) for at in positions]


def _require_signed(entry: Acknowledged, there: There, directory: Directory) -> None:
    """Nobody, a hub included, can invent an acknowledgement. Raises RelayInvalid."""
    try:
        compact, said = read_acknowledgement(entry.jws.encode())
        signer = _signer(directory, entry.recipient, compact.header.kid, there.hub)
        key = signer.ring.verifying(compact.header.kid, datetime.fromisoformat(there.at), signer.algorithms)
        jws.verify(compact, key, signer.algorithms)
    except Fault as fault:
        raise RelayInvalid(f"the acknowledgement is not {entry.recipient}'s: {fault.detail}") from None
    if (said.hub, said.recipient, said.through) != (there.hub, entry.recipient, entry.through):
        raise RelayInvalid("the acknowledgement says something else than its entry")


def _signer(directory: Directory, recipient: str, kid: str | None, hub: str) -> Organisation:
    """Whose key it is: the recipient's, or that of one of the same hub that acts for it, as its hub's log says."""
    own = directory.organisations[recipient]
    others = (one for one in directory.organisations.values() if one.home == hub and one.ring.knows(kid))
    return own if own.ring.knows(kid) else next(others, own)


async def due_changed(connection: Connection, ledger: Ledger, entry: DueChanged, there: There) -> None:
    """Repeat that the home of a case moved its due date."""
    rows = await connection.fetch(SQL["cases"], [entry.subject])
    case = ledger.read(rows[0]) if rows else None
    if case is None or case.home != there.hub or entry.there is not None:
        return
    moved = msgspec.structs.replace(entry, at=ledger.at, there=there)
    index = ledger.append(moved)
    ledger.due_changes.append((entry.subject, index))
    ledger.changed_cases[entry.subject] = (case, date.fromisoformat(entry.due) if entry.due else None)
