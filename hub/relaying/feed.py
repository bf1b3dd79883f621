"""What of this hub's log concerns a neighbour: keys, what was fetched and signed for, moved dates."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hub import log
from hub.identity import Identity
from hub.organisations import Directory
from hub.store import Connection
from hub.store.queries import SQL
from protocols import entries
from protocols.between_hubs import Relayed
from protocols.departments import is_hub
from protocols.entries import Acknowledged, DueChanged, Entry, Expired, Fetched, KeyAdded, KeyCompromised, KeyRemoved
from protocols.receipt import LogProof

SCANNED = 2_000
"""Entries of the log looked at for one page."""


class Concern(msgspec.Struct, frozen=True):
    """An entry that concerns the neighbour, with its proof."""

    entry: Mapping[str, Any]
    log: LogProof


class Feed(msgspec.Struct, frozen=True):
    """A page: `next` is where the next one goes on, `size` how long the log is."""

    entries: list[Concern]
    next: int
    size: int


async def feed(
    connection: Connection, identity: Identity, directory: Directory, hub: str, after: int, limit: int
) -> Feed:
    """The entries from index `after` on that concern the neighbour `hub`, at most `limit`, in the log's order."""
    size = await connection.fetchval(SQL["size"])
    rows = await connection.fetch(SQL["entries_between"], after, min(after + SCANNED, size))
    read = {row["index"]: entries.decode(row["leaf"]) for row in rows}
    touched = await _touched(connection, directory, read)
    shared = await _shared(connection, hub, {case for cases in touched.values() for case in cases})
    wanted = [i for i, entry in read.items() if _on_keys(entry, directory) or not shared.isdisjoint(touched.get(i, ()))]
    through = wanted[limit] if len(wanted) > limit else after + len(read)
    places = [log.Placed(index, size) for index in wanted[:limit]]
    proven = await log.prove(connection, places) if places else []
    return Feed([Concern(entries.as_object(one.leaf), one.proof) for one in proven], through, size)


def _on_keys(entry: Entry, directory: Directory) -> bool:
    """Whether it is on a key of one of this hub's own organisations."""
    if not isinstance(entry, KeyAdded | KeyRemoved | KeyCompromised):
        return False
    return entry.there is None and not is_hub(entry.organisation) and directory.home(entry.organisation) is None


async def _touched(connection: Connection, directory: Directory, read: Mapping[int, Entry]) -> dict[int, Sequence[str]]:
    """By index, the cases that an entry bears on: repeated steps, moved dates, what our own organisations fetched."""
    found: dict[int, Sequence[str]] = {}
    marks: list[tuple[int, str, int, int]] = []
    for index, entry in read.items():
        match entry:
            case Relayed(subject=case, there=there) if there is not None:
                found[index] = [case]
            case DueChanged(subject=case, there=None):
                found[index] = [case]
            case Fetched() | Acknowledged() if directory.home(entry.recipient) is None:
                marks.append((index, entry.recipient, entry.from_, entry.through))
            case Expired(recipient=recipient, position=position, there=None):
                marks.append((index, recipient, position, position))
            case _:
                pass
    if marks:
        _, *columns = map(list, zip(*marks, strict=True))
        by_mark: dict[int, list[str]] = {}
        for row in await connection.fetch(SQL["cases_by_mark"], *columns):
            by_mark.setdefault(row["number"], []).append(str(row["case_id"]))
        found |= {index: by_mark.get(number, []) for number, (index, *_) in enumerate(marks, 1)}
    return found


async def _shared(connection: Connection, hub: str, cases: set[str]) -> set[str]:
    """Those of the cases that the neighbour has part in."""
    rows = await connection.fetch(SQL["parties_among"], hub, list(cases)) if cases else []
    return {str(row["case_id"]) for row in rows}
