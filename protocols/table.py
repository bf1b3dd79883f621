"""What a flow is made of: states, deadlines and the table of moves, as the flow file says them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from protocols.deadlines import Unit

Role = str
OPENER, RESPONDER, PARTICIPANT = "opener", "responder", "participant"
HUB = "hub"
"""The case's home, which takes part in no case and moves some by itself."""
BACK = "@back"
ORGANISATION_ROLES = frozenset({"bureau", "partner", "supervisor", "auditor"})
"""What an organisation may be in the directory."""

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]
Count = Annotated[int, msgspec.Meta(ge=1, le=3650)]
_Words = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A name in both languages."""

    zh: _Words
    en: _Words


class State(Text, frozen=True, forbid_unknown_fields=True):
    """A state: who acts next (`owner`), by which deadline (`due`), and what the case's clocks do in it."""

    owner: Role | tuple[Role, ...] | None = None
    due: str | None = None
    clock: Literal["runs", "paused", "stopped"] = "stopped"
    final: bool = False

    @property
    def owners(self) -> tuple[Role, ...]:
        """The roles that act next: several where each of them has its say, none in a final state."""
        return (self.owner,) if isinstance(self.owner, str) else self.owner or ()


class Shorter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A deadline of fewer `days` where the opening message's `field` has `value`."""

    field: str
    value: str
    days: Count


class Deadline(Text, frozen=True, forbid_unknown_fields=True):
    """A deadline; `scope` says what it belongs to: one state, the whole case, each message, or the opening one.

    That of the opening message is counted from the end of the month that its field `after` names (`2026-10`).
    """

    days: Count
    unit: Unit
    scope: Literal["state", "case", "message", "opening"]
    shorter: Shorter | None = None
    after: str | None = None


class Assigns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The move gives `role` to the organisation that the field `from` of the data names.

    A newcomer, or one of the `parties`: then whoever had the role takes part in the case from here on.
    """

    role: Role
    source: str = msgspec.field(name="from")
    among: Literal["newcomers", "parties"] = "newcomers"


class Links(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The opening message is about another case, which its field `field` names.

    The sender must see that case, and the recipients must be or have been parties of it.
    """

    field: str


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


class Check(Text, frozen=True, forbid_unknown_fields=True):
    """What the counts of a bulletin must fulfil, the fields by name; see `conformity`.

    `balance`: the sum of `left` is that of `right`. `carried`: `field` is what `earlier` was in the bulletin before.
    `counterpart`: in the list `field`, what was `sent` to each department is what it has as `received`, and the
    other way round. `counted`: something is counted at all, else it is a zero report.
    """

    kind: Literal["balance", "carried", "counterpart", "counted"]
    field: str | None = None
    earlier: str | None = None
    left: tuple[str, ...] = ()
    right: tuple[str, ...] = ()


class Move(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the table, with every `@name` of the flow file resolved.

    `to` is None where the state stays, "@back" for the state that a pause left. `limit` is how often the message may
    be sent `per` case, or by each sender in it. `each`: everybody in a role of `by`
    has one say in the state, and the last one leads on. `of` are the roles that an organisation must have in the
    directory, one of them, to open a case. `undone` is the state restored when the message is invalidated, "@back"
    for the one before it; None: it can't be.
    """

    message: str
    by: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
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
    checks: Mapping[str, Check] = field(default_factory=dict)
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The states by what the horizontal messages call them: `answered`, `closed`."""
    logged: bool = False
    """Whether every look at a case by somebody who is no party of it is entered in the log, with its purpose."""
    hub_acts: bool = False
    """Whether the hub moves cases by itself."""
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
