"""A flow file (`flow.toml`) as it is written, and the table of moves that it stands for."""

from collections.abc import Container, Mapping
from typing import Annotated, Literal

import msgspec

from protocols.table import (
    BACK,
    OPENER,
    RESPONDER,
    Assigns,
    AtLeast,
    Check,
    Count,
    Deadline,
    Flow,
    Links,
    Move,
    Name,
    Proposes,
    Role,
    Settles,
    State,
    Text,
    tabulate,
)

Version = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,4}\.[0-9]{1,4}$")]


class MessageDeclaration(Text, frozen=True, forbid_unknown_fields=True):
    """A message as the flow file declares it; `from_hub`: a hub alone sends it.

    `sealed_to` says who can open the sealed part: the recipients and the sender, the `recipients` alone, or the
    `newcomer` alone that the message brings in. `padding` is what its plaintext is padded to a multiple of, in KiB.
    """

    sealed: Literal["required", "optional", "none"] = "none"
    sealed_to: Literal["everybody", "recipients", "newcomer"] = "everybody"
    padding: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    may_expire: bool = False
    from_hub: bool = False


class WrittenMove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry `[[moves]]`: a Move whose `@name`s are not resolved; by "other" is by who has not to act."""

    message: str
    by: Role | tuple[Role, ...] = ()
    sources: tuple[str, ...] = msgspec.field(default=(), name="from")
    to: str | None = None
    opens: bool = False
    basis: str | None = None
    requires: tuple[str, ...] = ()
    limit: Count | None = None
    per: Literal["case", "sender"] = "case"
    each: bool = False
    of: tuple[str, ...] = ()
    links: Links | None = None
    assigns: Assigns | None = None
    at_least: AtLeast | None = None
    proposes: Proposes | None = None
    settles: Settles | None = None
    undoes: str | None = None
    undone: str | None = None


class Adopted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which horizontal messages a protocol takes over, and its states by the names that these use."""

    version: Version = "1.0"
    messages: tuple[str, ...] = ()
    states: dict[str, str | tuple[str, ...]] = {}


class FlowFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`<protocol>/<version>/flow.toml`; `logged`: who looks at a case without being a party says why."""

    protocol: Name
    version: Version
    title: Text
    summary: Text
    roles: dict[Role, Text]
    states: dict[Name, State]
    deadlines: dict[Name, Deadline]
    messages: dict[Name, MessageDeclaration]
    moves: tuple[WrittenMove, ...]
    checks: dict[Name, Check] = {}
    logged: bool = False
    horizontal: Adopted = Adopted()


class HorizontalFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`horizontal/<version>/flow.toml`."""

    version: Version
    title: Text
    messages: dict[Name, MessageDeclaration]
    moves: tuple[WrittenMove, ...]


def flow(written: FlowFile, horizontal: HorizontalFile) -> Flow:
    """The flow that a protocol's file and the horizontal one stand for. Raises ValueError."""
    adopted = written.horizontal
    if unknown := set(adopted.messages) - horizontal.messages.keys():
        raise ValueError(f"no horizontal message {sorted(unknown)}")
    names = _state_names(written.states, adopted.states)
    taken_over = [_fitted(move, written.roles) for move in horizontal.moves if move.message in adopted.messages]
    moves = [move for entry in (*written.moves, *taken_over) for move in _moves(entry, written.states, names)]
    moves = _undoing(moves, {message for message, declared in written.messages.items() if declared.from_hub})
    return Flow(
        protocol=written.protocol,
        version=written.version,
        title=written.title,
        summary=written.summary,
        roles=written.roles,
        states=written.states,
        deadlines=written.deadlines,
        moves=tuple(moves),
        checks=written.checks,
        logged=written.logged,
        names={name.removeprefix("@"): found for name, found in names.items()},
        hub_acts=any(declared.from_hub for declared in written.messages.values()),
        **tabulate(moves),
    )


def _fitted(entry: WrittenMove, roles: Container[Role]) -> WrittenMove:
    """A horizontal move by those of its roles that the protocol has."""
    if isinstance(entry.by, str):
        return entry
    return msgspec.structs.replace(entry, by=tuple(role for role in entry.by if role in roles))


def _undoing(moves: list[Move], from_hub: Container[str]) -> list[Move]:
    """The moves, what undoes a message only by those who send some that can be undone."""
    able = {role for move in moves for role in move.by if move.undone}
    if any(move.opens and move.undone and move.message not in from_hub for move in moves):
        able.add(OPENER)
    return [
        msgspec.structs.replace(move, by=tuple(role for role in move.by if role in able)) if move.undoes else move
        for move in moves
    ]


def _state_names(states: Mapping[str, State], bound: Mapping[str, str | tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """What each `@name` of a move stands for."""
    names = {f"@{key}": (value,) if isinstance(value, str) else value for key, value in bound.items()}
    running = tuple(name for name, state in states.items() if not state.final)
    held = tuple(n for n in running if states[n].owners == (RESPONDER,) and states[n].clock == "runs")
    worked_out = {"@open": running, "@held": held, "@any": tuple(states)}
    if taken := names.keys() & {*worked_out, BACK}:
        raise ValueError(f"horizontal.states can't give {sorted(taken)}")
    return names | worked_out


def _moves(entry: WrittenMove, states: Mapping[str, State], names: Mapping[str, tuple[str, ...]]) -> list[Move]:
    """The lines of the table that one entry of the file stands for."""
    sources = _sources(entry, states, names)
    if entry.by != "other":
        by = (entry.by,) if isinstance(entry.by, str) else entry.by
        return [_move(entry, by, sources, names)]
    other = {OPENER: RESPONDER, RESPONDER: OPENER}
    groups = {
        role: tuple(name for name in sources if other[role] in states[name].owners and role not in states[name].owners)
        for role in other
    }
    return [_move(entry, (role,), group, names) for role, group in groups.items() if group]


def _sources(entry: WrittenMove, states: Mapping[str, State], names: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    sources = tuple(dict.fromkeys(state for name in entry.sources for state in names.get(name, (name,))))
    if unknown := [name for name in sources if name not in states]:
        raise ValueError(f"{entry.message}: no state {unknown}")
    return sources


def _move(
    entry: WrittenMove, by: tuple[Role, ...], sources: tuple[str, ...], names: Mapping[str, tuple[str, ...]]
) -> Move:
    return Move(
        message=entry.message,
        by=by,
        states=sources,
        to=_single(entry, entry.to, names),
        opens=entry.opens,
        basis=entry.basis,
        requires=entry.requires,
        limit=entry.limit,
        per=entry.per,
        each=entry.each,
        of=entry.of,
        links=entry.links,
        assigns=entry.assigns,
        at_least=entry.at_least,
        proposes=entry.proposes,
        settles=entry.settles,
        undoes=entry.undoes,
        undone=_single(entry, entry.undone, names),
    )


def _single(entry: WrittenMove, name: str | None, names: Mapping[str, tuple[str, ...]]) -> str | None:
    if name is None or name == BACK or not name.startswith("@"):
        return name
    found = names.get(name, ())
    if len(found) != 1:
        raise ValueError(f"{entry.message}: {name} stands for {len(found)} states, where one is meant")
    return found[0]
