"""A case as a value: its parties, where it stands, the clocks that run, and what its last message changed."""

from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from protocols.deadlines import Due, Unit
from protocols.table import OPENER, PARTICIPANT, RESPONDER, Role


class Counted(msgspec.Struct, frozen=True):
    """What a due date was counted from, so that it can be counted again by another calendar."""

    since: date
    days: int
    unit: Unit


class Clock(msgspec.Struct, frozen=True, omit_defaults=True):
    """A running deadline of a case; `paused_on` is the day it was paused."""

    due: date
    counted: Counted
    provisional: bool = False
    paused_on: date | None = None


class Position(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a case stands: all that invalidating a message restores."""

    state: str
    responder: str
    participants: tuple[str, ...] = ()
    clocks: dict[str, Clock] = {}
    came_from: str | None = None
    proposal: date | None = None
    counts: dict[str, int] = {}
    said: tuple[str, ...] = ()
    """Who has had its say in this state, where each of several has one."""

    def succeeded(self, old: str, new: str) -> "Position":
        """The position with `new` in the place of `old`."""
        responder = new if self.responder == old else self.responder
        renamed = dict.fromkeys(new if name == old else name for name in self.participants)
        counts = {
            f"{message} {new}" if sender == old else key: count
            for key, count in self.counts.items()
            for message, _, sender in [key.partition(" ")]
        }
        return msgspec.structs.replace(
            self,
            responder=responder,
            participants=tuple(name for name in renamed if name != responder),
            counts=counts,
            said=tuple(new if name == old else name for name in self.said),
        )


class Undo(msgspec.Struct, frozen=True, omit_defaults=True):
    """What invalidating the case's last message would restore, and who was `told` that message."""

    message: str
    source: str
    position: Position
    basis: str | None = None
    told: tuple[str, ...] = ()


class Case(msgspec.Struct, frozen=True, omit_defaults=True):
    """One case. `terms` are the deadlines that the opening message made shorter, in days by their names;
    `former` are the responders that passed it on; `about` is the case that it was opened about.
    """

    id: str
    protocol: str
    version: str
    opener: str
    opened: datetime
    basis: str | None
    position: Position
    terms: dict[str, int] = {}
    undo: Undo | None = None
    former: tuple[str, ...] = ()
    about: str | None = None
    home: str | None = None
    """The hub that alone advances it, where that is another one."""

    @property
    def state(self) -> str:
        """The state's name in the flow."""
        return self.position.state

    def parties(self) -> tuple[str, ...]:
        """Opener, responder and participants, as of now."""
        return (self.opener, self.position.responder, *self.position.participants)

    def role(self, organisation: str) -> Role | None:
        """The role that `organisation` has in the case now, if any."""
        if organisation == self.opener:
            return OPENER
        if organisation == self.position.responder:
            return RESPONDER
        return PARTICIPANT if organisation in self.position.participants else None

    def succeeded(self, old: str, new: str) -> "Case":
        """The case with `new` in the place of `old`, wherever `old` is a party; who passed it on stays who it was.

        `new` must not be the opposite side: nobody answers its own case.
        """
        undo = self.undo
        if undo is not None:
            undo = msgspec.structs.replace(
                undo,
                source=new if undo.source == old else undo.source,
                position=undo.position.succeeded(old, new),
                told=tuple(new if name == old else name for name in undo.told),
            )
        opener = new if self.opener == old else self.opener
        return msgspec.structs.replace(self, opener=opener, position=self.position.succeeded(old, new), undo=undo)

    def involved(self) -> frozenset[str]:
        """All parties that there are and were."""
        return frozenset((*self.parties(), *self.former))


@dataclass(frozen=True, slots=True)
class Transition:
    """A message's effect: the case after it, the state before it, the due date it leaves (None: none)."""

    case: Case
    before: str | None
    due: Due | None
