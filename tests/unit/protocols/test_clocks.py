"""Clocks counted again: a provisional due date becomes settled when the calendar arrives, never an earlier one."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from protocols import calendar, clocks, deadlines, flow
from protocols.cases import Case
from protocols.deadlines import Due
from protocols.flow import Transition
from protocols.loading import catalogue
from tests import simulator

PROTOCOL = catalogue().protocols["case-assistance", "1.0"]
FAR = datetime(2040, 5, 25, 4, 0, tzinfo=UTC)
BUREAUS = ["411002-health", "440306-health", "441900-health"]

Publish = Callable[[set[date], set[date]], None]


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch) -> Iterator[Publish]:
    """Have the calendar of 2040 published: these rest days and these make-up days besides the weekends."""

    def published(rest: set[date], made_up: set[date]) -> None:
        def works(day: date) -> bool:
            return day in made_up or (calendar.is_working_day(day) and day not in rest)

        monkeypatch.setattr(deadlines, "is_working_day", works)
        monkeypatch.setattr(deadlines, "is_published", lambda year: True)
        deadlines.due_date.cache_clear()

    yield published
    deadlines.due_date.cache_clear()


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


def test_a_due_date_moves_past_the_rest_days_that_were_not_known(publish: Publish) -> None:
    case = take(None, "request", FAR)
    assert due(case, "answer") == Due(date(2040, 6, 25), True)
    publish({date(2040, 6, 25), date(2040, 6, 26)}, set())
    assert due(clocks.recounted(case), "answer") == Due(date(2040, 6, 27), False)


def test_a_due_date_never_moves_to_an_earlier_day(publish: Publish) -> None:
    case = take(None, "request", FAR)
    assert due(case, "answer") == Due(date(2040, 6, 25), True)
    # 24 June 2040, the 30th day, is a Sunday: as a make-up day it would be the due date.
    publish(set(), {date(2040, 6, 24)})
    assert due(clocks.recounted(case), "answer") == Due(date(2040, 6, 25), False)


def test_days_left_after_a_pause_are_counted_again_from_the_resumption(publish: Publish) -> None:
    case = take(take(None, "request", FAR), "ask", FAR + timedelta(days=1))
    asked = due(case, "clarify")
    assert asked.provisional
    resumed = take(case, "answer", FAR + timedelta(days=6))
    left = deadlines.days_left(date(2040, 5, 26), due(case, "answer"), "calendar")
    before = due(resumed, "answer")
    publish({before.date}, set())
    again = due(clocks.recounted(resumed), "answer")
    assert again == deadlines.due_date(date(2040, 5, 31), left, "calendar")
    assert again.date > before.date


def test_an_agreed_date_and_the_days_after_a_forward_are_counted_again_too(publish: Publish) -> None:
    case = take(take(take(None, "request", FAR), "propose-date", FAR), "agree-date", FAR)
    agreed = due(case, "answer")
    forwarded = take(take(None, "request", FAR), "forward", FAR + timedelta(days=29))
    floor = due(forwarded, "answer")
    assert (agreed.provisional, floor.provisional) == (True, True)
    publish({agreed.date, floor.date}, set())
    for one, was in ((case, agreed), (forwarded, floor)):
        again = due(clocks.recounted(one), "answer")
        assert again.date > was.date
        assert not again.provisional


def test_what_invalidating_would_restore_is_counted_again_with_it(publish: Publish) -> None:
    case = take(take(None, "request", FAR), "accept", FAR)
    publish({date(2040, 6, 25)}, set())
    restored = take(clocks.recounted(case), "invalidate", FAR)
    assert due(restored, "answer") == Due(date(2040, 6, 26), False)


def test_counting_again_changes_nothing_without_a_new_calendar() -> None:
    for now in (FAR, datetime(2026, 6, 1, 4, 0, tzinfo=UTC)):
        case = take(take(take(None, "request", now), "ask", now), "answer", now + timedelta(days=3))
        assert clocks.recounted(case) == case
        assert msgspec.json.decode(msgspec.json.encode(case), type=Case) == case
