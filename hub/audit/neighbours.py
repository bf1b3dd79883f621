"""Neighbours and what was carried between hubs: tables against the log, other hubs' receipts against their keys."""

import msgspec
from asyncpg import Record

from hub.audit.page import Page
from hub.audit.signers import Signers
from hub.store import Connection
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import envelope, receipt
from protocols.between_hubs import NeighbourAdmitted, NeighbourEnded, Relayed, Returned, There
from protocols.entries import Accepted, Entry


class Neighbours:
    """Holds `neighbour` and `relay` against the log."""

    def __init__(self, signers: Signers) -> None:
        self._signers = signers
        self._hubs: dict[str, tuple[str, str, str | None]] = {}
        self._taken: dict[str, int] = {}
        self._carried = 0

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """What a stretch says of neighbours, and what was carried in it."""
        found, carried = [], dict[int, tuple[str, str, int | None]]()
        for index, entry in page.entries.items():
            match entry:
                case NeighbourAdmitted():
                    self._hubs[entry.hub] = entry.url, entry.expires, None
                case NeighbourEnded():
                    url, expires, _ = self._hubs.get(entry.hub, ("", "", None))
                    self._hubs[entry.hub] = url, expires, entry.at
                case Accepted(first=None):
                    pass
                case Accepted() | Relayed() | Returned():
                    carried[index] = entry.subject, *_way(entry)
                    found += self._order(index, entry)
                case _:
                    pass
        self._carried += len(carried)
        columns = [case for case, _, _ in carried.values()], list(carried)
        rows = {row["log_index"]: row for row in await connection.fetch(SQL["relays_at"], *columns)} if carried else {}
        for index, (_, way, there) in carried.items():
            row = rows.get(index)
            if row is None or (row["way"], row["there_index"]) != (way, there):
                found.append(f"what was carried at {index} differs from the log")
            else:
                found += self._receipts(index, row["hub"], there, row["receipts"])
        return found

    def _order(self, index: int, entry: Accepted | Relayed | Returned) -> list[str]:
        """Places of a neighbour's list follow each other."""
        there = _from(entry)
        if there is None or there.position is None:
            return []
        before = self._taken.get(there.hub, 0)
        self._taken[there.hub] = there.position
        fits = there.position == before + 1
        return [] if fits else [f"entry {index}: place {there.position} of {there.hub} follows {before}"]

    def _receipts(self, index: int, hub: str, there: int | None, text: str) -> list[str]:
        given = msgspec.json.decode(text)
        try:
            for number, one in enumerate(given):
                log = receipt.parse(one).log
                last = number + 1 == len(given)
                if last:
                    receipt.verify_log(log, self._signers.hub_keys(hub))
                    if log.index != there:
                        return [f"the receipt of {hub} at {index} is of another entry"]
        except Fault as fault:
            return [f"the receipt of {hub} at {index} does not hold: {fault.detail}"]
        return []

    async def finish(self, connection: Connection) -> list[str]:
        """The neighbours are those of the log, each at the place that the log has come to."""
        found = []
        stored = {row["hub"]: _stored(row) for row in await connection.fetch(SQL["neighbours"])}
        found += [f"the neighbour {hub} differs from the log" for hub in sorted(stored.keys() | self._hubs.keys())
                  if stored.get(hub) != self._hubs.get(hub)]  # fmt: skip
        for row in await connection.fetch(SQL["neighbour_cursors"], list(stored)):
            if row["taken"] != self._taken.get(row["hub"], 0):
                found.append(f"the list of {row['hub']} was taken to another place than the log says")
        rows = await connection.fetchval(SQL["relay_total"])
        if rows != self._carried:
            found.append(f"{rows} rows of what was carried where the log has {self._carried}")
        return found


def _stored(row: Record) -> tuple[str, str, str | None]:
    ended = envelope.rfc3339(row["ended"]) if row["ended"] else None
    return row["url"], envelope.rfc3339(row["expires"]), ended


def _way(entry: Entry) -> tuple[str, int | None]:
    match entry:
        case Relayed(there=None):
            return "up", None
        case Relayed(there=There(index=index)):
            return "down", index
        case Returned(there=There(index=index)):
            return "returned", index
        case Returned(first=There(index=index)):
            return "refused", index
        case Accepted(first=There(index=index)):
            return "home", index
    raise AssertionError(entry)


def _from(entry: Accepted | Relayed | Returned) -> There | None:
    """The other hub's entry that was handed over."""
    return entry.first if isinstance(entry, Accepted) else entry.there or (entry.first if _refused(entry) else None)


def _refused(entry: Relayed | Returned) -> bool:
    return isinstance(entry, Returned) and entry.there is None
