"""A case's provable clock as the hub shows it: the stages, and every entry that they follow from, with its proof."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from hub import log
from hub.arrangements.reading import loaded
from hub.errors import NotFound
from hub.log import Placed
from hub.store import Connection
from hub.store.queries import SQL
from hub.supervision.following import logged, played_through
from protocols import entries, envelope
from protocols.between_hubs import Marked
from protocols.entries import DueChanged, Entry
from protocols.loading import Catalogue
from protocols.receipt import LogProof
from protocols.turnaround import Spent, Stage, summed


class Boundary(msgspec.Struct, frozen=True):
    """An entry of the log that bears on the case, or arranges holidays for all of them, with its proof."""

    entry: Mapping[str, Any]
    log: LogProof
    there: Mapping[str, Any] | UnsetType = UNSET
    """The proof of the other hub's entry that this one names, where there is one."""


class CaseClock(msgspec.Struct, frozen=True):
    """A case's clock at the moment `at`: seconds by kind of time, and the entries that anybody can work it out from."""

    case: str
    protocol: str
    version: str
    at: str
    stages: Sequence[Stage]
    calendar: Spent
    working: Spent
    events: Sequence[Boundary]


async def case_clock(connection: Connection, catalogue: Catalogue, id: str, at: datetime) -> CaseClock:
    """The clock of a case. Raises NotFound."""
    size = await connection.fetchval(SQL["size"])
    read = (await logged(connection, [id], size))[id]
    played = played_through(catalogue, read)
    if played is None:
        raise NotFound()
    arranged = await loaded(connection, size)
    clock = summed(played.keeper.stages(), at, arranged.calendar)
    places = [one.place for one in read] + [
        Placed(row["log_index"], row["tree_size"])
        for row in await connection.fetch(SQL["arrangements"])
        if row["log_index"] < size
    ]
    proven = await log.prove(connection, sorted(places, key=lambda place: place.index))
    theirs = await _there(connection, [entries.decode(one.leaf) for one in proven])
    events = [Boundary(entries.as_object(o.leaf), o.proof, there) for o, there in zip(proven, theirs, strict=True)]
    flow = played.flow
    return CaseClock(
        id, flow.protocol, flow.version, envelope.rfc3339(at), clock.stages, clock.calendar, clock.working, events
    )


async def _there(connection: Connection, read: Sequence[Entry]) -> list[Mapping[str, Any] | UnsetType]:
    """Of each entry, the proof of the other hub's entry that it repeats, as far as it is kept here."""
    named = [one.there if isinstance(one, Marked | DueChanged) else None for one in read]
    columns = [one.hub for one in named if one], [one.index for one in named if one]
    rows = await connection.fetch(SQL["proofs_there"], *columns) if columns[0] else []
    known = {(row["hub"], row["log_index"]): msgspec.json.decode(row["proof"]) for row in rows}
    return [known.get((one.hub, one.index), UNSET) if one else UNSET for one in named]
