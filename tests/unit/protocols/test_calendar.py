"""The Chinese calendar as published: make-up days, holidays, and years nobody has published yet."""

from datetime import UTC, date, datetime

import pytest

from protocols.calendar import is_published, is_working_day


@pytest.mark.parametrize("day", ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-10-10"])
def test_a_make_up_weekend_day_is_a_working_day(day: str) -> None:
    assert date.fromisoformat(day).weekday() >= 5
    assert is_working_day(date.fromisoformat(day))


@pytest.mark.parametrize("day", range(1, 8))
def test_the_national_day_week_of_2026_is_rest(day: int) -> None:
    assert not is_working_day(date(2026, 10, day))
    assert is_working_day(date(2026, 10, 8))


def test_spring_festival_2026_is_rest_on_weekdays_too() -> None:
    assert not any(is_working_day(date(2026, 2, day)) for day in range(15, 24))
    assert is_working_day(date(2026, 2, 24))


def test_an_ordinary_weekend_is_rest() -> None:
    assert not is_working_day(date(2026, 11, 21))
    assert not is_working_day(date(2026, 11, 22))
    assert is_working_day(date(2026, 11, 23))


def test_an_unpublished_year_counts_weekends_only() -> None:
    assert is_published(2026)
    assert not is_published(2099)
    assert is_working_day(date(2099, 10, 1))
    assert not is_working_day(date(2099, 10, 3))


def test_years_before_the_first_calendar_are_not_published() -> None:
    assert not is_published(1999)


def test_a_moment_is_not_a_day() -> None:
    with pytest.raises(TypeError):
        is_working_day(datetime(2026, 10, 1, tzinfo=UTC))
