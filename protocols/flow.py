"""The flow engine: a protocol's moves as one table, and the one function that advances a case by it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Literal

import msgspec

from keys.errors import Fault
from protocols import deadlines, legal_basis
from protocols.deadlines import Due, Unit
from protocols.envelope import Event
from protocols.refusals import (
    CaseExists,
    CaseUnknown,
    DataInvalid,
    NotAllowedNow,
    NotAParty,
    RecipientsInvalid,
    RoleNotAllowed,
)

Role = str
OPENER, RESPONDER, PARTICIPANT = "opener", "responder", "participant"


# What a flow is made of ------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name in both languages."""

    zh: str
    en: str


class State(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A state: who acts next (`owner`), by which deadline (`due`), and what the case's clocks do in it."""

    zh: str
    en: str
    owner: Role | None = None
    due: str | None = None
    clock: Literal["runs", "paused", "stopped"] = "stopped"
    final: bool = False


class Shorter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deadline of fewer `days` where the opening message's `field` has `value`."""

    field: str
    value: str
    days: int


class Deadline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deadline; `scope` says what it belongs to: one state, the whole case, or each message."""

    zh: str
    en: str
    days: int
    unit: Unit
    scope: Literal["state", "case", "message"]
    shorter: Shorter | None = None


class Assigns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move gives `role` to the organisation that the field `from` of the data names."""

    role: Role
    source: str = msgspec.field(name="from")


class AtLeast(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """After the move the deadline leaves at least so many days."""

    deadline: str
    days: int
    unit: Unit


class Proposes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move proposes the date in the field `date` for a deadline."""

    deadline: str
    date: str


class Settles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move takes (field `agreed` is true) or rejects the date proposed for a deadline."""

    deadline: str
    agreed: str


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table, with every `@name` of the flow file resolved.

    `to` is None where the state stays, "@back" for the state that a pause left. `undone` is the
    state restored when the message is invalidated, "@back" for the one before it; None: it can't be.
    """

    message: str
    by: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    to: str | None = None
    opens: bool = False
    basis: str | None = None
    requires: tuple[str, ...] = ()
    limit: int | None = None
    assigns: Assigns | None = None
    at_least: AtLeast | None = None
    proposes: Proposes | None = None
    settles: Settles | None = None
    undoes: str | None = None
    undone: str | None = None


@dataclass(frozen=True, slots=True)
class Flow:
    """A protocol's flow, ready to run: `table[(state, role)][message]` is the move."""

    protocol: str
    version: str
    title: Text
    summary: Text
    roles: Mapping[Role, Text]
    states: Mapping[str, State]
    deadlines: Mapping[str, Deadline]
    moves: tuple[Move, ...]
    opening: Mapping[str, Move] = field(default_factory=dict)
    table: Mapping[tuple[str, Role], Mapping[str, Move]] = field(default_factory=dict)
    senders: Mapping[str, frozenset[Role]] = field(default_factory=dict)


def tabulate(moves: Iterable[Move]) -> dict[str, Any]:
    """The look-ups of a Flow (`opening`, `table`, `senders`) from its moves."""
    opening: dict[str, Move] = {}
    table: dict[tuple[str, Role], dict[str, Move]] = {}
    senders: dict[str, set[Role]] = {}
    for move in moves:
        if move.opens:
            opening[move.message] = move
        for state in move.states:
            for role in move.by:
                table.setdefault((state, role), {})[move.message] = move
                senders.setdefault(move.message, set()).add(role)
    frozen = {message: frozenset(roles) for message, roles in senders.items()}
    return {"opening": opening, "table": table, "senders": frozen}


# What a case is ---------------------------------------------------------------------------------------


class Clock(msgspec.Struct, frozen=True, omit_defaults=True):
    """A running deadline of a case; `paused_on` is the day it was paused."""

    due: date
    provisional: bool = False
    paused_on: date | None = None


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a case stands: all that invalidating a message restores."""

    state: str
    responder: str
    participants: tuple[str, ...] = ()
    clocks: dict[str, Clock] = {}
    came_from: str | None = None
    proposal: date | None = None
    counts: dict[str, int] = {}


class Undo(msgspec.Struct, frozen=True):
    """What invalidating the case's last message would restore."""

    message: str
    source: str
    position: Position


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """One case, as a value."""

    id: str
    protocol: str
    version: str
    opener: str
    opened: datetime
    basis: str | None
    position: Position
    terms: dict[str, int] = {}
    undo: Undo | None = None
    former: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The state's name in the flow."""
        return self.position.state

    def parties(self) -> tuple[str, ...]:
        """Opener, responder and participants, as of now."""
        return (self.opener, self.position.responder, *self.position.participants)

    def role(self, organisation: str) -> Role | None:
        """The role that `organisation` has in the case now, if any."""
        if organisation == self.opener:
            return OPENER
        if organisation == self.position.responder:
            return RESPONDER
        return PARTICIPANT if organisation in self.position.participants else None


@dataclass(frozen=True, slots=True)
class Transition:
    """A message's effect: the case after it, the state before it, the due date it leaves (None: none)."""

    case: Case
    before: str | None
    due: Due | None


Refusal = Fault


# The engine -------------------------------------------------------------------------------------------


def advance(flow: Flow, case: Case | None, message: Event, now: datetime) -> Transition | Refusal:
    """What `message`, accepted at `now`, makes of `case` (None: there is no case with this id).

    Returns a Transition, or the Refusal: CaseExists, CaseUnknown, NotAParty, RoleNotAllowed,
    NotAllowedNow (with `allowed`), RecipientsInvalid, DataInvalid, or a fault of the legal basis.
    """
    try:
        if message.message in flow.opening:
            return _open(flow, case, message, now)
        if case is None:
            raise CaseUnknown()
        return _continue(flow, case, message, now)
    except Fault as refusal:
        return refusal


def allowed_actions(flow: Flow, case: Case, organisation: str) -> list[str]:
    """The messages that `organisation` may send in `case` now, in the flow's order."""
    role = case.role(organisation)
    if role is None:
        return []
    moves = flow.table.get((case.state, role), {})
    return [name for name, move in moves.items() if _available(case, move, organisation)]


def current_due(flow: Flow, case: Case) -> Due | None:
    """The due date of the case's next step, None in a final state."""
    name = flow.states[case.state].due
    clock = case.position.clocks.get(name) if name else None
    return None if clock is None else Due(clock.due, clock.provisional)


def _open(flow: Flow, case: Case | None, message: Event, now: datetime) -> Transition:
    move = flow.opening[message.message]
    if case is not None:
        raise CaseExists()
    today = deadlines.local_date(now)
    basis = _basis(move, message, today)
    assert move.to is not None
    terms = {
        name: deadline.shorter.days
        for name, deadline in flow.deadlines.items()
        if deadline.shorter and message.data.get(deadline.shorter.field) == deadline.shorter.value
    }
    responder, *participants = message.recipients
    opened = Case(
        id=message.subject,
        protocol=flow.protocol,
        version=flow.version,
        opener=message.source,
        opened=now,
        basis=basis,
        position=Position(state=move.to, responder=responder, participants=tuple(participants)),
        terms=terms,
    )
    opened = msgspec.structs.replace(opened, position=_enter(flow, opened, move.to, today))
    return _finish(flow, opened, move, message, before=None)


def _continue(flow: Flow, case: Case, message: Event, now: datetime) -> Transition:
    move = _move(flow, case, message)
    _check_recipients(case, move, message)
    missing = [name for name in move.requires if name not in message.data]
    if missing:
        raise DataInvalid([{"pointer": f"/data/{name}", "message": "required here"} for name in missing])
    today = deadlines.local_date(now)
    basis = _basis(move, message, today) or case.basis
    if move.undoes is not None:
        assert case.undo is not None
        position = case.undo.position
    else:
        position = _apply(flow, case, move, message, today)
    former = case.former
    if position.responder != case.position.responder and move.assigns is not None:
        former = (*former, case.position.responder)
    after = msgspec.structs.replace(case, position=position, basis=basis, former=former)
    return _finish(flow, after, move, message, before=case)


def _move(flow: Flow, case: Case, message: Event) -> Move:
    role = case.role(message.source)
    if role is None:
        raise (RoleNotAllowed if message.source in case.former else NotAParty)()
    allowed = allowed_actions(flow, case, message.source)
    if role not in flow.senders.get(message.message, frozenset()):
        raise RoleNotAllowed(allowed=allowed)
    if message.message not in allowed:
        raise NotAllowedNow(f"{message.message} is not allowed in state {case.state}", allowed=allowed)
    move = flow.table[(case.state, role)][message.message]
    if move.undoes is not None and (case.undo is None or message.data.get(move.undoes) != case.undo.message):
        raise NotAllowedNow("only one's own last, unanswered message can be invalidated", allowed=allowed)
    return move


def _available(case: Case, move: Move, organisation: str) -> bool:
    position = case.position
    if move.limit is not None and position.counts.get(move.message, 0) >= move.limit:
        return False
    if move.settles is not None and position.proposal is None:
        return False
    return move.undoes is None or (case.undo is not None and case.undo.source == organisation)


def _check_recipients(case: Case, move: Move, message: Event) -> None:
    parties = set(case.parties())
    must = {case.opener, case.position.responder}
    if move.assigns is not None:
        newcomer = str(message.data.get(move.assigns.source))
        if newcomer in parties:
            pointer = f"/data/{move.assigns.source}"
            raise DataInvalid([{"pointer": pointer, "message": "is a party of the case already"}])
        parties.add(newcomer)
        must.add(newcomer)
        if move.assigns.role == RESPONDER:
            must.discard(case.position.responder)
    must.discard(message.source)
    named = set(message.recipients)
    findings = [f"must include {name}" for name in sorted(must - named)]
    findings += [f"{name} is not a party of the case" for name in sorted(named - parties)]
    if findings:
        raise RecipientsInvalid([{"pointer": "/recipients", "message": text} for text in findings])


def _basis(move: Move, message: Event, today: date) -> str | None:
    if move.basis is None:
        return None
    instrument = str(message.data[move.basis]["instrument"])
    legal_basis.in_force(instrument, today)
    return instrument


def _apply(flow: Flow, case: Case, move: Move, message: Event, today: date) -> Position:
    position = case.position
    if move.assigns is not None:
        position = _assign(position, move.assigns, str(message.data[move.assigns.source]))
    if move.limit is not None:
        counts = {**position.counts, move.message: position.counts.get(move.message, 0) + 1}
        position = msgspec.structs.replace(position, counts=counts)
    if move.proposes is not None:
        position = _propose(position, move.proposes, message, today)
    if move.settles is not None:
        position = _settle(position, move.settles, message)
    moved = msgspec.structs.replace(case, position=position)
    if move.to is not None:
        position = _enter(flow, moved, move.to, today)
    if move.at_least is not None:
        position = _leave_at_least(position, move.at_least, today)
    return position


def _assign(position: Position, assigns: Assigns, newcomer: str) -> Position:
    if assigns.role == RESPONDER:
        return msgspec.structs.replace(position, responder=newcomer, proposal=None)
    return msgspec.structs.replace(position, participants=(*position.participants, newcomer))


def _propose(position: Position, proposes: Proposes, message: Event, today: date) -> Position:
    proposal = date.fromisoformat(message.data[proposes.date])
    if proposal <= today:
        raise DataInvalid([{"pointer": f"/data/{proposes.date}", "message": "must be a day after today"}])
    return msgspec.structs.replace(position, proposal=proposal)


def _settle(position: Position, settles: Settles, message: Event) -> Position:
    clocks = position.clocks
    if message.data[settles.agreed] and position.proposal is not None:
        due = deadlines.postponed(position.proposal)
        clocks = {**clocks, settles.deadline: Clock(due.date, due.provisional)}
    return msgspec.structs.replace(position, clocks=clocks, proposal=None)


def _leave_at_least(position: Position, least: AtLeast, today: date) -> Position:
    floor = deadlines.due_date(today, least.days, least.unit)
    clock = position.clocks.get(least.deadline)
    if clock is None or clock.due >= floor.date:
        return position
    clocks = {**position.clocks, least.deadline: Clock(floor.date, floor.provisional)}
    return msgspec.structs.replace(position, clocks=clocks)


def _enter(flow: Flow, case: Case, target: str, today: date) -> Position:
    """The position on entering a state: clocks that start, pause, resume or stop with it."""
    position = case.position
    returning = target == "@back"
    name = (position.came_from or position.state) if returning else target
    state = flow.states[name]
    clocks = {
        key: clock
        for key, clock in position.clocks.items()
        if returning or state.clock == "paused" or flow.deadlines[key].scope == "case"
    }
    came_from = None
    if state.clock == "paused":
        came_from = position.state
        clocks = {key: _pause(clock, today) for key, clock in clocks.items()}
    elif state.clock == "runs":
        clocks = {key: _resume(clock, flow.deadlines[key].unit, today) for key, clock in clocks.items()}
        starting = [key for key, deadline in flow.deadlines.items() if deadline.scope == "case"]
        clocks = {**{key: _start(flow, case, key, today) for key in starting if key not in clocks}, **clocks}
    else:
        clocks = {}
    if state.due is not None and state.due not in clocks:
        clocks[state.due] = _start(flow, case, state.due, today)
    if returning:
        clocks = {k: v for k, v in clocks.items() if flow.deadlines[k].scope == "case" or k == state.due}
    return msgspec.structs.replace(position, state=name, clocks=clocks, came_from=came_from)


def _start(flow: Flow, case: Case, name: str, today: date) -> Clock:
    deadline = flow.deadlines[name]
    due = deadlines.due_date(today, case.terms.get(name, deadline.days), deadline.unit)
    return Clock(due.date, due.provisional)


def _pause(clock: Clock, today: date) -> Clock:
    return clock if clock.paused_on else msgspec.structs.replace(clock, paused_on=today)


def _resume(clock: Clock, unit: Unit, today: date) -> Clock:
    if clock.paused_on is None:
        return clock
    due = deadlines.resumed(Due(clock.due, clock.provisional), clock.paused_on, today, unit)
    return Clock(due.date, due.provisional)


def _finish(flow: Flow, after: Case, move: Move, message: Event, before: Case | None) -> Transition:
    """Remember how to undo the message, and say what is due next."""
    undo = None
    if move.undoes is None and move.undone is not None:
        source = before.position if before else after.position
        state = source.state if move.undone == "@back" else move.undone
        clocks = {} if flow.states[state].final and state != source.state else source.clocks
        restored = msgspec.structs.replace(source, state=state, clocks=clocks)
        undo = Undo(message.id, message.source, restored)
    case = msgspec.structs.replace(after, undo=undo)
    return Transition(case, before.state if before else None, current_due(flow, case))
