"""Verifying evidence offline: nothing is believed but the hub's public key, and what follows from it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec

from adapters.evidence.file import Evidence, Piece
from keys import jws
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import VerifyingKey, parse_public
from protocols import delegation, envelope, flow, lineage, receipt, sealing
from protocols.arrangements import Arrangements
from protocols.between_hubs import There
from protocols.delegation import Delegation
from protocols.entries import (
    Accepted,
    CalendarPublished,
    Delegated,
    DelegationEnded,
    DueChanged,
    KeyAdded,
    KeyCompromised,
    KeyRemoved,
    Outage,
    Succeeded,
    happened,
)
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.lineage import Earlier
from protocols.loading import Catalogue
from protocols.receipt import LogProof, Proven

Deadline = CalendarPublished | Outage | DueChanged
KeyEvent = KeyAdded | KeyRemoved | KeyCompromised | Delegated | DelegationEnded | Succeeded


@dataclass(frozen=True, slots=True)
class Step:
    """A message that was verified: what it says in the open, when it was taken, and where the case stood after it."""

    event: Event
    index: int
    accepted: str
    due: str | None
    state: str | None
    content: dict[str, Any] | None
    sealed: bool
    suspect: bool = False
    """Signed with a key that somebody else may have had by then, as the log says."""
    gateway: str | None = None
    """Who signed it for its source, by a delegation that is in the evidence."""


@dataclass(slots=True)
class Report:
    """What was verified, in the log's order; `findings` are empty only if everything holds."""

    findings: list[str] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    state: str | None = None
    opened: int = 0
    successions: list[tuple[int, Succeeded]] = field(default_factory=list)
    """Who came into whose place while the case ran, with the log index."""
    moves: list[tuple[int, DueChanged]] = field(default_factory=list)
    """What moved its due dates without a message, with the log index."""


def check(evidence: Evidence, hub_keys: Iterable[VerifyingKey], catalogue: Catalogue) -> Report:
    """Hold every piece against the hub's keys: signatures, receipts, proofs, keys, seals, and the flow played again."""
    report, trusted = Report(), list(hub_keys)
    keys = {name: _key_events(report, name, events, evidence, trusted) for name, events in evidence.keys.items()}
    taken: list[tuple[int, Accepted, Event, Piece]] = []
    for number, piece in enumerate(evidence.pieces, 1):
        try:
            taken.append(_message(piece, evidence, keys, trusted))
        except (Fault, ValueError) as fault:
            report.findings.append(f"message {number}: {_words(fault)}")
        report.findings += _events(number, piece, evidence, trusted)
    taken.sort(key=lambda one: one[0])
    if len({index for index, *_ in taken}) != len(taken):
        report.findings.append("a message is there twice")
    if not taken:
        report.findings.append("there is no message in it that can be verified")
    words: list[tuple[int, Succeeded | Deadline]] = _deadlines(report, evidence, trusted)
    words += [(at, word) for events in keys.values() for at, word in events if isinstance(word, Succeeded)]
    _play(report, taken, evidence, catalogue, keys, sorted(words, key=lambda one: one[0]))
    return report


def _deadlines(
    report: Report, evidence: Evidence, trusted: list[VerifyingKey]
) -> list[tuple[int, Succeeded | Deadline]]:
    found: list[tuple[int, Succeeded | Deadline]] = []
    for number, event in enumerate(evidence.deadlines, 1):
        try:
            proven = _proven(event, evidence, trusted)
            entry = proven.entry
            if not isinstance(entry, Deadline) or (isinstance(entry, DueChanged) and entry.subject != evidence.case):
                raise ValueError("is no word on the due dates of this case")
            found.append((proven.index, entry))
        except (Fault, ValueError, AttributeError) as fault:
            report.findings.append(f"entry {number} on due dates: {_words(fault)}")
    return found


def _key_events(
    report: Report, name: str, events: Sequence[Mapping[str, Any]], evidence: Evidence, trusted: list[VerifyingKey]
) -> list[tuple[int, KeyEvent]]:
    found = []
    for number, event in enumerate(events, 1):
        try:
            proven = _proven(event, evidence, trusted)
            entry = proven.entry
            if not isinstance(entry, KeyEvent) or entry.organisation != name:
                raise ValueError("is no word on a key of this organisation")
            found.append((proven.index, entry))
        except (Fault, ValueError) as fault:
            report.findings.append(f"key event {number} of {name}: {_words(fault)}")
    return sorted(found, key=lambda one: one[0])


