"""Whether a flow holds together: states that can be reached and left, clocks that fit, moves that can be made."""

from collections.abc import Iterator

from protocols import flow_search
from protocols.table import BACK, HUB, OPENER, ORGANISATION_ROLES, PARTICIPANT, RESPONDER, Flow, Move, State

ROLES = (OPENER, RESPONDER, PARTICIPANT)


def findings(flow: Flow) -> Iterator[str]:
    """All that is wrong with the flow, in words."""
    yield from _roles(flow)
    for name, state in flow.states.items():
        yield from _final(name, state) if state.final else _running(flow, name, state)
    yield from _deadlines(flow)
    yield from _opening(flow)
    for move in flow.moves:
        if not move.opens:
            yield from _move(flow, move)
        yield from _targets_exist(flow, move)
    yield from _twice(flow)
    yield from _reachable(flow)
    yield from _ends(flow)
    yield from flow_search.findings(flow)


def _roles(flow: Flow) -> Iterator[str]:
    for role in (OPENER, RESPONDER):
        if role not in flow.roles:
            yield f"there is no role {role}"
    for role in flow.roles:
        if role not in ROLES:
            yield f"nobody can have the role {role}"


def _final(name: str, state: State) -> Iterator[str]:
    if state.owners or state.due or state.clock != "stopped":
        yield f"final state {name} has an owner, a deadline or a clock"


def _running(flow: Flow, name: str, state: State) -> Iterator[str]:
    if not state.owners:
        yield f"state {name} has no owner"
    for role in state.owners:
        if role not in flow.roles:
            yield f"state {name} is owned by the unknown role {role}"
        elif state.owners == (PARTICIPANT,):
            yield f"state {name} has no owner but participants, and there may be none"
    deadline = flow.deadlines.get(state.due or "")
    if deadline is None:
        yield f"state {name} has no deadline" + (f" {state.due}: there is none of this name" if state.due else "")
    elif deadline.scope in ("message", "opening"):
        yield f"state {name} is due by {state.due}, which belongs to each message"
    elif deadline.scope == "case" and state.clock != "runs":
        yield f"state {name} is due by {state.due}, which does not run in it"
    ways = [move for move in flow.moves if name in move.states and move.to not in (None, name)]
    if not ways:
        yield f"state {name} has no way out"
    else:
        for role in state.owners:
            if not any(role in move.by for move in ways):
                yield f"state {name} has no way out for its owner {role}"


def _deadlines(flow: Flow) -> Iterator[str]:
    used = {state.due for state in flow.states.values()}
    for name, deadline in flow.deadlines.items():
        if deadline.scope == "state" and name not in used:
            yield f"deadline {name} belongs to no state"
        if deadline.shorter and deadline.shorter.days >= deadline.days:
            yield f"deadline {name} is not shorter where it should be"
        if (deadline.scope == "opening") != (deadline.after is not None):
            yield f"deadline {name} is counted from a month, which that of an opening message alone is"
        elif deadline.scope == "opening" and (deadline.unit != "calendar" or deadline.shorter):
            yield f"deadline {name} is counted from the end of a month in calendar days, the same for all"


def _opening(flow: Flow) -> Iterator[str]:
    if not flow.opening:
        yield "no message opens a case"
    for move in flow.moves:
        if not move.opens:
            if move.message in flow.opening:
                yield f"{move.message} opens a case and can't be sent in one"
            continue
        target = flow.states.get(move.to or "")
        if target is None or target.final or target.clock == "paused":
            yield f"{move.message} opens a case in no state in which it runs"
        if move.basis is None:
            yield f"{move.message} opens a case without a legal basis"
        later = (move.by, move.states, move.requires, move.limit, move.assigns, move.at_least, move.proposes)
        if any(later) or move.settles or move.undoes or move.each:
            yield f"{move.message} opens a case and does what only a later message can"
        if unknown := set(move.of) - ORGANISATION_ROLES:
            yield f"{move.message} is for the unknown roles {sorted(unknown)}"
        if move.undone is not None and (move.undone not in flow.states or not flow.states[move.undone].final):
            yield f"{move.message} opens a case and is not undone into a final state"


def _targets_exist(flow: Flow, move: Move) -> Iterator[str]:
    for name in (move.to, move.undone):
        if name is not None and name != BACK and name not in flow.states:
            yield f"{move.message} names the unknown state {name}"


