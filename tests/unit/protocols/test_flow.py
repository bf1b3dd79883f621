"""The flow engine on case-assistance: what a message makes of a case, and what is refused."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from protocols import checking, envelope, flow
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import catalogue

PROTOCOL = catalogue().protocols["case-assistance", "1.0"]
FLOW = PROTOCOL.flow
NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
HERE, THERE, THIRD = "411002-health", "440306-health", "441900-health"
CASE = envelope.new_id()


def said(source: str, name: str, recipients: str, /, **data: Any) -> Event:
    example = PROTOCOL.messages[name].schema.document["examples"][0]
    return Event(
        id=envelope.new_id(),
        source=source,
        type=f"case-assistance.{name}",
        dataschema=PROTOCOL.messages[name].schema.id,
        subject=CASE,
        time=NOON,
        recipients=tuple(recipients.split()),
        hub="410000-hub",
        data=example | data,
    )


def take(case: Case | None, event: Event, now: datetime = NOON) -> Case:
    outcome = flow.advance(FLOW, case, event, now)
    assert isinstance(outcome, Transition), outcome
    return outcome.case


def code(case: Case | None, event: Event) -> str:
    outcome = flow.advance(FLOW, case, event, NOON)
    assert not isinstance(outcome, Transition)
    return outcome.code


@pytest.fixture
def requested() -> Case:
    return take(None, said(HERE, "request", THERE, urgency="ordinary"))


@pytest.fixture
def accepted(requested: Case) -> Case:
    return take(requested, said(THERE, "accept", HERE))


def answer_due(case: Case) -> date:
    return case.position.clocks["answer"].due


def test_the_catalogue_holds_together() -> None:
    assert checking.findings(PROTOCOL) == []


def test_an_urgent_request_is_due_in_fifteen_days_an_ordinary_one_in_thirty(requested: Case) -> None:
    urgent = take(None, said(HERE, "request", THERE, urgency="urgent"))
    assert answer_due(requested) == date(2026, 7, 1)
    assert answer_due(urgent) == date(2026, 6, 16)


def test_a_question_pauses_the_clock_and_its_answer_resumes_it(accepted: Case) -> None:
    asked = take(accepted, said(THERE, "ask", HERE), NOON + timedelta(days=2))
    assert asked.state == "clarifying"
    answered = take(asked, said(HERE, "answer", THERE), NOON + timedelta(days=9))
    assert answered.state == "in-progress"
    assert answer_due(answered) == date(2026, 7, 8)


def test_a_third_question_is_refused(accepted: Case) -> None:
    case = accepted
    for _ in range(2):
        case = take(case, said(THERE, "ask", HERE))
        case = take(case, said(HERE, "answer", THERE))
    assert code(case, said(THERE, "ask", HERE)) == "not-allowed-now"
    assert "ask" not in flow.allowed_actions(FLOW, case, THERE)


def test_a_date_is_proposed_once_and_counts_when_agreed(accepted: Case) -> None:
    assert code(accepted, said(HERE, "agree-date", THERE, agreed=True)) == "not-allowed-now"
    proposed = take(accepted, said(THERE, "propose-date", HERE, date="2026-07-20"))
    assert answer_due(proposed) == date(2026, 7, 1)
    agreed = take(proposed, said(HERE, "agree-date", THERE, agreed=True))
    assert answer_due(agreed) == date(2026, 7, 20)
    assert code(agreed, said(THERE, "propose-date", HERE, date="2026-08-20")) == "not-allowed-now"


def test_forwarding_gives_the_case_away_and_leaves_the_newcomer_five_working_days(accepted: Case) -> None:
    late = NOON + timedelta(days=28)
    forwarded = take(accepted, said(THERE, "forward", f"{HERE} {THIRD}", to=THIRD), late)
    assert (forwarded.state, forwarded.position.responder) == ("requested", THIRD)
    assert answer_due(forwarded) == date(2026, 7, 6)
    assert code(forwarded, said(THERE, "progress", HERE)) == "role-not-allowed"


def test_forwarding_must_tell_the_opener_and_the_newcomer(accepted: Case) -> None:
    assert code(accepted, said(THERE, "forward", THIRD, to=THIRD)) == "recipients-invalid"


def test_an_answer_sent_in_error_is_invalidated_and_the_clock_is_restored(accepted: Case) -> None:
    answer = said(THERE, "answer", HERE)
    answered = take(accepted, answer)
    assert answered.state == "answered"
    restored = take(answered, said(THERE, "invalidate", HERE, message=answer.id))
    assert (restored.state, answer_due(restored)) == ("in-progress", answer_due(accepted))
    assert code(answered, said(HERE, "invalidate", THERE, message=answer.id)) == "not-allowed-now"


def test_the_responder_must_say_what_it_found(accepted: Case) -> None:
    event = said(THERE, "answer", HERE)
    del event.data["outcome"]
    assert code(accepted, event) == "data-invalid"


def test_reopening_needs_a_basis_in_force_again(accepted: Case) -> None:
    closed = take(take(accepted, said(THERE, "answer", HERE)), said(HERE, "close", THERE))
    repealed = {"instrument": "sc-555-2009"}
    assert code(closed, said(HERE, "reopen", THERE, legal_basis=repealed)) == "basis-repealed"
    assert take(closed, said(HERE, "reopen", THERE)).state == "in-progress"


def test_strangers_and_unknown_cases_are_refused(requested: Case) -> None:
    assert code(requested, said(THIRD, "accept", HERE)) == "not-a-party"
    assert code(None, said(THERE, "accept", HERE)) == "case-unknown"
    assert code(requested, said(HERE, "request", THERE)) == "case-exists"
