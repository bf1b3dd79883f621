"""Whether a protocol holds together: what is looked at when it is loaded, before a hub runs it."""

from collections.abc import Iterator

from protocols import notions
from protocols.flow import OPENER, RESPONDER, Flow, Move
from protocols.loading import Catalogue, Protocol
from protocols.refusals import CatalogueInvalid


def require(catalogue: Catalogue) -> Catalogue:
    """`catalogue`, when every protocol in it holds together. Raises CatalogueInvalid with every finding."""
    found = [finding for protocol in catalogue.protocols.values() for finding in findings(protocol)]
    if found:
        raise CatalogueInvalid("; ".join(found[:5]), problems=found)
    return catalogue


def findings(protocol: Protocol) -> list[str]:
    """All that is wrong with the protocol, in words; empty when it holds."""
    where = f"{protocol.name} {protocol.version}"
    checks = (_states, _moves, _reachable, _ends, _messages, _notions)
    return [f"{where}: {finding}" for check in checks for finding in check(protocol)]


def _states(protocol: Protocol) -> Iterator[str]:
    flow = protocol.flow
    for name, state in flow.states.items():
        if state.final:
            if state.owner or state.due:
                yield f"final state {name} has an owner or a deadline"
            continue
        if state.owner not in (OPENER, RESPONDER):
            yield f"state {name} has no owner"
        if state.due not in flow.deadlines:
            yield f"state {name} has no deadline"
        if not any(name in move.states and move.to for move in flow.moves):
            yield f"state {name} has no way out"


def _moves(protocol: Protocol) -> Iterator[str]:
    flow = protocol.flow
    seen: set[tuple[str, str, str]] = set()
    if not flow.opening:
        yield "no message opens a case"
    for move in flow.moves:
        named = [name for name in (move.to, move.undone) if name is not None and name != "@back"]
        for name in named:
            if name not in flow.states:
                yield f"{move.message} names the unknown state {name}"
        if move.message not in protocol.messages:
            yield f"{move.message} is moved by but not declared"
        if not move.opens and not (move.by and move.states):
            yield f"{move.message} can never be sent"
        for role in move.by:
            if role not in flow.roles:
                yield f"{move.message} is by the unknown role {role}"
        for key in ((state, role, move.message) for state in move.states for role in move.by):
            if key in seen:
                yield f"two moves for {key[2]} by {key[1]} in {key[0]}"
            seen.add(key)
        yield from _deadlines(flow, move)


def _deadlines(flow: Flow, move: Move) -> Iterator[str]:
    for part in (move.at_least, move.proposes, move.settles):
        if part is not None and part.deadline not in flow.deadlines:
            yield f"{move.message} names the unknown deadline {part.deadline}"


def _reachable(protocol: Protocol) -> Iterator[str]:
    flow = protocol.flow
    reached = {move.to for move in flow.moves if move.opens and move.to}
    while True:
        further = {name for move in flow.moves for name in _targets(flow, move) if reached & set(move.states)}
        further |= {move.undone for move in flow.moves if move.opens and move.undone}
        if further <= reached:
            break
        reached |= further
    for name in flow.states:
        if name not in reached:
            yield f"state {name} can't be reached"


def _ends(protocol: Protocol) -> Iterator[str]:
    flow = protocol.flow
    ending = {name for name, state in flow.states.items() if state.final}
    grown = True
    while grown:
        leading = {s for move in flow.moves for s in move.states if set(_targets(flow, move)) & ending}
        grown = not leading <= ending
        ending |= leading
    for name in flow.states:
        if name not in ending:
            yield f"no way leads from state {name} to an end"


def _targets(flow: Flow, move: Move) -> list[str]:
    if move.to != "@back":
        return [move.to] if move.to else []
    return [state for other in flow.moves if other.to in move.states and other is not move for state in other.states]


def _messages(protocol: Protocol) -> Iterator[str]:
    moved = {move.message for move in protocol.flow.moves}
    for name, message in protocol.messages.items():
        if name not in moved and not message.declared.from_hub:
            yield f"{name} can never be sent"
        for part, schema in (("open", message.schema), ("sealed", message.sealed_schema)):
            if schema is None:
                continue
            examples = schema.document.get("examples", [])
            if not examples:
                yield f"{part}/{name} has no example"
            for number, example in enumerate(examples):
                for finding in schema.findings(example):
                    yield f"{part}/{name} example {number}: {finding['pointer']}: {finding['message']}"


def _notions(protocol: Protocol) -> Iterator[str]:
    for message in protocol.messages.values():
        for schema in (message.schema, message.sealed_schema):
            for notion in notions.walk(schema.document) if schema else ():
                yield f"{message.name} {notion.pointer} speaks of {notion.stem}, which no schema may"
