"""The flow engine: the one function that advances a case by its protocol's table of moves."""

from datetime import date, datetime, timedelta

import msgspec

from keys.errors import Fault
from protocols import clocks, deadlines, legal_basis
from protocols.calendar import STATUTORY, Calendar
from protocols.cases import Case, Clock, Position, Transition, Undo
from protocols.deadlines import Due
from protocols.departments import is_hub
from protocols.envelope import MAX_RECIPIENTS, Event
from protocols.refusals import (
    CaseExists,
    CaseUnknown,
    DataInvalid,
    NotAllowedNow,
    NotAParty,
    RecipientsInvalid,
    RoleNotAllowed,
)
from protocols.table import BACK, HUB, OPENER, PARTICIPANT, RESPONDER, Assigns, Flow, Move, Proposes, Role, Settles

__all__ = [
    "OPENER", "PARTICIPANT", "RESPONDER", "Case", "Clock", "Flow", "Move", "Position", "Refusal", "Role", "Transition",
    "Undo", "advance", "allowed_actions", "assigned", "awaited", "current_due", "hub_acts_on",
    "subject_case",
]  # fmt: skip

Refusal = Fault

# All the parties of a case can be told something by one of them in one message.
MAX_PARTIES = MAX_RECIPIENTS + 1


def advance(
    flow: Flow,
    case: Case | None,
    message: Event,
    now: datetime,
    about: Case | None = None,
    calendar: Calendar = STATUTORY,
) -> Transition | Refusal:
    """What `message`, accepted at `now`, makes of `case` (None: there is no case with this id).

    The message's data fits its schema already. `about` is the case that `subject_case` names, where the
    sender may see it; `calendar` says which days are worked, as the log has it at `now`. Returns a Transition, or the
    Refusal: CaseExists, CaseUnknown, NotAParty, RoleNotAllowed and NotAllowedNow (with `allowed`), RecipientsInvalid,
    DataInvalid, or a fault of the legal basis. Raises ValueError when `now` has no offset.
    """
    try:
        if message.message in flow.opening:
            return _open(flow, case, message, now, about, calendar)
        if case is None:
            raise CaseUnknown()
        return _continue(flow, case, message, now, calendar)
    except Fault as refusal:
        return refusal


def subject_case(flow: Flow, message: Event) -> str | None:
    """The id of the other case that `message` opens a case about, if any."""
    move = flow.opening.get(message.message)
    return None if move is None or move.links is None else str(message.data.get(move.links.field))


def assigned(flow: Flow, case: Case | None, message: Event) -> str | None:
    """The party of `case` to which `message` gives a role; None where it gives none, or brings somebody in."""
    role = case.role(message.source) if case is not None else None
    move = flow.table.get((case.state, role), {}).get(message.message) if case is not None and role else None
    if case is None or move is None or move.assigns is None:
        return None
    named = str(message.data.get(move.assigns.source))
    return named if named in case.parties() else None


def allowed_actions(flow: Flow, case: Case, organisation: str) -> list[str]:
    """The messages that `organisation` may send in `case` now, in the flow's order."""
    role = case.role(organisation)
    return [] if role is None else _allowed(flow, case, organisation, role)


def _allowed(flow: Flow, case: Case, organisation: str, role: Role) -> list[str]:
    moves = flow.table.get((case.state, role), {})
    return [name for name, move in moves.items() if _available(case, move, organisation)]


def hub_acts_on(flow: Flow, case: Case) -> date | None:
    """The day on which the hub is to look at the case: the first on which it may move it; None where it can't.

    Where others act first, that is when their time is over.
    """
    role = case.role(case.opener) if is_hub(case.opener) else HUB
    if not flow.table.get((case.state, role or HUB)):
        return None
    due = current_due(flow, case)
    if flow.states[case.state].owners == (OPENER,) or role == HUB or due is None:
        return date.min
    return due.date + timedelta(days=1)


def awaited(flow: Flow, case: Case) -> list[str]:
    """The parties that are to act next; none in a final state."""
    owners = flow.states[case.state].owners
    return [name for name in case.parties() if case.role(name) in owners and name not in case.position.said]


def current_due(flow: Flow, case: Case) -> Due | None:
    """The due date of the case's next step, None in a final state."""
    name = flow.states[case.state].due
    clock = case.position.clocks.get(name) if name else None
    return None if clock is None else Due(clock.due, clock.provisional)


# The two ways a message is taken ----------------------------------------------------------------------


