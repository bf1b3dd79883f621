"""A case played by the rules of any flow: messages that fit it, made from the examples of their schemas."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from keys.errors import Fault
from protocols import deadlines, envelope, flow
from protocols.cases import Position
from protocols.envelope import Event
from protocols.flow import PARTICIPANT, RESPONDER, Case, Move, Role, Transition
from protocols.loading import Protocol
from protocols.message_checks import own_part
from protocols.table import HUB as HUB_ROLE

HUB = "410000-hub"

Choose = Callable[[Sequence[Any]], Any]
"""How one of several fitting ways is chosen: by hypothesis, or always the first."""


def first(options: Sequence[Any]) -> Any:
    """The first of the options."""
    return options[0]


def event(
    protocol: Protocol,
    name: str,
    source: str,
    recipients: Sequence[str],
    case: str,
    now: datetime,
    data: dict[str, Any],
) -> Event:
    """A message of the protocol, as if read from a valid envelope."""
    return Event(
        id=envelope.new_id(),
        source=source,
        type=f"{protocol.name}.{name}",
        dataschema=protocol.messages[name].schema.id,
        subject=case,
        time=now,
        recipients=tuple(recipients),
        hub=HUB,
        data=data,
    )


def examples(protocol: Protocol, name: str) -> list[dict[str, Any]]:
    """What the schema of the message's open part gives as examples."""
    return list(own_part(protocol.messages[name])["examples"])


def opening(protocol: Protocol, parties: Sequence[str], now: datetime, choose: Choose = first) -> Event:
    """The message by which the first of `parties`, or the hub where it does so, opens a case to the others."""
    name = choose(list(protocol.flow.opening))
    data = dict(choose(examples(protocol, name)))
    for deadline in protocol.flow.deadlines.values():
        if deadline.after is not None:
            data[deadline.after] = str(deadlines.local_date(now).replace(day=1) - timedelta(days=1))[:7]
    opener = HUB if protocol.messages[name].declared.from_hub else parties[0]
    others = parties[1:] if PARTICIPANT in protocol.flow.roles else parties[1:2]
    return event(protocol, name, opener, others, envelope.new_id(), now, data)


def advance(protocol: Protocol, case: Case | None, message: Event, now: datetime) -> Transition | Fault:
    """What the message makes of the case; one that opens a case about another finds that of its recipients."""
    about = flow.subject_case(protocol.flow, message) if case is None else None
    responder, *participants = message.recipients or ("",)
    position = Position("closed", responder, tuple(participants))
    other = Case(about, "case-assistance", "1.0", message.source, now, None, position) if about is not None else None
    return flow.advance(protocol.flow, case, message, now, other)


def role(case: Case, source: str) -> Role | None:
    """The role in which `source` sends, the hub's own included."""
    return case.role(source) or (HUB_ROLE if source == HUB else None)


def allowed(protocol: Protocol, case: Case) -> Iterator[tuple[str, str]]:
    """Everybody with each message that it may send now, the hub included."""
    for name in case.parties():
        yield from ((name, message) for message in flow.allowed_actions(protocol.flow, case, name))
    yield from ((HUB, message) for message in protocol.flow.table.get((case.state, HUB_ROLE), {}))


def fitting(
    protocol: Protocol,
    case: Case,
    source: str,
    name: str,
    now: datetime,
    strangers: Sequence[str],
    choose: Choose = first,
) -> Event:
    """The message `name` by `source`, one of its allowed actions, so that the case must take it."""
    sender = role(case, source)
    assert sender is not None
    move = protocol.flow.table[case.state, sender][name]
    data = _data(protocol, case, move, deadlines.local_date(now), strangers, choose)
    return event(protocol, name, source, _recipients(case, move, source, data, choose), case.id, now, data)


def _data(
    protocol: Protocol, case: Case, move: Move, today: date, strangers: Sequence[str], choose: Choose
) -> dict[str, Any]:
    fit = [example for example in examples(protocol, move.message) if set(move.requires) <= example.keys()]
    data = dict(choose(fit))
    if move.assigns is not None:
        data[move.assigns.source] = choose(newcomers(case, move, strangers))
    if move.proposes is not None:
        data[move.proposes.date] = str(today + timedelta(days=choose([20, 1, 5, 200])))
    if move.settles is not None:
        assert case.position.proposal is not None
        may_agree = deadlines.postponed(case.position.proposal).date >= today
        data[move.settles.agreed] = choose([True, False]) if may_agree else False
        if data[move.settles.agreed] and move.settles.date is not None:
            data[move.settles.date] = str(case.position.proposal)
    if move.undoes is not None:
        assert case.undo is not None
        data[move.undoes] = case.undo.message
    return data


def newcomers(case: Case, move: Move, strangers: Sequence[str]) -> list[str]:
    """Who of `strangers` can be given the role that the move gives."""
    assert move.assigns is not None
    if move.assigns.among == "parties":
        return [case.position.responder, *case.position.participants]
    main = (case.opener, case.position.responder)
    barred = case.former if move.assigns.role == RESPONDER else case.position.participants
    return [name for name in strangers if name not in main and name not in barred]


def _recipients(case: Case, move: Move, source: str, data: dict[str, Any], choose: Choose) -> list[str]:
    must = [case.opener, case.position.responder]
    if move.assigns is not None:
        must.append(str(data[move.assigns.source]))
    if move.undoes is not None and case.undo is not None:
        must += case.undo.told
    also = choose([(), case.position.participants])
    named = [name for name in dict.fromkeys((*must, *also)) if name not in (source, HUB)]
    return named or [name for name in case.position.participants if name != source][:1]
