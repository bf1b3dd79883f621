"""The clocks of a case: which start, pause, resume and stop when it enters a state, and are counted again."""

from collections.abc import Callable, Collection
from datetime import date

import msgspec

from protocols import deadlines
from protocols.calendar import Calendar
from protocols.cases import Case, Clock, Counted, Position
from protocols.deadlines import Due, Unit
from protocols.table import BACK, AtLeast, Flow


def enter(flow: Flow, case: Case, target: str, today: date, calendar: Calendar) -> Position:
    """The position on entering a state: clocks that start, pause, resume or stop with it.

    A clock of the whole case goes on through every state that runs, waits in one that pauses and ends in one that
    stops; a clock of one state lives as long as its state, a pause in between included.
    """
    position = case.position
    returning = target == BACK
    name = (position.came_from or position.state) if returning else target
    state = flow.states[name]
    kept = {
        key: running
        for key, running in position.clocks.items()
        if flow.deadlines[key].scope == "case" or state.clock == "paused" or (returning and key == state.due)
    }
    came_from = proposal = None
    if state.clock == "paused":
        came_from = position.state
        clocks = {key: _pause(running, today) for key, running in kept.items()}
    elif state.clock == "runs":
        starting = [key for key, deadline in flow.deadlines.items() if deadline.scope == "case"]
        clocks = {key: _start(flow, case, key, today, calendar) for key in starting if key not in kept}
        clocks |= {key: _resume(running, flow.deadlines[key].unit, today, calendar) for key, running in kept.items()}
    else:
        clocks = {}
    if state.due is not None and state.due not in clocks:
        clocks[state.due] = _start(flow, case, state.due, today, calendar)
    if state.clock != "stopped":
        # A date proposed for an answer means nothing once there is one.
        proposal = position.proposal
    return msgspec.structs.replace(position, state=name, clocks=clocks, came_from=came_from, proposal=proposal, said=())


def leave_at_least(position: Position, least: AtLeast, today: date, calendar: Calendar) -> Position:
    """The position in which a deadline leaves at least so many days from `today`."""
    floor = clock(today, least.days, least.unit, calendar)
    running = position.clocks.get(least.deadline)
    if running is None or running.due >= floor.due:
        return position
    return msgspec.structs.replace(position, clocks={**position.clocks, least.deadline: floor})


def clock(since: date, days: int, unit: Unit, calendar: Calendar) -> Clock:
    """A clock that runs `days` days of `unit` from the day after `since`."""
    due = deadlines.due_date(since, days, unit, calendar)
    return Clock(due.date, Counted(since, days, unit), due.provisional)


def recounted(case: Case, calendar: Calendar) -> Case:
    """The case with every provisional due date counted again by `calendar`.

    None moves to an earlier day. The same case where nothing changes.
    """

    def again(running: Clock) -> Clock:
        if not running.provisional:
            return running
        fresh = clock(running.counted.since, running.counted.days, running.counted.unit, calendar)
        due = max(fresh.due, running.due)
        return msgspec.structs.replace(running, due=due, provisional=fresh.provisional)

    return _each(case, again)


def postponed(case: Case, days: Collection[date], to: date, calendar: Calendar) -> Case:
    """The case with what falls due on one of `days` due on the day `to` instead; what is paused stays.

    None moves to an earlier day. The same case where nothing changes.
    """

    def moved(running: Clock) -> Clock:
        if running.paused_on is not None or running.due not in days or running.due >= to:
            return running
        return clock(to, 0, "calendar", calendar)

    return _each(case, moved)


def _each(case: Case, change: Callable[[Clock], Clock]) -> Case:
    def changed(position: Position) -> Position:
        clocks = {name: change(running) for name, running in position.clocks.items()}
        return msgspec.structs.replace(position, clocks=clocks)

    undo = case.undo
    if undo is not None:
        undo = msgspec.structs.replace(undo, position=changed(undo.position))
    return msgspec.structs.replace(case, position=changed(case.position), undo=undo)


def _start(flow: Flow, case: Case, name: str, today: date, calendar: Calendar) -> Clock:
    deadline = flow.deadlines[name]
    return clock(today, case.terms.get(name, deadline.days), deadline.unit, calendar)


def _pause(running: Clock, today: date) -> Clock:
    return running if running.paused_on else msgspec.structs.replace(running, paused_on=today)


def _resume(running: Clock, unit: Unit, today: date, calendar: Calendar) -> Clock:
    if running.paused_on is None:
        return running
    # A database restored on another machine may be behind the clock that the pause was taken by.
    resumed_on = max(today, running.paused_on)
    was = Due(running.due, running.provisional)
    left = deadlines.days_left(running.paused_on, was, unit, calendar)
    due = deadlines.resumed(was, running.paused_on, resumed_on, unit, calendar)
    # Missed over a weekend, no working day is missing: what counts is whether it was missed.
    counted = running.counted if running.due < running.paused_on else Counted(resumed_on, left, unit)
    return Clock(due.date, counted, due.provisional)