def _message(
    piece: Piece,
    evidence: Evidence,
    keys: Mapping[str, Sequence[tuple[int, KeyEvent]]],
    trusted: list[VerifyingKey],
) -> tuple[int, Accepted, Event, Piece]:
    decoded = jws.decode(piece.compact, typ=envelope.TYP)
    event = envelope.event(envelope.read(decoded.payload))
    given = receipt.parse(dict(piece.receipt))
    proven = _of_the_log(receipt.verify(given, trusted, compact=piece.compact), evidence, trusted)
    entry = proven.entry
    assert isinstance(entry, Accepted)
    said = (entry.id, entry.source, entry.type, entry.subject, entry.causationid, set(entry.recipients))
    if said != (event.id, event.source, event.type, event.subject, event.causationid, set(event.recipients)):
        raise ValueError("the log entry speaks of another message")
    if event.subject != evidence.case or event.hub != evidence.hub:
        raise ValueError("belongs to another case or another hub")
    if entry.gateway is not None:
        _require_delegation(entry, proven.index, keys, evidence.hub)
    signer = entry.gateway or event.source
    key = _key(signer, decoded.header.kid, proven.index, keys, evidence.hub, trusted, entry.first)
    if not key.valid_at(datetime.fromisoformat(happened(entry))):
        raise ValueError("its key was not valid when it was taken")
    jws.verify(decoded, key, EVERY_ALGORITHM)
    return proven.index, entry, event, piece


def _require_delegation(
    entry: Accepted, index: int, keys: Mapping[str, Sequence[tuple[int, KeyEvent]]], hub: str
) -> None:
    """Raise ValueError unless the sender's own word, in the log before the message, let the gateway sign it."""
    words = keys.get(entry.source, ())
    ended = {word.id: at for at, word in words if isinstance(word, DelegationEnded)}
    for at, word in words:
        if not isinstance(word, Delegated) or not at < index < ended.get(word.id, index + 1):
            continue
        compact, said = delegation.read(word.statement)
        if not isinstance(said, Delegation) or (said.organisation, said.gateway, said.hub) != (
            entry.source,
            entry.gateway,
            hub,
        ):
            continue
        if said.covers(entry.type, datetime.fromisoformat(entry.at)):
            jws.verify(compact, _key(entry.source, compact.header.kid, at, keys, hub, []), EVERY_ALGORITHM)
            return
    raise ValueError(f"{entry.source} never let {entry.gateway} sign it")


def _key(
    source: str,
    kid: str | None,
    index: int,
    keys: Mapping[str, Sequence[tuple[int, KeyEvent]]],
    hub: str,
    trusted: list[VerifyingKey],
    first: There | None = None,
) -> VerifyingKey:
    """The key that the log gave the sender before it took the message, and had not taken away by then.

    Where another hub took it `first`, the order of that hub's log decides, of which each entry names its place.
    """
    if source == hub:
        own = next((key for key in trusted if key.kid == kid), None)
        if own is None:
            raise ValueError("is the hub's, under a key that is not the hub's")
        return own
    last = None
    for at, entry in keys.get(source, ()):
        if not isinstance(entry, KeyAdded | KeyRemoved) or entry.kid != kid:
            continue
        there = entry.there if first is not None else None
        if there.index < first.index if there is not None and first is not None else at < index:
            last = entry
    if not isinstance(last, KeyAdded):
        raise ValueError(f"the log gave {source} no such key before the message")
    key = parse_public(last.jwk)
    if not isinstance(key, VerifyingKey) or key.kid != kid:
        raise ValueError("the log's key is another than it says")
    return key


def _events(number: int, piece: Piece, evidence: Evidence, trusted: list[VerifyingKey]) -> list[str]:
    found = []
    for event in piece.events:
        try:
            _proven(event, evidence, trusted)
        except (Fault, ValueError) as fault:
            found.append(f"a log entry of message {number}: {_words(fault)}")
    return found


def _proven(event: Mapping[str, Any], evidence: Evidence, trusted: list[VerifyingKey]) -> Proven:
    try:
        log = msgspec.convert(event.get("log"), LogProof)
    except msgspec.ValidationError as error:
        raise ValueError(f"has no proof: {error}") from None
    return _of_the_log(receipt.verify_log(log, trusted), evidence, trusted)


def _of_the_log(proven: Proven, evidence: Evidence, trusted: list[VerifyingKey]) -> Proven:
    """What was proven, once it is in the log that the evidence names, under this origin or one that it had before.

    Raises ValueError, LineageInvalid.
    """
    try:
        earlier = msgspec.convert(evidence.earlier, list[Earlier])
    except msgspec.ValidationError as error:
        raise ValueError(f"names earlier origins without their proofs: {error}") from None
    if not lineage.verify(evidence.origin, earlier, trusted).stands(proven):
        raise ValueError("is of another log")
    return proven


