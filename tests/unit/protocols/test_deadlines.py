"""Due dates worked out by hand from the published calendar."""

from datetime import UTC, date, datetime, timedelta

import pytest

from protocols import deadlines
from protocols.calendar import STATUTORY
from protocols.deadlines import Due, Unit, days_left, due_date, end_of, later, local_date, postponed, resumed

UNPUBLISHED = next(year for year in range(2026, 2200) if not STATUTORY.is_published(year))


def test_the_day_after_acceptance_is_day_one() -> None:
    assert due_date(date(2026, 11, 24), 1, "working") == Due(date(2026, 11, 25), False)
    assert due_date(date(2026, 11, 24), 1, "calendar") == Due(date(2026, 11, 25), False)


def test_working_days_step_over_a_weekend() -> None:
    assert due_date(date(2026, 11, 20), 2, "working").date == date(2026, 11, 24)


def test_working_days_count_a_make_up_saturday() -> None:
    assert due_date(date(2026, 10, 8), 2, "working").date == date(2026, 10, 10)


def test_working_days_step_over_the_national_day_week() -> None:
    assert due_date(date(2026, 9, 30), 1, "working").date == date(2026, 10, 8)


@pytest.mark.parametrize("days", range(1, 8))
def test_a_calendar_deadline_in_the_national_day_week_ends_after_it(days: int) -> None:
    assert due_date(date(2026, 9, 30), days, "calendar").date == date(2026, 10, 8)


def test_a_calendar_deadline_may_end_on_a_make_up_sunday() -> None:
    assert due_date(date(2025, 12, 20), 15, "calendar").date == date(2026, 1, 4)


def test_no_days_is_the_day_itself_or_the_next_working_day() -> None:
    assert due_date(date(2026, 11, 24), 0, "working").date == date(2026, 11, 24)
    assert due_date(date(2026, 11, 21), 0, "working").date == date(2026, 11, 23)


def test_negative_days_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        due_date(date(2026, 11, 24), -1, "working")


@pytest.mark.parametrize("unit", ["working", "calendar"])
def test_a_due_date_in_an_unpublished_year_is_provisional(unit: Unit) -> None:
    last = date(UNPUBLISHED - 1, 12, 31)
    assert due_date(last, 10, unit).provisional
    assert not due_date(last - timedelta(days=20), 1, unit).provisional


def test_only_days_counted_make_a_due_date_provisional() -> None:
    start = date(UNPUBLISHED - 1, 12, 1)
    assert not due_date(start, 10, "working").provisional


def test_a_rest_day_is_postponed_to_the_next_working_day() -> None:
    assert postponed(date(2026, 10, 3)) == Due(date(2026, 10, 8), False)
    assert postponed(date(2026, 10, 9)) == Due(date(2026, 10, 9), False)


def test_on_the_due_date_no_days_are_left_and_it_is_not_missed() -> None:
    due = Due(date(2026, 11, 24), False)
    assert days_left(date(2026, 11, 24), due, "calendar") == 0
    assert days_left(date(2026, 11, 24), due, "working") == 0
    assert days_left(date(2026, 11, 25), due, "calendar") == -1


def test_days_left_count_in_their_unit() -> None:
    due = Due(date(2026, 10, 9), False)
    assert days_left(date(2026, 9, 30), due, "calendar") == 9
    assert days_left(date(2026, 9, 30), due, "working") == 2
    assert days_left(date(2026, 10, 12), due, "working") == -2


def test_the_days_left_at_the_pause_are_left_at_the_resumption() -> None:
    due = due_date(date(2026, 11, 2), 10, "working")
    assert due.date == date(2026, 11, 16)
    after = resumed(due, date(2026, 11, 9), date(2026, 11, 18), "working")
    assert after.date == date(2026, 11, 25)
    assert days_left(date(2026, 11, 18), after, "working") == days_left(date(2026, 11, 9), due, "working")


def test_a_deadline_missed_before_the_pause_stays_missed() -> None:
    due = Due(date(2026, 11, 3), False)
    assert resumed(due, date(2026, 11, 4), date(2026, 11, 20), "working") == due


def test_a_clock_paused_on_the_due_date_leaves_the_day_of_resumption() -> None:
    due = Due(date(2026, 11, 3), False)
    assert resumed(due, date(2026, 11, 3), date(2026, 11, 20), "working").date == date(2026, 11, 20)


def test_a_resumption_before_the_pause_is_refused() -> None:
    with pytest.raises(ValueError, match="resumed"):
        resumed(Due(date(2026, 11, 3), False), date(2026, 11, 3), date(2026, 11, 2), "working")


def test_of_two_on_the_same_day_the_settled_one_is_later() -> None:
    settled, provisional = Due(date(2027, 1, 4), False), Due(date(2027, 1, 4), True)
    assert later(provisional, settled) is settled
    assert later(settled, provisional) is settled
    assert later(Due(date(2027, 1, 5), True), settled).date == date(2027, 1, 5)


def test_the_local_day_begins_at_sixteen_hours_utc() -> None:
    assert local_date(datetime(2026, 11, 24, 15, 59, 59, tzinfo=UTC)) == date(2026, 11, 24)
    assert local_date(datetime(2026, 11, 24, 16, 0, tzinfo=UTC)) == date(2026, 11, 25)


def test_a_moment_without_offset_has_no_local_day() -> None:
    with pytest.raises(ValueError, match="offset"):
        local_date(datetime(2026, 11, 24))


def test_a_deadline_ends_at_24_hours_in_china() -> None:
    assert end_of(date(2026, 11, 24)) == datetime(2026, 11, 24, 16, 0, tzinfo=UTC)
    assert local_date(end_of(date(2026, 11, 24))) == date(2026, 11, 25)
    assert end_of(date(2026, 11, 24)).utcoffset() == deadlines.SHANGHAI.utcoffset(None)