def _move(flow: Flow, move: Move) -> Iterator[str]:
    if not (move.by and move.states):
        yield f"{move.message} can never be sent"
    for role in move.by:
        if role not in flow.roles and role != HUB:
            yield f"{move.message} is by the unknown role {role}"
    if move.of or move.links:
        yield f"{move.message} opens no case and says who may open one, or about what"
    yield from _each(flow, move)
    yield from _pause(flow, move)
    yield from _reopening(flow, move)
    yield from _undoing(flow, move)
    yield from _assigning(flow, move)
    yield from _timing(flow, move)


def _each(flow: Flow, move: Move) -> Iterator[str]:
    if not move.each:
        return
    if move.to is None or move.assigns:
        yield f"{move.message} is each one's say and leads nowhere"
    for name in move.states:
        if not set(move.by) <= set(flow.states[name].owners):
            yield f"{move.message} is each one's say in {name}, where not each of them is to act"


def _pause(flow: Flow, move: Move) -> Iterator[str]:
    paused = [flow.states[name].clock == "paused" for name in move.states]
    if move.to == BACK and not all(paused):
        yield f"{move.message} leads back from a state that no pause led to"
    target = flow.states.get(move.to or "")
    if target is not None and target.clock == "paused" and any(flow.states[n].clock != "runs" for n in move.states):
        yield f"{move.message} pauses a clock that does not run"


def _reopening(flow: Flow, move: Move) -> Iterator[str]:
    ended = any(flow.states[name].final for name in move.states)
    target = flow.states.get(move.to or "")
    if ended and target is not None and not target.final and move.basis is None:
        yield f"{move.message} reopens a case without a legal basis"


def _undoing(flow: Flow, move: Move) -> Iterator[str]:
    if move.undone not in (None, BACK):
        final = move.undone in flow.states and flow.states[move.undone].final
        if not final and any(name != move.undone for name in move.states):
            yield f"{move.message} is undone into {move.undone}, which it may not have left"
    given_away = move.assigns is not None and move.assigns.role == RESPONDER and move.assigns.among == "newcomers"
    if move.undone is not None and given_away:
        yield f"{move.message} gives the case away and can't be undone by who sent it"
    acts = (move.to, move.limit, move.assigns, move.at_least, move.proposes, move.settles, move.basis, move.undone)
    if move.undoes is not None and any(acts):
        yield f"{move.message} undoes a message and does something else"


def _assigning(flow: Flow, move: Move) -> Iterator[str]:
    if move.assigns is None:
        return
    role = move.assigns.role
    if role not in (RESPONDER, PARTICIPANT) or role not in flow.roles:
        yield f"{move.message} gives the role {role}, which can't be given"
    if move.assigns.among == "parties":
        if role != RESPONDER or PARTICIPANT not in flow.roles:
            yield f"{move.message} chooses among the parties for the role {role}"
    elif role == RESPONDER and move.by != (RESPONDER,):
        yield f"{move.message} gives away what only the responder holds"


def _timing(flow: Flow, move: Move) -> Iterator[str]:
    for part in (move.at_least, move.proposes, move.settles):
        if part is None:
            continue
        deadline = flow.deadlines.get(part.deadline)
        if deadline is None:
            yield f"{move.message} names the unknown deadline {part.deadline}"
        elif deadline.scope != "case":
            yield f"{move.message} moves {part.deadline}, which does not belong to the whole case"
        places = [*move.states, *([move.to] if move.to in flow.states else [])]
        if any(flow.states[name].clock != "runs" for name in places if name is not None):
            yield f"{move.message} moves {part.deadline} where the clocks do not run"


def _twice(flow: Flow) -> Iterator[str]:
    seen: set[tuple[str, str, str]] = set()
    opening: set[str] = set()
    for move in flow.moves:
        if move.opens and move.message in opening:
            yield f"two moves open a case by {move.message}"
        opening |= {move.message} if move.opens else set()
        for key in ((state, role, move.message) for state in move.states for role in move.by):
            if key in seen:
                yield f"two moves for {key[2]} by {key[1]} in {key[0]}"
            seen.add(key)


def _reachable(flow: Flow) -> Iterator[str]:
    reached: set[str] = set()
    while True:
        made = [move for move in flow.moves if move.opens or reached & set(move.states)]
        further = {name for move in made for name in (*_targets(flow, move), move.undone or BACK)} - {BACK}
        if further <= reached:
            break
        reached |= further
    for name in flow.states:
        if name not in reached:
            yield f"state {name} can't be reached"


def _ends(flow: Flow) -> Iterator[str]:
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
    if move.to != BACK:
        return [move.to] if move.to else []
    return [state for other in flow.moves if other.to in move.states and other is not move for state in other.states]