def _open(
    flow: Flow, case: Case | None, message: Event, now: datetime, about: Case | None, calendar: Calendar
) -> Transition:
    move = flow.opening[message.message]
    if case is not None:
        raise CaseExists()
    _check_openers_recipients(flow, message)
    if move.links is not None:
        _check_about(move.links.field, message, about)
    today = deadlines.local_date(now)
    _check_period(flow, message, today)
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
        about=about.id if about is not None and move.links is not None else None,
    )
    opened = msgspec.structs.replace(opened, position=clocks.enter(flow, opened, move.to, today, calendar))
    return _finish(flow, opened, move, message, before=None)


def _continue(flow: Flow, case: Case, message: Event, now: datetime, calendar: Calendar) -> Transition:
    move = _move(flow, case, message)
    _check_recipients(case, move, message)
    missing = [name for name in move.requires if name not in message.data]
    if missing:
        raise DataInvalid([_finding(name, "required", "required here") for name in missing])
    if move.undoes is not None:
        assert case.undo is not None
        after = msgspec.structs.replace(case, position=case.undo.position, basis=case.undo.basis)
        return _finish(flow, after, move, message, before=case)
    today = deadlines.local_date(now)
    basis = _basis(move, message, today) or case.basis
    position = _apply(flow, case, move, message, today, calendar)
    former = case.former
    if case.position.responder not in (position.responder, *position.participants):
        former = (*former, case.position.responder)
    after = msgspec.structs.replace(case, position=position, basis=basis, former=former)
    return _finish(flow, after, move, message, before=case)


def _finish(flow: Flow, after: Case, move: Move, message: Event, before: Case | None) -> Transition:
    """Remember how to undo the message, and say what is due next."""
    undo = None
    if move.undone is not None:
        source = before or after
        state = source.state if move.undone == BACK else move.undone
        running = {} if flow.states[state].final else source.position.clocks
        restored = msgspec.structs.replace(source.position, state=state, clocks=running)
        undo = Undo(message.id, message.source, restored, source.basis, message.recipients)
    case = msgspec.structs.replace(after, undo=undo)
    return Transition(case, before.state if before else None, current_due(flow, case))


# Who may, and to whom ---------------------------------------------------------------------------------


def _move(flow: Flow, case: Case, message: Event) -> Move:
    role = case.role(message.source)
    if role is None and message.source == message.hub and HUB in flow.senders.get(message.message, ()):
        role = HUB
    if role is None:
        raise RoleNotAllowed(allowed=[]) if message.source in case.former else NotAParty()
    allowed = _allowed(flow, case, message.source, role)
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
    if move.limit is not None and position.counts.get(_counted(move, organisation), 0) >= move.limit:
        return False
    if move.settles is not None and position.proposal is None:
        return False
    if move.each and organisation in position.said:
        return False
    if move.assigns is not None and move.assigns.role == PARTICIPANT and len(case.parties()) >= MAX_PARTIES:
        return False
    return move.undoes is None or (case.undo is not None and case.undo.source == organisation)


def _counted(move: Move, sender: str) -> str:
    """Under which name a limited message is counted."""
    return move.message if move.per == "case" else f"{move.message} {sender}"


def _check_openers_recipients(flow: Flow, message: Event) -> None:
    """The first recipient is the responder; whoever else is told from the start takes part."""
    named = message.recipients
    findings = [f"{name} is a hub and answers no case" for name in named if is_hub(name)]
    if not named:
        findings.append("must name the responder")
    if message.source in named:
        findings.append("the opener is not its own responder")
    if len(set(named)) != len(named):
        findings.append("a recipient is named twice")
    if len(named) > 1 and PARTICIPANT not in flow.roles:
        findings.append("this protocol has no participants")
    _refuse_recipients(findings)


def _check_about(field: str, message: Event, about: Case | None) -> None:
    if about is None:
        raise DataInvalid([_finding(field, "caseUnknown", "is no case that you see here")])
    strangers = [name for name in message.recipients if name not in about.involved()]
    _refuse_recipients([f"{name} was never a party of the case {about.id}" for name in strangers])


def _check_period(flow: Flow, message: Event, today: date) -> None:
    """What reports on a month is sent when the month is over."""
    for deadline in flow.deadlines.values():
        if deadline.after is not None and today <= deadlines.end_of_month(message.data[deadline.after]):
            raise DataInvalid([_finding(deadline.after, "monthNotOver", "this month is not over")])


def _check_recipients(case: Case, move: Move, message: Event) -> None:
    parties = set(case.parties())
    must = {case.opener, case.position.responder}
    if move.assigns is not None:
        newcomer = _newcomer(case, move.assigns, message)
        parties.add(newcomer)
        must.add(newcomer)
        if move.assigns.role == RESPONDER and move.assigns.among == "newcomers":
            must.discard(case.position.responder)
    if move.undoes is not None and case.undo is not None:
        must.update(case.undo.told)
    # A hub that opened a case reads its own log: it has no mailbox.
    must = {name for name in must if name != message.source and not is_hub(name)}
    parties = {name for name in parties if name != message.source and not is_hub(name)}
    named = set(message.recipients)
    findings = [f"must include {name}" for name in sorted(must - named)]
    findings += [f"{name} is not another party of the case" for name in sorted(named - parties)]
    _refuse_recipients(findings)


