"""A case played by the rules of any flow: messages that fit it, made from the examples of their schemas."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from protocols import deadlines, envelope
from protocols.envelope import Event
from protocols.flow import RESPONDER, Case, Move
from protocols.loading import Protocol
from protocols.message_checks import own_part

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
    """The message by which the first of `parties` opens a case to the others."""
    name = choose(list(protocol.flow.opening))
    data = choose(examples(protocol, name))
    return event(protocol, name, parties[0], parties[1:], envelope.new_id(), now, data)


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
    role = case.role(source)
    assert role is not None
    move = protocol.flow.table[case.state, role][name]
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
    return [name for name in dict.fromkeys((*must, *also)) if name != source]
