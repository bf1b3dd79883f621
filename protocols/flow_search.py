"""Every situation that a case of a flow can come into, walked through: nobody waits for ever, nothing is never sent.

A situation is what decides which messages are allowed: the state, the state that a pause left, whether a date is
proposed, and how often each limited message was sent. Dates and organisations are left out.
"""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from protocols.table import BACK, Flow, Move

MOST = 20_000
"""So many situations are walked through; a flow that has more is too large to be understood."""


class Situation(NamedTuple):
    """What decides which messages are allowed."""

    state: str
    came_from: str | None
    proposed: bool
    sent: tuple[tuple[str, int], ...]


def findings(flow: Flow) -> Iterator[str]:
    """Situations in which whoever is to act can't lead on, and messages that no situation allows."""
    if not all(_known(flow, move) for move in flow.moves):
        return  # said elsewhere
    reached, sendable, stuck = _walk(flow)
    if len(reached) >= MOST:
        yield f"a case can come into more than {MOST} situations"
        return
    for move in flow.moves:
        if not move.opens and move.states and move.message not in sendable:
            yield f"{move.message} can never be sent, whatever was sent before"
    for situation in sorted(stuck, key=repr):
        spent = ", ".join(f"{name} sent {count}" for name, count in situation.sent)
        yield f"a case can be stuck in {situation.state}{f' ({spent})' if spent else ''}: who is to act can't lead on"


def _known(flow: Flow, move: Move) -> bool:
    names = {*move.states, move.to, move.undone} - {None, BACK}
    return names <= flow.states.keys()


def _walk(flow: Flow) -> tuple[set[Situation], set[str], set[Situation]]:
    first = {name for move in flow.opening.values() for name in (move.to, move.undone)}
    waiting = deque(Situation(name, None, False, ()) for name in flow.states if name in first)
    reached, sendable, stuck = set(waiting), set[str](), set[Situation]()
    while waiting and len(reached) < MOST:
        situation = waiting.popleft()
        leads_on = set[str]()
        for move in flow.moves:
            if situation.state not in move.states or not _allowed(move, situation):
                continue
            sendable.add(move.message)
            if move.to not in (None, situation.state):
                leads_on |= set(move.by)
            for after in _after(flow, move, situation):
                if after not in reached:
                    reached.add(after)
                    waiting.append(after)
        if not set(flow.states[situation.state].owners) <= leads_on:
            stuck.add(situation)
    return reached, sendable, stuck


def _allowed(move: Move, situation: Situation) -> bool:
    if move.limit is not None and dict(situation.sent).get(move.message, 0) >= move.limit:
        return False
    return move.settles is None or situation.proposed


def _after(flow: Flow, move: Move, situation: Situation) -> Iterator[Situation]:
    """Where the move leads, and, where it can be undone, what undoing it leaves."""
    sent, proposed = dict(situation.sent), situation.proposed
    if move.limit is not None:
        sent[move.message] = sent.get(move.message, 0) + 1
    proposed = (proposed or move.proposes is not None) and move.settles is None
    counted = tuple(sorted(sent.items()))
    if move.to is None:
        yield situation._replace(proposed=proposed, sent=counted)
    else:
        name = (situation.came_from or situation.state) if move.to == BACK else move.to
        state = flow.states[name]
        came_from = situation.state if state.clock == "paused" else None
        yield Situation(name, came_from, proposed and state.clock != "stopped", counted)
    if move.undone not in (None, BACK):
        yield situation._replace(state=move.undone)
