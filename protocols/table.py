"""What a flow is made of: states, deadlines and the table of moves, as the flow file says them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from protocols.deadlines import Unit

Role = str
OPENER, RESPONDER, PARTICIPANT = "opener", "responder", "participant"
BACK = "@back"

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Count = Annotated[int, msgspec.Meta(ge=1, le=3650)]
_Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name in both languages."""

    zh: _Words
    en: _Words


class State(Text, frozen=True, forbid_unknown_fields=True):
    """A state: who acts next (`owner`), by which deadline (`due`), and what the case's clocks do in it."""

    owner: Role | None = None
    due: str | None = None
    clock: Literal["runs", "paused", "stopped"] = "stopped"
    final: bool = False


class Shorter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deadline of fewer `days` where the opening message's `field` has `value`."""

    field: str
    value: str
    days: Count


class Deadline(Text, frozen=True, forbid_unknown_fields=True):
    """A deadline; `scope` says what it belongs to: one state, the whole case, or each message."""

    days: Count
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
    days: Count
    unit: Unit


class Proposes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move proposes the date in the field `date` for a deadline."""

    deadline: str
    date: str


class Settles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move takes (field `agreed` is true) or rejects the date proposed for a deadline.

    Who takes it and repeats the date, in the field `date`, must mean the one proposed.
    """

    deadline: str
    agreed: str
    date: str | None = None


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
    limit: Count | None = None
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