def _finding(field: str, keyword: str, message: str) -> dict[str, str]:
    """What a rule of the flow has against a field of the open part."""
    return {"pointer": f"/data/{field}", "keyword": keyword, "message": message}


def _refuse_recipients(findings: list[str]) -> None:
    if findings:
        raise RecipientsInvalid([{"pointer": "/recipients", "message": text} for text in findings])


def _newcomer(case: Case, assigns: Assigns, message: Event) -> str:
    """Whom the message brings in. A participant may become the responder; who passed a case on never again."""
    newcomer = str(message.data.get(assigns.source))
    finding = None
    if assigns.among == "parties":
        if newcomer not in (case.position.responder, *case.position.participants):
            finding = "notAsked", "was not asked in this case"
    elif newcomer in (case.opener, case.position.responder):
        finding = "hasIt", "is opener or responder of the case already"
    elif assigns.role == PARTICIPANT and newcomer in case.position.participants:
        finding = "takesPart", "takes part in the case already"
    elif assigns.role == RESPONDER and newcomer in case.former:
        finding = "passedItOn", "held the case before and passed it on"
    elif is_hub(newcomer):
        finding = "isHub", "is a hub and answers no case"
    if finding:
        raise DataInvalid([_finding(assigns.source, *finding)])
    return newcomer


def _basis(move: Move, message: Event, today: date) -> str | None:
    if move.basis is None:
        return None
    instrument = str(message.data[move.basis]["instrument"])
    legal_basis.in_force(instrument, today)
    return instrument


# What changes -----------------------------------------------------------------------------------------


def _apply(flow: Flow, case: Case, move: Move, message: Event, today: date, calendar: Calendar) -> Position:
    position = case.position
    if move.assigns is not None:
        position = _assign(position, move.assigns, str(message.data[move.assigns.source]))
    if move.limit is not None:
        name = _counted(move, message.source)
        counts = {**position.counts, name: position.counts.get(name, 0) + 1}
        position = msgspec.structs.replace(position, counts=counts)
    if move.proposes is not None:
        position = _propose(position, move.proposes, message, today)
    if move.settles is not None:
        position = _settle(position, move.settles, message, today, calendar)
    moved = msgspec.structs.replace(case, position=position)
    if move.each and (waiting := _silent(case, move) - {message.source}):
        heard = (*position.said, message.source)
        assert waiting.isdisjoint(heard)
        position = msgspec.structs.replace(position, said=heard)
    elif move.to is not None:
        position = clocks.enter(flow, moved, move.to, today, calendar)
    if move.at_least is not None:
        position = clocks.leave_at_least(position, move.at_least, today, calendar)
    return position


def _silent(case: Case, move: Move) -> set[str]:
    """Who has yet to have its say in this state."""
    return {name for name in case.parties() if case.role(name) in move.by} - set(case.position.said)


def _assign(position: Position, assigns: Assigns, newcomer: str) -> Position:
    if assigns.role == RESPONDER:
        others = tuple(name for name in position.participants if name != newcomer)
        if assigns.among == "parties" and newcomer != position.responder:
            others = (*others, position.responder)
        return msgspec.structs.replace(position, responder=newcomer, participants=others, proposal=None)
    return msgspec.structs.replace(position, participants=(*position.participants, newcomer))


def _propose(position: Position, proposes: Proposes, message: Event, today: date) -> Position:
    proposal = date.fromisoformat(message.data[proposes.date])
    if proposal <= today:
        raise DataInvalid([_finding(proposes.date, "afterToday", "must be a day after today")])
    return msgspec.structs.replace(position, proposal=proposal)


def _settle(position: Position, settles: Settles, message: Event, today: date, calendar: Calendar) -> Position:
    answered = msgspec.structs.replace(position, proposal=None)
    if not message.data[settles.agreed]:
        return answered
    assert position.proposal is not None
    if settles.date is not None:
        repeated = message.data.get(settles.date)
        if repeated is not None and date.fromisoformat(repeated) != position.proposal:
            text = f"the date proposed is {position.proposal}; who wants another does not agree"
            raise DataInvalid([_finding(settles.date, "otherDate", text)])
    agreed = clocks.clock(position.proposal, 0, "calendar", calendar)
    if agreed.due < today:
        text = f"the date proposed, {position.proposal}, has passed"
        raise DataInvalid([_finding(settles.agreed, "datePassed", text)])
    return msgspec.structs.replace(answered, clocks={**position.clocks, settles.deadline: agreed})