def _suspect(entry: Accepted, piece: Piece, keys: Mapping[str, Sequence[tuple[int, KeyEvent]]]) -> bool:
    kid = jws.decode(piece.compact, typ=envelope.TYP).header.kid
    leaks = [
        e.since
        for _, e in keys.get(entry.gateway or entry.source, ())
        if isinstance(e, KeyCompromised) and e.kid == kid
    ]
    return any(datetime.fromisoformat(entry.at) >= datetime.fromisoformat(since) for since in leaks)


def _play(
    report: Report,
    taken: Sequence[tuple[int, Accepted, Event, Piece]],
    evidence: Evidence,
    catalogue: Catalogue,
    keys: Mapping[str, Sequence[tuple[int, KeyEvent]]],
    words: list[tuple[int, Succeeded | Deadline]],
) -> None:
    """The flow again from its first message: the states and due dates follow from what was signed."""
    case: Case | None = None
    whole = not evidence.withheld
    arrangements = Arrangements()
    for index, entry, event, piece in taken:
        while words and words[0][0] < index:
            case = _changed(report, case, *words.pop(0), arrangements, catalogue)
        content = _content(report, event, piece, catalogue)
        state = None
        try:
            protocol, message = catalogue.message(event.type, event.dataschema)
        except Fault as fault:
            report.findings.append(f"entry {index}: {fault.detail}")
            whole = False
        else:
            moved = any(move.message == message.name for move in protocol.flow.moves)
            if whole and moved and flow.subject_case(protocol.flow, event) is None:
                at, calendar = datetime.fromisoformat(entry.at), arrangements.calendar
                outcome = flow.advance(protocol.flow, case, event, at, None, calendar)
                if isinstance(outcome, Transition):
                    case, state = outcome.case, outcome.case.state
                    due = outcome.due.date.isoformat() if outcome.due else None
                    if due != entry.due:
                        report.findings.append(f"entry {index}: due {entry.due} where the flow says {due}")
                else:
                    whole = False
                    report.findings.append(
                        f"entry {index}: {event.type} does not follow: a message is missing before it"
                    )
        sealed = "sealed" in event.data
        suspect = _suspect(entry, piece, keys)
        report.steps.append(Step(event, index, entry.at, entry.due, state, content, sealed, suspect, entry.gateway))
        report.state = state if state is not None else report.state
    for number, word in words:
        case = _changed(report, case, number, word, arrangements, catalogue)
    report.opened = sum(step.content is not None for step in report.steps)


def _changed(
    report: Report,
    case: Case | None,
    index: int,
    word: Succeeded | Deadline,
    arrangements: Arrangements,
    catalogue: Catalogue,
) -> Case | None:
    """The case after an entry that is no message of it."""
    if isinstance(word, Succeeded):
        return _succeeded(report, case, index, word, catalogue)
    try:
        arrangements.take(index, word)
        if not isinstance(word, DueChanged) or case is None:
            return case
        moved = arrangements.moved(case, word.cause)
    except (Fault, ValueError) as fault:
        report.findings.append(f"entry {index}: {_words(fault)}")
        return case
    due = flow.current_due(catalogue.protocols[moved.protocol, moved.version].flow, moved)
    if word.due != (due.date.isoformat() if due else None):
        report.findings.append(f"entry {index}: due {word.due} where its cause makes {due and due.date}")
    report.moves.append((index, word))
    return moved


def _succeeded(report: Report, case: Case | None, at: int, word: Succeeded, catalogue: Catalogue) -> Case | None:
    """The case after somebody came into the place of a party; as it was where none is, or where it is at its end."""
    if case is None or word.organisation not in case.parties():
        return case
    if catalogue.protocols[case.protocol, case.version].flow.states[case.state].final:
        return case
    report.successions.append((at, word))
    return case.succeeded(word.organisation, word.successor)


def _content(report: Report, event: Event, piece: Piece, catalogue: Catalogue) -> dict[str, Any] | None:
    if piece.plaintext is None:
        return None
    digest = event.data.get("sealed_digest")
    try:
        if not isinstance(digest, str):
            raise ValueError("a plaintext is there for a message that seals nothing")
        content = sealing.read(piece.plaintext, digest, event.source, event.id, event.subject)
        _, message = catalogue.message(event.type, event.dataschema)
        if message.sealed_schema is not None and not message.sealed_schema.accepts(content):
            raise ValueError("what was sealed does not fit its schema")
        return content
    except (Fault, ValueError) as fault:
        report.findings.append(f"what was sealed in {event.id}: {_words(fault)}")
        return None


def _words(fault: Exception) -> str:
    return fault.detail if isinstance(fault, Fault) else str(fault)
