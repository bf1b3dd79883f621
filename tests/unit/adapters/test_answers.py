"""Answers judged: a body of the right type, a hub that is away, its refusal, or a fault; nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.client import answers
from adapters.client.connection import JSON, Away, judge
from adapters.client.faults import AnswerInvalid, Refused
from keys.errors import Fault

PROBLEM: dict[str, Any] = {
    "type": "/problems/not-found",
    "title": "没有找到",
    "status": 404,
    "detail": "There is none.",
}
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def judged(status: int, document: Any, media: str = "application/problem+json", **headers: str) -> bytes | Away:
    return judge(JSON, status, {"Content-Type": media, **headers}, json.dumps(document).encode())


def test_a_refusal_carries_the_hubs_problem_and_its_code() -> None:
    with pytest.raises(Refused) as refused:
        judged(404, PROBLEM)
    assert refused.value.reason == "not-found"
    assert refused.value.data["problem"] == PROBLEM
    assert str(refused.value) == "refused: /problems/not-found: There is none."


@pytest.mark.parametrize("status", [408, 425, 429, 502, 503, 504])
def test_a_hub_or_proxy_that_can_not_just_now_is_away_with_or_without_a_problem(status: int) -> None:
    assert isinstance(judged(status, PROBLEM), Away)
    away = judge(JSON, status, {"Content-Type": "text/html", "Retry-After": "7"}, b"<html>")
    assert isinstance(away, Away)
    assert away.asked == 7


def test_a_problem_that_calls_itself_retryable_means_away_whatever_its_status() -> None:
    away = judged(500, PROBLEM | {"retryable": True}, **{"Retry-After": "1"})
    assert isinstance(away, Away)
    assert (away.asked, away.problem) == (1, PROBLEM | {"retryable": True})


@pytest.mark.parametrize("missing", ["type", "title", "detail"])
def test_an_error_without_a_whole_problem_is_not_a_hubs(missing: str) -> None:
    for broken in ({k: v for k, v in PROBLEM.items() if k != missing}, PROBLEM | {missing: 5}, PROBLEM | {missing: ""}):
        with pytest.raises(AnswerInvalid):
            judged(404, broken)


@pytest.mark.parametrize("media", ["text/html", "", "application/octet-stream", "application/jose", "text/json;x"])
def test_success_of_another_media_type_is_not_a_hubs(media: str) -> None:
    with pytest.raises(AnswerInvalid):
        judged(200, {}, media)


def test_parameters_of_a_media_type_do_not_matter() -> None:
    assert judged(200, {}, "Application/JSON; charset=utf-8") == b"{}"


@given(
    status=st.integers(100, 599),
    media=st.text() | st.sampled_from([*JSON, "application/problem+json"]),
    body=st.binary(),
)
def test_any_answer_is_a_body_away_or_a_fault(status: int, media: str, body: bytes) -> None:
    try:
        outcome = judge(JSON, status, {"Content-Type": media}, body)
    except Fault:
        return
    assert isinstance(outcome, bytes | Away)


@given(value=JSON_VALUES)
def test_any_problem_is_a_refusal_away_or_a_fault(value: Any) -> None:
    for document in (value, PROBLEM | {"detail": value}, PROBLEM | {"retryable": value}):
        try:
            assert isinstance(judged(409, document), Away)
        except (Refused, AnswerInvalid):
            continue


KINDS = (
    answers.HubDocument,
    answers.KeySet,
    answers.MailboxPage,
    answers.Acknowledged,
    answers.Verdict,
    answers.CaseHead,
    answers.CasePage,
    answers.Events,
    answers.Organisations,
)


@given(body=st.binary() | JSON_VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_a_value_of_the_kind_or_a_fault(body: bytes) -> None:
    for kind in KINDS:
        try:
            assert isinstance(answers.read(body, kind), kind)
        except AnswerInvalid:
            continue


def test_what_a_newer_hub_adds_is_passed_over() -> None:
    page = answers.read(
        b'{"items": [], "next": 3, "behind": 0, "oldest": null, "weather": "fine"}', answers.MailboxPage
    )
    assert page.next == 3
