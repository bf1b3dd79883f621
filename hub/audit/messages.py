"""Every message against its entry: its bytes, its sender's signature, what it is known by."""

import hashlib

from hub.audit.page import Page
from hub.audit.signers import Signers
from hub.store import Connection
from hub.store.queries import SQL
from keys.errors import Fault
from protocols.entries import Accepted


class Messages:
    """Holds `message` and `message_key` against the accepted entries."""

    def __init__(self, signers: Signers) -> None:
        self._signers = signers
        self._seen = 0

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """The messages of a stretch."""
        found: list[str] = []
        accepted = page.accepted()
        self._seen += len(accepted)
        columns = [e.source for e in accepted.values()], [e.id for e in accepted.values()]
        known = {row["log_index"]: row for row in await connection.fetch(SQL["message_keys"], *columns)}
        for index, entry in accepted.items():
            body = page.bodies.get(index)
            if body is None:
                found.append(f"message at {index} is gone")
                continue
            row = known.get(index)
            signing = hashlib.sha256(body.rpartition(b".")[0]).digest()
            digest = hashlib.sha256(body).digest()
            if entry.digest != "sha-256:" + digest.hex():
                found.append(f"message at {index} does not fit its digest")
            elif row is None or (row["digest"], row["signing_input"]) != (digest, signing):
                found.append(f"message at {index} is not known by its source and id")
            elif index in page.messages:
                found += self._message(page, index, entry)
        return found

    def _message(self, page: Page, index: int, entry: Accepted) -> list[str]:
        compact, event = page.messages[index]
        said = (event.id, event.source, event.type, event.subject, event.causationid, set(event.recipients))
        logged = (entry.id, entry.source, entry.type, entry.subject, entry.causationid, set(entry.recipients))
        if said != logged:
            return [f"entry {index} says something else than its message"]
        try:
            self._signers.verify_message(compact, entry, index, page.moment(index))
        except Fault as fault:
            return [f"message at {index} is not signed by {entry.source}: {fault.detail}"]
        return []

    async def finish(self, connection: Connection) -> list[str]:
        """Nothing is stored that no entry took."""
        totals = await connection.fetchrow(SQL["message_totals"])
        assert totals is not None
        return [
            f"{totals[name]} rows in {name} where the log has {self._seen} messages"
            for name in ("message", "message_key")
            if totals[name] != self._seen
        ]
