"""Whether a protocol's messages hold together: schemas, examples, the fields that the flow reads, and the words."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from protocols import bundling, closed, notions
from protocols.loading import MessageType, Protocol
from protocols.schemas import Schema
from protocols.table import HUB, OPENER, Flow, Move

UNDELIVERED = "undelivered"
"""What the hub sends to the sender of a message that expired."""

# What the loader adds to the open part of a message that is sealed.
_SEALED_PART = {"sealed", "sealed_digest", "base64url"}

_SHOWN = {"examples": "data that fits", "x-counter-examples": "data that it must refuse"}


def findings(protocol: Protocol) -> Iterator[str]:
    """All that is wrong with the messages, in words."""
    for name in sorted({move.message for move in protocol.flow.moves} - protocol.messages.keys()):
        yield f"{name} is moved by but not declared"
    for message in protocol.messages.values():
        yield from _message(protocol.flow, message)
    for move in protocol.flow.moves:
        if move.message in protocol.messages:
            for finding in _fields(move, own_part(protocol.messages[move.message])):
                yield f"{move.message} {finding}"
    if any(message.declared.may_expire for message in protocol.messages.values()):
        told = protocol.messages.get(UNDELIVERED)
        if told is None or not told.declared.from_hub:
            yield f"a message may expire, and the hub has no message {UNDELIVERED} to say so"
    yield from _deadlines(protocol)
    yield from _words(protocol)


def own_part(message: MessageType) -> dict[str, Any]:
    """The open schema as its file has it, without what the loader added for the sealed part."""
    document = message.schema.document
    if message.declared.sealed == "none":
        return document
    without = {
        keyword: {name: below for name, below in document[keyword].items() if name not in _SEALED_PART}
        for keyword in ("properties", "$defs")
    }
    return document | without


def _message(flow: Flow, message: MessageType) -> Iterator[str]:
    name = message.name
    moves = [move for move in flow.moves if move.message == name]
    if not moves and not message.declared.from_hub:
        yield f"{name} can never be sent"
    yield from _senders(message, moves)
    yield from _sealing(message, moves)
    if message.declared.may_expire and any(_changes(move) for move in moves):
        yield f"{name} may expire and yet moves the case"
    for part, schema in (("open", message.schema), ("sealed", message.sealed_schema)):
        if schema is not None:
            yield from (f"{part}/{name} {finding}" for finding in _examples(schema))
            yield from (f"{part}/{name} {finding}" for finding in _titles(schema.document))
    yield from (f"open/{name} {finding}" for finding in closed.open_findings(own_part(message)))
    if message.sealed_schema is not None:
        yield from (f"sealed/{name} {finding}" for finding in closed.sealed_findings(message.sealed_schema.document))


def _senders(message: MessageType, moves: list[Move]) -> Iterator[str]:
    """What a hub sends nobody else does: it opens cases of its own, or moves those it takes no part in."""
    for move in moves:
        by_hub = move.opens or set(move.by) <= {HUB, OPENER}
        if message.declared.from_hub and not by_hub:
            yield f"{message.name} is sent by a hub alone and moved by {', '.join(move.by)}"
        elif not message.declared.from_hub and HUB in move.by:
            yield f"{message.name} is moved by a hub, which does not send it"


def _sealing(message: MessageType, moves: list[Move]) -> Iterator[str]:
    declared = message.declared
    if declared.sealed == "none" and (declared.sealed_to != "everybody" or declared.padding > 1):
        yield f"{message.name} has no sealed part and says to whom it is sealed"
    if declared.sealed_to == "newcomer" and not all(move.assigns for move in moves):
        yield f"{message.name} is sealed to a newcomer and brings none in"


def _changes(move: Move) -> bool:
    acts = (move.to, move.limit, move.assigns, move.at_least, move.proposes, move.settles, move.undoes, move.undone)
    return move.opens or move.each or any(acts)


def _examples(schema: Schema) -> Iterator[str]:
    for keyword, meant in _SHOWN.items():
        if not isinstance(schema.document.get(keyword), list) or not schema.document[keyword]:
            yield f"has no {keyword}: an array of {meant}"
    for number, example in enumerate(_listed(schema, "examples")):
        for finding in schema.findings(example):
            yield f"example {number}: {finding['pointer'] or '/'}: {finding['message']}"
    for number, example in enumerate(_listed(schema, "x-counter-examples")):
        if schema.accepts(example):
            yield f"counter-example {number} fits"


def _listed(schema: Schema, keyword: str) -> list[Any]:
    found = schema.document.get(keyword)
    return found if isinstance(found, list) else []


def _titles(document: Mapping[str, Any]) -> Iterator[str]:
    for keyword in ("title", "description", "x-title-en", "x-description-en"):
        if not isinstance(document.get(keyword), str) or not document[keyword].strip():
            yield f"has no {keyword}"


def _fields(move: Move, document: Mapping[str, Any]) -> Iterator[str]:
    """Every field that the move reads stands in the schema, required where the engine relies on it."""
    if move.basis is not None:
        yield from _field(document, move.basis, "object", needed=True)
        yield from _field(_property(document, move.basis), "instrument", "string", needed=True)
    for name in move.requires:
        yield from _field(document, name, None, needed=False)
    if move.links is not None:
        yield from _field(document, move.links.field, "string", needed=True)
    if move.assigns is not None:
        yield from _field(document, move.assigns.source, "string", needed=True)
    if move.proposes is not None:
        yield from _field(document, move.proposes.date, "date", needed=True)
    if move.settles is not None:
        yield from _field(document, move.settles.agreed, "boolean", needed=True)
        if move.settles.date is not None:
            yield from _field(document, move.settles.date, "date", needed=False)
    if move.undoes is not None:
        yield from _field(document, move.undoes, "string", needed=True)


def _field(document: Mapping[str, Any], name: str, kind: str | None, *, needed: bool) -> Iterator[str]:
    field = _property(document, name)
    if name not in document.get("properties", {}):
        yield f"reads the field {name}, which its schema does not have"
    elif needed and name not in document.get("required", []):
        yield f"reads the field {name}, which its schema does not require"
    elif kind == "date":
        if (field.get("type"), field.get("format")) != ("string", "date"):
            yield f"reads the field {name} as a date, which it is not"
    elif kind is not None and field.get("type") != kind:
        yield f"reads the field {name} as {kind}, which it is not"


def _deadlines(protocol: Protocol) -> Iterator[str]:
    opening = [own_part(protocol.messages[name]) for name in protocol.flow.opening if name in protocol.messages]
    for name, deadline in protocol.flow.deadlines.items():
        if deadline.after is not None:
            for document in opening:
                found = _field(document, deadline.after, "string", needed=True)
                yield from (f"deadline {name} {text}" for text in found)
        if deadline.shorter is None:
            continue
        fields = [_property(document, deadline.shorter.field) for document in opening]
        if not any(deadline.shorter.value in _codes(field) for field in fields):
            yield f"deadline {name} is shorter for {deadline.shorter.value}, which no opening message can say"


def _property(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The schema of a property; an empty one where there is none or it is `true` or `false`."""
    return bundling.resolve(document, document.get("properties", {}).get(name))


def _codes(field: Mapping[str, Any]) -> list[Any]:
    choices = [choice for choice in field.get("oneOf", []) if isinstance(choice, Mapping)]
    return [*field.get("enum", []), *(choice.get("const") for choice in choices)]


def _words(protocol: Protocol) -> Iterator[str]:
    flow = protocol.flow
    declared = {name: message.declared for name, message in protocol.messages.items()}
    said = msgspec.to_builtins(
        [flow.protocol, flow.title, flow.summary, flow.roles, flow.states, flow.deadlines, declared]
    )
    for notion in notions.walk(said):
        yield f"flow.toml speaks of {notion.stem}, which no flow may"
    for message in protocol.messages.values():
        for schema in (message.schema, message.sealed_schema):
            for notion in notions.walk(schema.document) if schema else ():
                yield f"{message.name} {notion.pointer} speaks of {notion.stem}, which no schema may"
