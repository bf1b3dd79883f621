"""The Chinese calendar as published: make-up days, holidays, and years nobody has published yet."""

from datetime import UTC, date, datetime

import pytest

from protocols.calendar import STATUTORY, CalendarInvalid, shipped


@pytest.mark.parametrize("day", ["2026-01-04", "2026-02-14", "2026-02-28", "2026-05-09", "2026-10-10"])
def test_a_make_up_weekend_day_is_a_working_day(day: str) -> None:
    assert date.fromisoformat(day).weekday() >= 5
    assert STATUTORY.is_working_day(date.fromisoformat(day))


@pytest.mark.parametrize("day", range(1, 8))
def test_the_national_day_week_of_2026_is_rest(day: int) -> None:
    assert not STATUTORY.is_working_day(date(2026, 10, day))
    assert STATUTORY.is_working_day(date(2026, 10, 8))


def test_spring_festival_2026_is_rest_on_weekdays_too() -> None:
    assert not any(STATUTORY.is_working_day(date(2026, 2, day)) for day in range(15, 24))
    assert STATUTORY.is_working_day(date(2026, 2, 24))


def test_an_ordinary_weekend_is_rest() -> None:
    assert not STATUTORY.is_working_day(date(2026, 11, 21))
    assert not STATUTORY.is_working_day(date(2026, 11, 22))
    assert STATUTORY.is_working_day(date(2026, 11, 23))


def test_an_unpublished_year_counts_weekends_only() -> None:
    assert STATUTORY.is_published(2026)
    assert not STATUTORY.is_published(2099)
    assert STATUTORY.is_working_day(date(2099, 10, 1))
    assert not STATUTORY.is_working_day(date(2099, 10, 3))


def test_years_before_the_first_calendar_are_not_published() -> None:
    assert not STATUTORY.is_published(1999)


def test_a_moment_is_not_a_day() -> None:
    with pytest.raises(TypeError):
        STATUTORY.is_working_day(datetime(2026, 10, 1, tzinfo=UTC))


def test_a_year_that_is_published_counts_from_then_on_in_a_calendar_of_its_own() -> None:
    later = STATUTORY.arranged(2099, {date(2099, 10, 1)}, {date(2099, 10, 3)})
    assert later.is_published(2099)
    assert not later.is_working_day(date(2099, 10, 1))
    assert later.is_working_day(date(2099, 10, 3))
    assert not STATUTORY.is_published(2099)
    corrected = later.arranged(2099, {date(2099, 10, 2)}, set())
    assert corrected.is_working_day(date(2099, 10, 1))
    assert not corrected.is_working_day(date(2099, 10, 2))


@pytest.mark.parametrize(
    ("holidays", "workdays", "why"),
    [
        ({date(2098, 10, 1)}, set(), "no day of 2099"),
        ({date(2099, 10, 1)}, {date(2099, 10, 1)}, "both"),
        (set(), set(), "no holiday"),
        ({date(2099, 10, 3)}, set(), "no holiday"),
    ],
)
def test_what_is_no_arrangement_of_a_year_is_refused(holidays: set[date], workdays: set[date], why: str) -> None:
    with pytest.raises(CalendarInvalid, match=why):
        STATUTORY.arranged(2099, holidays, workdays)


def test_every_hub_counts_by_the_same_years_from_its_first_entry_on_whatever_is_installed() -> None:
    assert [year for year in shipped() if year <= 2026 and not STATUTORY.is_published(year)] == []
    assert not any(STATUTORY.is_published(year) for year in range(2027, 2100))
