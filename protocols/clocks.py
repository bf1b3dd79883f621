"""The clocks of a case: which start, pause, resume and stop when it enters a state."""

from datetime import date

import msgspec

from protocols import deadlines
from protocols.cases import Case, Clock, Position
from protocols.deadlines import Due, Unit
from protocols.table import BACK, AtLeast, Flow


def enter(flow: Flow, case: Case, target: str, today: date) -> Position:
    """The position on entering a state: clocks that start, pause, resume or stop with it.

    A clock of the whole case goes on through every state that runs, waits in one that pauses and ends in one that
    stops; a clock of one state lives as long as its state, a pause in between included.
    """
    position = case.position
    returning = target == BACK
    name = (position.came_from or position.state) if returning else target
    state = flow.states[name]
    kept = {
        key: clock
        for key, clock in position.clocks.items()
        if flow.deadlines[key].scope == "case" or state.clock == "paused" or (returning and key == state.due)
    }
    came_from = proposal = None
    if state.clock == "paused":
        came_from = position.state
        clocks = {key: _pause(clock, today) for key, clock in kept.items()}
    elif state.clock == "runs":
        starting = [key for key, deadline in flow.deadlines.items() if deadline.scope == "case"]
        clocks = {key: _start(flow, case, key, today) for key in starting if key not in kept}
        clocks |= {key: _resume(clock, flow.deadlines[key].unit, today) for key, clock in kept.items()}
    else:
        clocks = {}
    if state.due is not None and state.due not in clocks:
        clocks[state.due] = _start(flow, case, state.due, today)
    if state.clock != "stopped":
        # A date proposed for an answer means nothing once there is one.
        proposal = position.proposal
    return msgspec.structs.replace(position, state=name, clocks=clocks, came_from=came_from, proposal=proposal)


def leave_at_least(position: Position, least: AtLeast, today: date) -> Position:
    """The position in which a deadline leaves at least so many days from `today`."""
    floor = deadlines.due_date(today, least.days, least.unit)
    clock = position.clocks.get(least.deadline)
    if clock is None or clock.due >= floor.date:
        return position
    clocks = {**position.clocks, least.deadline: Clock(floor.date, floor.provisional)}
    return msgspec.structs.replace(position, clocks=clocks)


def _start(flow: Flow, case: Case, name: str, today: date) -> Clock:
    deadline = flow.deadlines[name]
    due = deadlines.due_date(today, case.terms.get(name, deadline.days), deadline.unit)
    return Clock(due.date, due.provisional)


def _pause(clock: Clock, today: date) -> Clock:
    return clock if clock.paused_on else msgspec.structs.replace(clock, paused_on=today)


def _resume(clock: Clock, unit: Unit, today: date) -> Clock:
    if clock.paused_on is None:
        return clock
    # A database restored on another machine may be behind the clock that the pause was taken by.
    resumed_on = max(today, clock.paused_on)
    due = deadlines.resumed(Due(clock.due, clock.provisional), clock.paused_on, resumed_on, unit)
    return Clock(due.date, due.provisional)
