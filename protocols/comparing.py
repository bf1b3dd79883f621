"""What changed between two versions of a protocol, and for whom that breaks something."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from protocols import bundling
from protocols.loading import MessageType, Protocol
from protocols.message_checks import own_part
from protocols.table import Flow, Move

Breaks = Literal["senders", "readers", "both"]
"""Senders: something that was taken is refused now. Readers: something may come that never came before."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One change: where, what it was and is, and whom of those who know the old version it breaks."""

    where: str
    old: str | None
    new: str | None
    breaks: Breaks | None


def differences(old: Protocol, new: Protocol) -> list[Difference]:
    """Every change from `old` to `new`, flow first, then message by message."""
    return [*_flow(old.flow, new.flow), *_messages(old.messages, new.messages)]


def _flow(old: Flow, new: Flow) -> Iterator[Difference]:
    yield from _named("states", old.states, new.states, added="readers", removed="both")
    yield from _named("deadlines", old.deadlines, new.deadlines, added=None, removed=None)
    yield from _named("roles", old.roles, new.roles, added="readers", removed="senders")
    if old.logged != new.logged:
        yield Difference("logged", _text(old.logged), _text(new.logged), "readers" if new.logged else None)
    before, after = _lines(old), _lines(new)
    for line in sorted(before.keys() | after.keys()):
        where = "moves/" + "/".join(line)
        if line not in after:
            yield Difference(where, "allowed", None, "senders")
        elif line not in before:
            yield Difference(where, None, "allowed", "readers")
        else:
            yield from _move(where, before[line], after[line])


def _lines(flow: Flow) -> dict[tuple[str, ...], Move]:
    opening = {("opens", name): move for name, move in flow.opening.items()}
    return opening | {(state, role, name): m for (state, role), ms in flow.table.items() for name, m in ms.items()}


def _move(where: str, old: Move, new: Move) -> Iterator[Difference]:
    for field in msgspec.structs.fields(Move):
        if field.name in ("message", "by", "states"):
            continue
        was, now = getattr(old, field.name), getattr(new, field.name)
        if was == now:
            continue
        breaks: Breaks | None = "both"
        if field.name == "limit":
            breaks = "readers" if now is None or (was is not None and now > was) else "senders"
        elif field.name in ("requires", "of"):
            breaks = "senders" if set(now) > set(was) or not was else "readers"
        elif field.name in ("undone", "at_least"):
            breaks = None
        yield Difference(f"{where}/{field.name}", _text(was), _text(now), breaks)


def _messages(old: Mapping[str, MessageType], new: Mapping[str, MessageType]) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        where = f"messages/{name}"
        if name not in new:
            yield Difference(where, "declared", None, "senders")
        elif name not in old:
            yield Difference(where, None, "declared", "readers")
        else:
            yield from _declared(where, old[name], new[name])
            yield from _schema(f"{where}/open", own_part(old[name]), own_part(new[name]))
            before, after = old[name].sealed_schema, new[name].sealed_schema
            if before is not None and after is not None:
                yield from _schema(f"{where}/sealed", before.document, after.document)


def _declared(where: str, old: MessageType, new: MessageType) -> Iterator[Difference]:
    for field in msgspec.structs.fields(type(old.declared)):
        was, now = getattr(old.declared, field.name), getattr(new.declared, field.name)
        if was == now:
            continue
        breaks: Breaks | None = None if field.name in ("zh", "en") else "both"
        if field.name == "sealed":
            order = ["none", "optional", "required"]
            breaks = "senders" if "none" in (was, now) or order.index(now) > order.index(was) else "readers"
        elif field.name in ("sealed_to", "padding", "from_hub"):
            breaks = "senders"
        yield Difference(f"{where}/{field.name}", _text(was), _text(now), breaks)


def _schema(where: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    """Two whole documents."""
    return _value(where, old, old, new, new)


def _value(
    where: str, old_document: Mapping[str, Any], old: Any, new_document: Mapping[str, Any], new: Any
) -> Iterator[Difference]:
    was, now = bundling.resolve(old_document, old), bundling.resolve(new_document, new)
    if was.get("type") != now.get("type"):
        yield Difference(f"{where}/type", _text(was.get("type")), _text(now.get("type")), "both")
        return
    yield from _codes(where, was, now)
    yield from _bounds(where, was, now)
    properties, more = was.get("properties", {}), now.get("properties", {})
    required, demanded = set(was.get("required", ())), set(now.get("required", ()))
    for name in sorted(properties.keys() | more.keys()):
        below = f"{where}/{name}"
        if name not in more:
            yield Difference(below, "field", None, "senders")
        elif name not in properties:
            yield Difference(below, None, "field", "both" if name in demanded else "readers")
        else:
            if (name in required) != (name in demanded):
                words = "required", "optional"
                ordered = words if name in required else words[::-1]
                yield Difference(below, *ordered, breaks="readers" if name in required else "senders")
            yield from _value(below, old_document, properties[name], new_document, more[name])
    if "items" in was and "items" in now:
        yield from _value(f"{where}/items", old_document, was["items"], new_document, now["items"])


def _codes(where: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    before, after = _listed(was), _listed(now)
    if before is None and after is None:
        return
    for code in sorted((before or set()) ^ (after or set()), key=str):
        gone = before is not None and code in before
        yield Difference(
            where, str(code) if gone else None, None if gone else str(code), "senders" if gone else "readers"
        )


def _listed(schema: Mapping[str, Any]) -> set[Any] | None:
    if "enum" in schema:
        return set(schema["enum"])
    choices = schema.get("oneOf")
    return None if choices is None else {choice.get("const") for choice in choices}


# Of these a larger value takes more, of those a smaller one.
_UPPER, _LOWER = ("maximum", "maxLength", "maxItems"), ("minimum", "minLength", "minItems")


def _bounds(where: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Difference]:
    for keyword in (*_UPPER, *_LOWER):
        before, after = was.get(keyword), now.get(keyword)
        if before == after:
            continue
        wider = after is None
        if before is not None and after is not None:
            wider = (after > before) == (keyword in _UPPER)
        yield Difference(f"{where}/{keyword}", _text(before), _text(after), "readers" if wider else "senders")
    for keyword in ("pattern", "format", "uniqueItems", "dependentRequired"):
        if was.get(keyword) != now.get(keyword):
            yield Difference(f"{where}/{keyword}", _text(was.get(keyword)), _text(now.get(keyword)), "both")


def _named(
    where: str, old: Mapping[str, Any], new: Mapping[str, Any], *, added: Breaks | None, removed: Breaks | None
) -> Iterator[Difference]:
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            yield Difference(f"{where}/{name}", "there", None, removed)
        elif name not in old:
            yield Difference(f"{where}/{name}", None, "there", added)
        else:
            for field in msgspec.structs.fields(type(old[name])):
                was, now = getattr(old[name], field.name), getattr(new[name], field.name)
                if was != now:
                    breaks: Breaks | None = "both" if field.name in ("owner", "final", "clock") else None
                    yield Difference(f"{where}/{name}/{field.name}", _text(was), _text(now), breaks)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()
