"""Every message against its entry: its bytes, its sender's signature, what it is known by."""

import hashlib
from datetime import datetime

from hub.audit.erasures import Erasures
from hub.audit.page import Page
from hub.audit.signers import Signers
from hub.store import Connection
from hub.store.queries import SQL
from keys.errors import Fault
from protocols.between_hubs import Relayed
from protocols.entries import Accepted, Carried, happened


class Messages:
    """Holds `message` and `message_key` against the accepted entries."""

    def __init__(self, signers: Signers, erasures: Erasures) -> None:
        self._signers, self._erasures = signers, erasures
        self._seen = self._keyed = 0

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """The messages of a stretch."""
        found: list[str] = []
        carried = page.carried()
        self._seen += len(carried)
        columns = [e.source for e in carried.values()], [e.id for e in carried.values()]
        rows = await connection.fetch(SQL["message_keys"], *columns)
        known = {(row["source"], str(row["id"])): row for row in rows}
        for index, entry in carried.items():
            first = self._signers.first_of(entry)
            self._keyed += first
            body = page.bodies.get(index)
            if body is None:
                if self._erasures.missing(index, entry):
                    self._seen -= 1
                else:
                    found.append(f"message at {index} is gone")
                continue
            found += self._erasures.present(index, entry)
            row = known.get((entry.source, entry.id))
            row = None if row is not None and first and row["log_index"] != index else row
            signing = hashlib.sha256(body.rpartition(b".")[0]).digest()
            digest = hashlib.sha256(body).digest()
            if entry.digest != "sha-256:" + digest.hex():
                found.append(f"message at {index} does not fit its digest")
            elif row is None or (row["digest"], row["signing_input"]) != (digest, signing):
                found.append(f"message at {index} is not known by its source and id")
            elif index in page.messages:
                found += self._message(page, index, entry)
        return found

    def _message(self, page: Page, index: int, entry: Carried) -> list[str]:
        compact, event = page.messages[index]
        said: tuple[object, ...] = (event.id, event.source, event.type, event.subject)
        logged: tuple[object, ...] = (entry.id, entry.source, entry.type, entry.subject)
        if isinstance(entry, Accepted | Relayed):
            # On its way to another home a message has no positions.
            away = isinstance(entry, Relayed) and entry.there is None
            told = set(event.recipients if away else entry.recipients)
            said, logged = (*said, event.causationid, set(event.recipients)), (*logged, entry.causationid, told)
        if said != logged:
            return [f"entry {index} says something else than its message"]
        try:
            self._signers.verify_message(compact, entry, index, datetime.fromisoformat(happened(entry)))
        except Fault as fault:
            return [f"message at {index} is not signed by {entry.source}: {fault.detail}"]
        return []

    async def finish(self, connection: Connection) -> list[str]:
        """Nothing is stored that no entry took."""
        totals = await connection.fetchrow(SQL["message_totals"])
        assert totals is not None
        return [
            f"{totals[name]} rows in {name} where the log has {expected} messages"
            for name, expected in (("message", self._seen), ("message_key", self._keyed))
            if totals[name] != expected
        ]
