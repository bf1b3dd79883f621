"""What holds for every due date, whatever the days, the unit and the calendar."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from protocols.calendar import STATUTORY
from protocols.deadlines import Due, Unit, days_left, due_date, end_of, later, local_date, postponed, resumed

DAYS = st.dates(min_value=date(2003, 1, 1), max_value=date(2035, 12, 31))
COUNTS = st.integers(min_value=0, max_value=120)
UNITS: st.SearchStrategy[Unit] = st.sampled_from(("working", "calendar"))
PAUSES = st.integers(min_value=0, max_value=60)


@given(DAYS, COUNTS, UNITS)
def test_a_due_date_is_never_a_rest_day_and_never_before_its_start(start: date, days: int, unit: Unit) -> None:
    due = due_date(start, days, unit)
    assert STATUTORY.is_working_day(due.date)
    assert due.date >= start + timedelta(days=days)


@given(DAYS, COUNTS, COUNTS, UNITS)
def test_more_days_are_never_due_earlier(start: date, days: int, more: int, unit: Unit) -> None:
    assert due_date(start, days + more, unit).date >= due_date(start, days, unit).date


@given(DAYS, COUNTS, UNITS)
def test_a_later_start_is_never_due_earlier(start: date, days: int, unit: Unit) -> None:
    assert due_date(start + timedelta(days=1), days, unit).date >= due_date(start, days, unit).date


@given(DAYS, st.integers(min_value=1, max_value=60))
def test_between_start_and_due_lie_exactly_the_working_days_asked_for(start: date, days: int) -> None:
    due = due_date(start, days, "working")
    span = [start + timedelta(days=n) for n in range(1, (due.date - start).days + 1)]
    assert sum(map(STATUTORY.is_working_day, span)) == days
    assert days_left(start, due, "working") == days


@given(DAYS, COUNTS, UNITS)
def test_a_due_date_is_provisional_exactly_when_a_day_counted_is_unpublished(
    start: date, days: int, unit: Unit
) -> None:
    due = due_date(start, days, unit)
    first = start + timedelta(days=min(days, 1))
    span = [first + timedelta(days=n) for n in range((due.date - first).days + 1)]
    assert due.provisional == any(not STATUTORY.is_published(day.year) for day in span)


@given(DAYS, COUNTS, UNITS, COUNTS, PAUSES)
def test_a_pause_never_makes_a_due_date_earlier(start: date, days: int, unit: Unit, elapsed: int, pause: int) -> None:
    due = due_date(start, days, unit)
    paused_on = start + timedelta(days=elapsed)
    after = resumed(due, paused_on, paused_on + timedelta(days=pause), unit)
    assert after.date >= due.date
    if paused_on > due.date:
        assert after == due
    else:
        assert STATUTORY.is_working_day(after.date)


@given(DAYS, COUNTS, UNITS, COUNTS)
def test_a_pause_within_one_day_changes_nothing(start: date, days: int, unit: Unit, elapsed: int) -> None:
    due = due_date(start, days, unit)
    paused_on = start + timedelta(days=elapsed)
    assert resumed(due, paused_on, paused_on, unit).date == due.date


@given(DAYS, COUNTS, UNITS, COUNTS, PAUSES, PAUSES)
def test_a_longer_pause_is_never_due_earlier(
    start: date, days: int, unit: Unit, elapsed: int, pause: int, more: int
) -> None:
    due = due_date(start, days, unit)
    paused_on = start + timedelta(days=elapsed)
    shorter = resumed(due, paused_on, paused_on + timedelta(days=pause), unit)
    longer = resumed(due, paused_on, paused_on + timedelta(days=pause + more), unit)
    assert longer.date >= shorter.date


@given(DAYS)
def test_postponing_moves_over_rest_days_only(day: date) -> None:
    moved = postponed(day).date
    assert STATUTORY.is_working_day(moved)
    assert not any(STATUTORY.is_working_day(day + timedelta(days=n)) for n in range((moved - day).days))


@given(DAYS, st.booleans(), DAYS, st.booleans())
def test_the_later_of_two_does_not_depend_on_their_order(a: date, pa: bool, b: date, pb: bool) -> None:
    one, other = Due(a, pa), Due(b, pb)
    assert later(one, other) == later(other, one)
    assert later(one, other).date == max(a, b)


@given(DAYS)
def test_the_end_of_a_day_is_the_first_moment_of_the_next(day: date) -> None:
    assert local_date(end_of(day)) == day + timedelta(days=1)
    assert local_date(end_of(day) - timedelta(microseconds=1)) == day
