"""Where a case stands, by the log's entries alone: whose turn it is, without what the messages hold.

An entry says who sent what kind of message to whom; with the protocol's table that is enough to follow a case from
state to state. Due dates are in the entries. The messages themselves are needed for neither.
"""

import msgspec

from protocols.between_hubs import Relayed
from protocols.departments import is_hub
from protocols.entries import Accepted
from protocols.table import BACK, HUB, OPENER, PARTICIPANT, RESPONDER, Flow, Move, Role


class Standing(msgspec.Struct, frozen=True, omit_defaults=True):
    """A case as its entries have it so far; `undone` is what invalidating its last message restores."""

    state: str
    opener: str
    responder: str
    participants: tuple[str, ...] = ()
    came_from: str | None = None
    said: tuple[str, ...] = ()
    undone: "Standing | None" = None

    def parties(self) -> tuple[str, ...]:
        """Opener, responder and participants, as of now."""
        return (self.opener, self.responder, *self.participants)

    def role(self, organisation: str) -> Role | None:
        """The role that `organisation` has in the case now, if any."""
        if organisation == self.opener:
            return OPENER
        if organisation == self.responder:
            return RESPONDER
        return PARTICIPANT if organisation in self.participants else None

    def awaited(self, flow: Flow) -> tuple[str, ...]:
        """The parties that are to act next; none in a final state."""
        owners = flow.states[self.state].owners
        return tuple(name for name in self.parties() if self.role(name) in owners and name not in self.said)

    def succeeded(self, old: str, new: str) -> "Standing":
        """The same with `new` in the place of `old`."""

        def named(name: str) -> str:
            return new if name == old else name

        responder = named(self.responder)
        return msgspec.structs.replace(
            self,
            opener=named(self.opener),
            responder=responder,
            participants=tuple(n for n in dict.fromkeys(map(named, self.participants)) if n != responder),
            said=tuple(map(named, self.said)),
            undone=self.undone.succeeded(old, new) if self.undone else None,
        )


Step = Accepted | Relayed
"""An entry by which a case moves: where it has its home, and where the home's entry is repeated."""


def follow(flow: Flow, standing: Standing | None, entry: Step) -> Standing | None:
    """Where the case stands once `entry` took a message in it; as it was where the flow knows no such move.

    The log holds no message that the flow refused, but for the hub's own word that one was not delivered, which
    moves nothing.
    """
    message = entry.type.partition(".")[2]
    if standing is None:
        move = flow.opening.get(message)
        return None if move is None else _open(flow, move, entry)
    role = standing.role(entry.source) or (HUB if is_hub(entry.source) else None)
    found = flow.table.get((standing.state, role), {}) if role is not None else {}
    move = found.get(message)
    return standing if move is None else _moved(flow, standing, move, entry)


def _open(flow: Flow, move: Move, entry: Step) -> Standing:
    responder, *participants = entry.recipients
    assert move.to is not None
    opened = Standing(move.to, entry.source, responder, tuple(participants))
    return _undoable(opened, opened, move)


def _moved(flow: Flow, standing: Standing, move: Move, entry: Step) -> Standing:
    if move.undoes is not None:
        assert standing.undone is not None
        return standing.undone
    after = msgspec.structs.replace(standing, undone=None)
    if move.assigns is not None:
        after = _assigned(after, move, entry)
    if move.each and {n for n in after.parties() if after.role(n) in move.by} - {*after.said, entry.source}:
        after = msgspec.structs.replace(after, said=(*after.said, entry.source))
    elif move.to is not None:
        after = _entered(flow, after, move.to)
    return _undoable(after, standing, move)


def _entered(flow: Flow, standing: Standing, target: str) -> Standing:
    name = (standing.came_from or standing.state) if target == BACK else target
    came_from = standing.state if flow.states[name].clock == "paused" else None
    return msgspec.structs.replace(standing, state=name, came_from=came_from, said=())


def _assigned(standing: Standing, move: Move, entry: Step) -> Standing:
    assigns = move.assigns
    assert assigns is not None
    named = entry.assigned or next((n for n in entry.recipients if n not in standing.parties()), None)
    if named is None:
        return standing
    others = tuple(name for name in standing.participants if name != named)
    if assigns.role != RESPONDER:
        return msgspec.structs.replace(standing, participants=(*standing.participants, named))
    if assigns.among == "parties" and named != standing.responder:
        others = (*others, standing.responder)
    return msgspec.structs.replace(standing, responder=named, participants=others)


def _undoable(after: Standing, source: Standing, move: Move) -> Standing:
    if move.undone is None:
        return after
    state = source.state if move.undone == BACK else move.undone
    restored = msgspec.structs.replace(source, state=state, undone=None)
    return msgspec.structs.replace(after, undone=restored)
