"""Counts of bulletins: what adds up, goes on and agrees, and what does not."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from protocols import conformity
from protocols.conformity import Finding
from protocols.table import Check

CHECKS = {
    "balance": Check("核对", "Check", kind="balance", left=("start", "arrived"), right=("departed", "end")),
    "carried": Check("核对", "Check", kind="carried", field="start", earlier="end"),
    "exchange": Check("核对", "Check", kind="counterpart", field="exchanged"),
    "counted": Check("核对", "Check", kind="counted"),
}
NUMBERS = st.integers(0, 10**6)


def judged(counts: Any, earlier: Any = None, others: Any = None) -> list[Finding]:
    data = {} if counts is None else {"counts": counts}
    return conformity.findings(CHECKS, data, "health", earlier, others or {})


@given(start=NUMBERS, arrived=NUMBERS, departed=NUMBERS, wrong=st.integers(-50, 50))
def test_the_end_is_what_was_there_and_came_less_what_left(start: int, arrived: int, departed: int, wrong: int) -> None:
    end = start + arrived - departed
    found = judged({"start": start + 1, "arrived": arrived, "departed": departed, "end": end + 1 + wrong})
    assert found == ([Finding("balance", "end", end + 1 + wrong, end + 1)] if wrong else [])


def test_a_month_begins_where_the_last_one_ended() -> None:
    assert judged({"start": 4, "end": 4}, {"counts": {"end": 4}}) == []
    assert judged({"start": 5, "end": 5}, {"counts": {"end": 4}}) == [Finding("carried", "start", 5, 4)]
    assert judged({"start": 5, "end": 5}, {}) == [Finding("carried", "start", 5, 0)]
    assert judged(None, {"counts": {"end": 4}}) == [Finding("carried", "start", 0, 4)]
    assert judged({"start": 5, "end": 5}) == []


def exchanged(department: str, sent: int, received: int) -> dict[str, Any]:
    return {"start": 1, "end": 1, "exchanged": [{"department": department, "sent": sent, "received": received}]}


def test_what_one_sent_the_other_received() -> None:
    theirs = {"housing": {"counts": exchanged("health", 3, 7)}}
    assert judged(exchanged("housing", 7, 3), None, theirs) == []
    assert judged(exchanged("housing", 8, 2), None, theirs) == [
        Finding("exchange", "exchanged", 8, 7, "housing"),
        Finding("exchange", "exchanged", 2, 3, "housing"),
    ]
    assert judged({"start": 1, "end": 1}, None, theirs) == [
        Finding("exchange", "exchanged", 0, 7, "housing"),
        Finding("exchange", "exchanged", 0, 3, "housing"),
    ]
    assert judged(exchanged("finance", 8, 2), None, {"housing": {}}) == []


def test_where_all_is_zero_a_zero_report_is_due() -> None:
    assert judged({"start": 0, "end": 0}) == [Finding("counted", "counts", 0, 1)]
    assert judged(None) == []
