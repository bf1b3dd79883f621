"""Attachments against the messages that name them: each is still there, and given to nobody else."""

from hub.audit.page import Page
from hub.store import Connection
from hub.store.queries import SQL
from protocols import attachments
from protocols.entries import Accepted


class Attachments:
    """Holds the tables of attachments against the accepted messages."""

    def __init__(self) -> None:
        self._uses = 0
        self._given: set[tuple[bytes, str]] = set()

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """The attachments that the messages of a stretch name."""
        named: dict[tuple[int, bytes], Accepted] = {}
        for index, (_, event) in page.messages.items():
            entry = page.entries.get(index)
            if isinstance(entry, Accepted):
                for text in attachments.named(event.data):
                    named[index, bytes.fromhex(text.removeprefix("sha-256:"))] = entry
        self._uses += len(named)
        rows = await connection.fetch(SQL["attachments_named"], list({index for index, _ in named}))
        known = {(row["log_index"], row["digest"]): row for row in rows}
        found = []
        for (index, digest), entry in named.items():
            row = known.get((index, digest))
            if row is None or row["size"] is None or str(row["case_id"]) != entry.subject:
                found.append(f"attachment {digest.hex()} of the message at {index} is gone")
            self._given.update((digest, name) for name in (entry.source, *entry.recipients))
        return found

    async def finish(self, connection: Connection) -> list[str]:
        """No message is said to name one that it does not, and nobody may read one who was given none."""
        uses = await connection.fetchval(SQL["attachment_totals"])
        found = [] if uses == self._uses else [f"{uses} uses of attachments are stored where the log has {self._uses}"]
        rows = await connection.fetch(SQL["attachment_grants"])
        return found + [
            f"{row['organisation']} may read attachment {row['digest'].hex()}, which no message gave it"
            for row in rows
            if (row["digest"], row["organisation"]) not in self._given
        ]
