"""Clocks counted again: a provisional due date becomes settled when the calendar arrives, never an earlier one."""

from datetime import UTC, date, datetime, timedelta

import msgspec

from protocols import clocks, deadlines, flow
from protocols.calendar import STATUTORY, Calendar
from protocols.cases import Case
from protocols.deadlines import Due
from protocols.flow import Transition
from protocols.loading import catalogue
from tests import simulator

PROTOCOL = catalogue().protocols["case-assistance", "1.0"]
FAR = datetime(2040, 5, 25, 4, 0, tzinfo=UTC)
BUREAUS = ["411002-health", "440306-health", "441900-health"]

NEW_YEAR = date(2040, 1, 2)


def published(rest: set[date], made_up: set[date]) -> Calendar:
    """The calendar once 2040 is published: New Year and these rest days, and these make-up days, besides weekends."""
    return STATUTORY.arranged(2040, {NEW_YEAR, *rest}, made_up)


def take(case: Case | None, name: str, now: datetime) -> Case:
    if case is None:
        event = simulator.opening(PROTOCOL, BUREAUS[:2], now)
    else:
        source = next(n for n in case.parties() if name in flow.allowed_actions(PROTOCOL.flow, case, n))
        event = simulator.fitting(PROTOCOL, case, source, name, now, BUREAUS)
    outcome = flow.advance(PROTOCOL.flow, case, event, now)
    assert isinstance(outcome, Transition), outcome
    return outcome.case


def due(case: Case, name: str) -> Due:
    clock = case.position.clocks[name]
    return Due(clock.due, clock.provisional)


def test_a_due_date_moves_past_the_rest_days_that_were_not_known() -> None:
    case = take(None, "request", FAR)
    assert due(case, "answer") == Due(date(2040, 6, 25), True)
    calendar = published({date(2040, 6, 25), date(2040, 6, 26)}, set())
    assert due(clocks.recounted(case, calendar), "answer") == Due(date(2040, 6, 27), False)


def test_a_due_date_never_moves_to_an_earlier_day() -> None:
    case = take(None, "request", FAR)
    assert due(case, "answer") == Due(date(2040, 6, 25), True)
    # 24 June 2040, the 30th day, is a Sunday: as a make-up day it would be the due date.
    calendar = published(set(), {date(2040, 6, 24)})
    assert due(clocks.recounted(case, calendar), "answer") == Due(date(2040, 6, 25), False)


def test_days_left_after_a_pause_are_counted_again_from_the_resumption() -> None:
    case = take(take(None, "request", FAR), "ask", FAR + timedelta(days=1))
    asked = due(case, "clarify")
    assert asked.provisional
    resumed = take(case, "answer", FAR + timedelta(days=6))
    left = deadlines.days_left(date(2040, 5, 26), due(case, "answer"), "calendar")
    before = due(resumed, "answer")
    calendar = published({before.date}, set())
    again = due(clocks.recounted(resumed, calendar), "answer")
    assert again == deadlines.due_date(date(2040, 5, 31), left, "calendar", calendar)
    assert again.date > before.date


def test_an_agreed_date_and_the_days_after_a_forward_are_counted_again_too() -> None:
    case = take(take(take(None, "request", FAR), "propose-date", FAR), "agree-date", FAR)
    agreed = due(case, "answer")
    forwarded = take(take(None, "request", FAR), "forward", FAR + timedelta(days=29))
    floor = due(forwarded, "answer")
    assert (agreed.provisional, floor.provisional) == (True, True)
    calendar = published({agreed.date, floor.date}, set())
    for one, was in ((case, agreed), (forwarded, floor)):
        again = due(clocks.recounted(one, calendar), "answer")
        assert again.date > was.date
        assert not again.provisional


def test_what_invalidating_would_restore_is_counted_again_with_it() -> None:
    case = take(take(None, "request", FAR), "accept", FAR)
    calendar = published({date(2040, 6, 25)}, set())
    restored = take(clocks.recounted(case, calendar), "invalidate", FAR)
    assert due(restored, "answer") == Due(date(2040, 6, 26), False)


def test_counting_again_changes_nothing_without_a_new_calendar() -> None:
    for now in (FAR, datetime(2026, 6, 1, 4, 0, tzinfo=UTC)):
        case = take(take(take(None, "request", now), "ask", now), "answer", now + timedelta(days=3))
        assert clocks.recounted(case, STATUTORY) == case
        assert msgspec.json.decode(msgspec.json.encode(case), type=Case) == case


DAY = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)


def test_what_fell_due_in_an_outage_is_due_on_the_day_after_it_and_nothing_else_moves() -> None:
    case = take(None, "request", DAY)
    answer, other = due(case, "answer"), due(case, "acknowledge") if "acknowledge" in case.position.clocks else None
    to = date(2026, 7, 6)
    moved = clocks.postponed(case, {answer.date}, to, STATUTORY)
    assert due(moved, "answer") == Due(to, False)
    assert other is None or due(moved, "acknowledge") == other
    assert clocks.postponed(case, {answer.date + timedelta(days=1)}, to, STATUTORY) == case


def test_an_outage_brings_no_due_date_forward_and_leaves_a_paused_clock() -> None:
    case = take(None, "request", DAY)
    day = due(case, "answer").date
    assert clocks.postponed(case, {day}, day - timedelta(days=1), STATUTORY) == case
    paused = take(case, "ask", DAY + timedelta(days=1))
    moved = clocks.postponed(paused, {day}, day + timedelta(days=7), STATUTORY)
    assert due(moved, "answer") == due(paused, "answer")


def test_what_invalidating_would_restore_is_postponed_with_it() -> None:
    case = take(take(None, "request", DAY), "accept", DAY)
    to = date(2026, 7, 6)
    restored = take(clocks.postponed(case, {due(case, "answer").date}, to, STATUTORY), "invalidate", DAY)
    assert due(restored, "answer") == Due(to, False)
