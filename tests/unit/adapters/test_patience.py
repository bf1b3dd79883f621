"""Patience: never before the hub asked, never longer than one waits, never in step with others."""

import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.client.patience import FOR_EVER, LONGEST_ASKED, Patience, retry_after

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SECONDS = st.floats(min_value=0, max_value=1e6)


@given(tried=st.integers(1, 10**6), spent=SECONDS, asked=st.none() | st.floats(0, LONGEST_ASKED))
def test_no_pause_is_shorter_than_asked_or_ends_after_the_time_is_up(
    tried: int, spent: float, asked: float | None
) -> None:
    patience = Patience(within=60)
    pause = patience.pause(tried, spent, asked)
    assert pause is None or pause >= (asked or 0)
    assert pause is None or spent + pause <= patience.within


@given(tried=st.integers(1, 10**6), spent=SECONDS, asked=st.none() | st.floats(0, LONGEST_ASKED))
def test_who_waits_for_ever_never_gives_up_and_never_waits_much_longer_than_asked(
    tried: int, spent: float, asked: float | None
) -> None:
    pause = FOR_EVER.pause(tried, spent, asked)
    assert pause is not None
    assert pause <= max(FOR_EVER.longest, 1.1 * (asked or 0) + FOR_EVER.first)


def test_pauses_double_up_to_the_longest_and_differ_by_chance() -> None:
    patience = Patience(within=math.inf, first=1, longest=8)
    for tried, most in ((1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (1000, 8)):
        pauses = [patience.pause(tried, 0) for _ in range(50)]
        assert all(pause is not None and most / 2 <= pause <= most for pause in pauses)
        assert len(set(pauses)) > 1


@pytest.mark.parametrize(
    ("header", "answered", "seconds"),
    [
        ("0", None, 0),
        ("17", None, 17),
        (" 17 ", None, 17),
        ("99999999999999999999", None, LONGEST_ASKED),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), None, 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), None, 0),
        (format_datetime(NOW + timedelta(days=90), usegmt=True), None, LONGEST_ASKED),
        # The hub's clock is an hour ahead of ours: its own Date says so.
        (
            format_datetime(NOW + timedelta(hours=1, seconds=5), usegmt=True),
            format_datetime(NOW + timedelta(hours=1), usegmt=True),
            5,
        ),
        (None, None, None),
        ("", None, None),
        ("soon", None, None),
        ("-5", None, None),
        ("1.5", None, None),
        ("٣", None, None),
        ("Tue, 99 Nov 2026 99:99:99 GMT", None, None),
    ],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(
    header: str | None, answered: str | None, seconds: float | None
) -> None:
    assert retry_after(header, answered, NOW) == seconds


@given(header=st.none() | st.text(), answered=st.none() | st.text())
def test_any_header_is_read_or_passed_over(header: str | None, answered: str | None) -> None:
    seconds = retry_after(header, answered, NOW)
    assert seconds is None or 0 <= seconds <= LONGEST_ASKED
