"""Every mailbox position against the log: no gap, nothing twice; every acknowledgement signed by its recipient."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec

from hub.audit.page import Page
from hub.audit.signers import Signers
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from protocols import envelope, epochs
from protocols.between_hubs import Marked
from protocols.entries import Acknowledged, Carried, Continued, Expired, Fetched


@dataclass(slots=True)
class _Counter:
    last: int = 0
    fetched: int = 0
    acknowledged: int = 0


class Mailboxes:
    """Counts positions as the log gives them out and holds `mailbox`, its counters and its marks against that."""

    def __init__(self, signers: Signers) -> None:
        self._signers = signers
        self._counters: dict[str, _Counter] = {}
        self._expired: set[tuple[str, int]] = set()
        self._marks = 0
        self._given = 0
        self._base = 0

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """The positions, ranges and acknowledgements of a stretch."""
        found: list[str] = []
        for index, entry in page.entries.items():
            if isinstance(entry, Continued):
                self._begin_epoch(entry)
            elif isinstance(entry, Carried):
                found += self._positions(index, entry)
            elif isinstance(entry, Marked):
                found += self._marked(index, entry)
            elif isinstance(entry, Fetched | Acknowledged):
                found += self._range(index, entry)
            elif isinstance(entry, Expired):
                self._expired.add((entry.recipient, entry.position))
                self._marks += 1
            if isinstance(entry, Acknowledged):
                found += await self._acknowledged(connection, page, index, entry)
        return found + await self._rows(connection, page)

    def _begin_epoch(self, entry: Continued) -> None:
        """Positions go on in the new epoch: who was at the end of the old one is at the end of its numbers."""
        self._base = epochs.base(entry.epoch)
        for counter in self._counters.values():
            counter.fetched = self._base if counter.fetched == counter.last else counter.fetched
            counter.acknowledged = self._base if counter.acknowledged == counter.last else counter.acknowledged
            counter.last = self._base

    def _counter(self, name: str) -> _Counter:
        return self._counters.setdefault(name, _Counter(self._base, self._base, self._base))

    def _positions(self, index: int, entry: Carried) -> list[str]:
        found = []
        for recipient, position in positions_in(entry).items():
            counter = self._counter(recipient)
            self._given += 1
            if position != counter.last + 1:
                found.append(f"entry {index}: position {position} of {recipient} follows {counter.last}")
            counter.last = position
        return found

    def _range(self, index: int, entry: Fetched | Acknowledged) -> list[str]:
        self._marks += 1
        counter = self._counter(entry.recipient)
        kind = "fetched" if isinstance(entry, Fetched) else "acknowledged"
        before, limit = getattr(counter, kind), counter.last if kind == "fetched" else counter.fetched
        setattr(counter, kind, entry.through)
        if entry.from_ != before + 1 or not entry.from_ <= entry.through <= limit:
            return [f"entry {index}: {kind} {entry.from_} to {entry.through} follows {before} of {limit}"]
        return []

    def _marked(self, index: int, entry: Marked) -> list[str]:
        """What another hub says that its organisation fetched; that it signed for it, it says itself."""
        self._marks += len(entry.positions)
        last = self._counter(entry.recipient).last
        if not entry.positions or not all(1 <= position <= last for position in entry.positions):
            return [f"entry {index}: marks positions of {entry.recipient} that were not given out"]
        if entry.mark != "acknowledged":
            return []
        try:
            compact = jws.decode((entry.jws or "").encode(), typ=envelope.ACK_TYP)
            at = datetime.fromisoformat(entry.there.at)
            self._signers.verify_there(compact, entry.recipient, index, at)
        except Fault as fault:
            return [f"entry {index}: the acknowledgement is not {entry.recipient}'s: {fault.detail}"]
        return []

    async def _acknowledged(self, connection: Connection, page: Page, index: int, entry: Acknowledged) -> list[str]:
        """The recipient itself said so, of the message that stands there."""
        digest = await connection.fetchval(SQL["mailbox_digest"], entry.recipient, entry.through)
        try:
            compact = jws.decode(entry.jws.encode(), typ=envelope.ACK_TYP)
            self._signers.verify_acknowledgement(compact, entry.recipient, index, page.moment(index))
            said = msgspec.json.decode(compact.payload, type=dict[str, object])
        except (Fault, msgspec.MsgspecError) as error:
            return [f"entry {index}: the acknowledgement is not {entry.recipient}'s: {error}"]
        expected = (entry.recipient, entry.through, None if digest is None else "sha-256:" + digest.hex())
        if (said.get("recipient"), said.get("through"), said.get("digest")) != expected:
            return [f"entry {index}: the acknowledgement is of something else"]
        return []

    async def _rows(self, connection: Connection, page: Page) -> list[str]:
        carried = page.carried()
        places = [(n, at, index) for index, e in carried.items() for n, at in positions_in(e).items()]
        columns = [name for name, _, _ in places], [at for _, at, _ in places]
        rows = {(r["recipient"], r["position"]): r for r in await connection.fetch(SQL["mailbox_rows"], *columns)}
        found = []
        for name, at, index in places:
            row, entry = rows.get((name, at)), carried[index]
            if row is None or (row["log_index"], "sha-256:" + row["digest"].hex()) != (index, entry.digest):
                found.append(f"position {at} of {name} does not hold the message of entry {index}")
        return found

    async def finish(self, connection: Connection) -> list[str]:
        """Counters, marks and tombstones are those of the log, and no position is stored beyond it."""
        found = []
        for row in await connection.fetch(SQL["all_counters"]):
            stored = _Counter(row["last"], row["fetched"], row["acknowledged"])
            counter = self._counters.pop(row["recipient"], None) or _Counter(self._base, self._base, self._base)
            if stored != counter or not counter.fetched <= row["handed"] <= counter.last:
                found.append(f"the mailbox counter of {row['recipient']} differs from the log")
        found += [f"the mailbox counter of {name} is gone" for name in self._counters]
        for row in await connection.fetch(SQL["expired_positions"]):
            place = row["recipient"], row["position"]
            if place not in self._expired and not row["fetched"]:
                found.append(f"position {place[1]} of {place[0]} is marked expired; the log does not say so")
            self._expired.discard(place)
        found += [f"position {at} of {name} has expired and is not marked so" for name, at in sorted(self._expired)]
        totals = await connection.fetchrow(SQL["mailbox_totals"])
        assert totals is not None
        if totals["positions"] != self._given:
            found.append(f"{totals['positions']} mailbox rows where {self._given} positions were given out")
        if totals["marks"] != self._marks:
            found.append(f"{totals['marks']} mailbox marks where the log has {self._marks}")
        return found


def positions_in(entry: Carried) -> Mapping[str, int]:
    """Every position that the entry gives out: of recipients, and in the lists of other hubs."""
    return {**getattr(entry, "recipients", {}), **(entry.via or {})}
