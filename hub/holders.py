"""Who held a case when, and what fell due meanwhile: worked out from its messages, each step with its log entry proven.

The flow is played again from the accepted messages, so nothing is taken from what the hub otherwise keeps of the case;
the sealed parts play no role in it.
"""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal, NamedTuple

import msgspec

from hub import log, succession
from hub.arrangements.reading import as_of
from hub.intake import own
from hub.log import Placed
from hub.store import Connection
from hub.store.queries import SQL
from protocols import deadlines, entries, flow
from protocols.entries import DueChanged
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import Catalogue, Protocol
from protocols.receipt import LogProof
from protocols.table import State

Purpose = Literal["trace", "supervision", "audit", "complaint", "own-case"]


class Holding(msgspec.Struct, frozen=True):
    """A stretch in which the same organisations were to act, in one state, by one day.

    `through` is its last day, absent for the one that lasts; `overdue` says from which day on it was late.
    `entry` is the log index of what began it: a message, or a `succeeded` or `due-changed` entry, which have none.
    """

    holders: Sequence[str]
    state: str
    title: dict[str, str]
    first: date
    through: date | None
    due: date | None
    overdue: date | None
    message: str | None
    type: str
    source: str
    entry: int
    log: LogProof


class Holders(msgspec.Struct, frozen=True):
    """Every stretch of a case in order, or those of one day; the log entry that says who looked, and why."""

    case: str
    protocol: str
    version: str
    purpose: str
    viewed: int
    holdings: Sequence[Holding]


async def holdings(connection: Connection, catalogue: Catalogue, id: str, today: date) -> list[Holding]:
    """Every stretch of the case, in order."""
    placed: list[Placed] = []
    stretches: list[Stretch] = []
    played: Case | None = None
    arranged, hub = await as_of(connection), str(await connection.fetchval(SQL["hub"]))
    for at in await _events(connection, id):
        before = played
        if isinstance(at.event, Event):
            protocol, _ = catalogue.message(at.event.type, at.event.dataschema)
            about = await _about(connection, protocol, at.event)
            calendar = arranged(at.place.index).calendar
            outcome = flow.advance(protocol.flow, played, at.event, at.moment, about, calendar)
            if not isinstance(outcome, Transition):
                continue  # it moved nothing: the hub's word that a message was not delivered
            played = outcome.case
        elif isinstance(at.event, DueChanged):
            assert played is not None
            played = arranged(at.place.index).moved(played, at.event.cause)
        elif played is not None and not isinstance(at.event, Event):
            old, new = at.event
            if old in played.parties() and not _rules(catalogue, played).final:
                played = played.succeeded(old, new)
        if played is not None and (before is None or _station(catalogue, before) != _station(catalogue, played)):
            placed.append(at.place)
            stretches.append(Stretch(played, at.event, deadlines.local_date(at.moment)))
    proven = await log.prove(connection, placed)
    found = []
    for n, (stretch, proof) in enumerate(zip(stretches, proven, strict=True)):
        through = stretches[n + 1].first if n + 1 < len(stretches) else None
        case, said = stretch.case, stretch.said
        rules = catalogue.protocols[case.protocol, case.version].flow
        state, due = rules.states[case.state], flow.current_due(rules, case)
        late = due is not None and (through or today) > due.date
        message, type, source = _words(said, hub)
        found.append(
            Holding(
                holders=flow.awaited(rules, case),
                state=case.state,
                title={"zh": state.zh, "en": state.en},
                first=stretch.first,
                through=through,
                due=due.date if due else None,
                overdue=deadlines.next_day(due.date) if late and due else None,
                message=message,
                type=type,
                source=source,
                entry=placed[n].index,
                log=proof.proof,
            )
        )
    return found


def on(holdings: Sequence[Holding], day: date) -> list[Holding]:
    """The stretches that covered `day`; a day on which the case changed hands has several."""
    return [one for one in holdings if one.first <= day and (one.through is None or day <= one.through)]


class Stretch(NamedTuple):
    """A case as it stood from a day on, by what was said then: a message, a due date moved, a succession."""

    case: Case
    said: Event | DueChanged | tuple[str, str]
    first: date


class At(NamedTuple):
    """Something that bears on a case, with its moment and its place in the log."""

    event: Event | DueChanged | tuple[str, str]
    moment: datetime
    place: Placed


async def _events(connection: Connection, id: str) -> list[At]:
    """All that bears on the case, in the order of the log: its messages, what moved its due dates, and successions."""
    keys = {str(row["id"]): row for row in await connection.fetch(SQL["case_keys"], id)}
    found = [
        At(event, keys[event.id]["accepted"], Placed(keys[event.id]["log_index"], keys[event.id]["tree_size"]))
        for event in await own.said(connection, id)
    ]
    for row in await connection.fetch(SQL["due_changes"], [id], await connection.fetchval(SQL["size"])):
        (leaf,) = await connection.fetch(SQL["entries"], [row["log_index"]])
        change = entries.decode(leaf["leaf"])
        assert isinstance(change, DueChanged)
        found.append(At(change, datetime.fromisoformat(change.at), Placed(row["log_index"], row["tree_size"])))
    for index, size, old, new in await succession.happened(connection):
        (row,) = await connection.fetch(SQL["entries"], [index])
        at = datetime.fromisoformat(entries.as_object(row["leaf"])["at"])
        found.append(At((old, new), at, Placed(index, size)))
    return sorted(found, key=lambda at: at.place.index)


async def _about(connection: Connection, protocol: Protocol, event: Event) -> Case | None:
    other = flow.subject_case(protocol.flow, event)
    row = await connection.fetchrow(SQL["case_record"], other) if other is not None else None
    return msgspec.json.decode(row["record"], type=Case) if row is not None else None


def _words(said: Event | DueChanged | tuple[str, str], hub: str) -> tuple[str | None, str, str]:
    """The message's id if it is one, what kind of thing was said, and by or of whom."""
    match said:
        case Event():
            return said.id, said.type, said.source
        case DueChanged():
            return None, "due-changed", hub
        case (old, _):
            return None, "succeeded", old


def _rules(catalogue: Catalogue, case: Case) -> State:
    return catalogue.protocols[case.protocol, case.version].flow.states[case.state]


def _station(catalogue: Catalogue, case: Case) -> tuple[object, ...]:
    rules = catalogue.protocols[case.protocol, case.version].flow
    return case.state, tuple(flow.awaited(rules, case)), flow.current_due(rules, case)
