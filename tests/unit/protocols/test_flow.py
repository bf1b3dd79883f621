"""The flow engine on case-assistance: what a message makes of a case, and what is refused."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from protocols import checking, envelope, flow
from protocols.deadlines import Due
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import catalogue
from protocols.refusals import DataInvalid, RoleNotAllowed

PROTOCOL = catalogue().protocols["case-assistance", "1.0"]
FLOW = PROTOCOL.flow
NOON = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
HERE, THERE, THIRD, FOURTH = "411002-health", "440306-health", "441900-health", "320583-health"
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


# Dates ------------------------------------------------------------------------------------------------


def test_agreeing_can_not_change_the_date_proposed(accepted: Case) -> None:
    proposed = take(accepted, said(THERE, "propose-date", HERE, date="2026-07-20"))
    assert code(proposed, said(HERE, "agree-date", THERE, agreed=True, date="2026-07-10")) == "data-invalid"
    same = take(proposed, said(HERE, "agree-date", THERE, agreed=True, date="2026-07-20"))
    assert answer_due(same) == date(2026, 7, 20)
    rejected = take(proposed, said(HERE, "agree-date", THERE, agreed=False, date="2026-07-10"))
    assert answer_due(rejected) == answer_due(accepted)


def test_a_date_that_has_passed_is_not_agreed_to_any_more(accepted: Case) -> None:
    proposed = take(accepted, said(THERE, "propose-date", HERE, date="2026-06-08"))
    late = NOON + timedelta(days=8)
    outcome = flow.advance(FLOW, proposed, said(HERE, "agree-date", THERE, agreed=True), late)
    assert isinstance(outcome, DataInvalid)
    assert answer_due(take(proposed, said(HERE, "agree-date", THERE, agreed=False), late)) == answer_due(accepted)


def test_a_proposal_for_a_rest_day_ends_on_the_next_working_day(accepted: Case) -> None:
    proposed = take(accepted, said(THERE, "propose-date", HERE, date="2026-07-18"))
    agreed = take(proposed, said(HERE, "agree-date", THERE, agreed=True))
    assert answer_due(agreed) == date(2026, 7, 20)


def test_a_proposal_does_not_outlive_the_answer(accepted: Case) -> None:
    proposed = take(accepted, said(THERE, "propose-date", HERE, date="2026-07-20"))
    closed = take(take(proposed, said(THERE, "answer", HERE)), said(HERE, "close", THERE))
    reopened = take(closed, said(HERE, "reopen", THERE))
    assert code(reopened, said(HERE, "agree-date", THERE, agreed=True)) == "not-allowed-now"


def test_reopening_starts_the_clocks_anew_and_keeps_what_was_used_up(accepted: Case) -> None:
    case = take(accepted, said(THERE, "ask", HERE))
    case = take(case, said(HERE, "answer", THERE))
    case = take(case, said(THERE, "propose-date", HERE, date="2026-07-20"))
    closed = take(take(case, said(THERE, "answer", HERE)), said(HERE, "close", THERE))
    assert closed.position.clocks == {}
    reopened = take(closed, said(HERE, "reopen", THERE), NOON + timedelta(days=92))
    assert answer_due(reopened) == date(2026, 10, 8)
    assert "propose-date" not in flow.allowed_actions(FLOW, reopened, THERE)
    once_more = take(take(reopened, said(THERE, "ask", HERE)), said(HERE, "answer", THERE))
    assert "ask" not in flow.allowed_actions(FLOW, once_more, THERE)


def test_a_clock_behind_the_pause_resumes_as_on_the_day_of_the_pause(accepted: Case) -> None:
    asked = take(accepted, said(THERE, "ask", HERE), NOON + timedelta(days=2))
    assert answer_due(take(asked, said(HERE, "answer", THERE), NOON)) == answer_due(accepted)


# Invalidating -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ask", "propose-date", "progress", "update", "add-participant"])
def test_what_the_responder_sent_in_error_leaves_no_trace_once_invalidated(accepted: Case, name: str) -> None:
    extra = {"organisation": THIRD} if name == "add-participant" else {}
    told = f"{HERE} {THIRD}" if extra else HERE
    sent = said(THERE, name, told, **extra)
    after = take(accepted, sent)
    restored = take(after, said(THERE, "invalidate", told, message=sent.id), NOON + timedelta(days=4))
    assert restored.position == accepted.position
    assert restored.undo is None


def test_invalidating_a_reopening_restores_the_basis_too(accepted: Case) -> None:
    closed = take(take(accepted, said(THERE, "answer", HERE)), said(HERE, "close", THERE))
    reopen = said(HERE, "reopen", THERE, legal_basis={"instrument": "sc-649-2014"})
    reopened = take(closed, reopen)
    assert reopened.basis == "sc-649-2014"
    restored = take(reopened, said(HERE, "invalidate", THERE, message=reopen.id))
    assert (restored.basis, restored.position) == (closed.basis, closed.position)


def test_an_answered_message_can_not_be_invalidated(requested: Case) -> None:
    accept = said(THERE, "accept", HERE)
    case = take(take(requested, accept), said(HERE, "update", THERE))
    assert code(case, said(THERE, "invalidate", HERE, message=accept.id)) == "not-allowed-now"


def test_a_message_before_the_last_can_not_be_invalidated(requested: Case) -> None:
    accept = said(THERE, "accept", HERE)
    case = take(take(requested, accept), said(THERE, "progress", HERE))
    assert code(case, said(THERE, "invalidate", HERE, message=accept.id)) == "not-allowed-now"


def test_an_invalidation_can_not_be_invalidated(accepted: Case) -> None:
    progress = said(THERE, "progress", HERE)
    invalidate = said(THERE, "invalidate", HERE, message=progress.id)
    case = take(take(accepted, progress), invalidate)
    assert code(case, said(THERE, "invalidate", HERE, message=invalidate.id)) == "not-allowed-now"


def test_a_request_sent_in_error_ends_withdrawn() -> None:
    request = said(HERE, "request", THERE)
    case = take(take(None, request), said(HERE, "invalidate", THERE, message=request.id))
    assert (case.state, case.position.clocks) == ("withdrawn", {})
    assert flow.allowed_actions(FLOW, case, HERE) == []


def test_whoever_was_told_is_told_that_it_was_in_error() -> None:
    case = take(take(None, said(HERE, "request", f"{THERE} {THIRD}")), said(THERE, "accept", HERE))
    update = said(HERE, "update", f"{THERE} {THIRD}")
    case = take(case, update)
    assert code(case, said(HERE, "invalidate", THERE, message=update.id)) == "recipients-invalid"
    take(case, said(HERE, "invalidate", f"{THERE} {THIRD}", message=update.id))


# Who takes part ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "recipients", ["", HERE, f"{THERE} {HERE}", f"{THERE} {THERE}", "410000-hub", f"{THERE} 440000-hub"]
)
def test_a_case_is_opened_to_another_authority_and_never_to_a_hub(recipients: str) -> None:
    assert code(None, said(HERE, "request", recipients)) == "recipients-invalid"


@pytest.mark.parametrize("organisation", ["410000-hub", HERE, THERE])
@pytest.mark.parametrize(("name", "field"), [("forward", "to"), ("add-participant", "organisation")])
def test_neither_hub_nor_a_main_party_is_brought_in(accepted: Case, name: str, field: str, organisation: str) -> None:
    told = HERE if organisation in (HERE, THERE) else f"{HERE} {organisation}"
    assert code(accepted, said(THERE, name, told, **{field: organisation})) == "data-invalid"


def test_a_case_never_comes_back_to_who_passed_it_on(accepted: Case) -> None:
    forwarded = take(accepted, said(THERE, "forward", f"{HERE} {THIRD}", to=THIRD))
    assert forwarded.former == (THERE,)
    assert code(forwarded, said(THIRD, "forward", f"{HERE} {THERE}", to=THERE)) == "data-invalid"
    on = take(forwarded, said(THIRD, "forward", f"{HERE} {FOURTH}", to=FOURTH))
    assert on.former == (THERE, THIRD)
    assert code(on, said(FOURTH, "forward", f"{HERE} {THERE}", to=THERE)) == "data-invalid"


def test_a_participant_may_become_the_responder() -> None:
    case = take(None, said(HERE, "request", f"{THERE} {THIRD}"))
    case = take(case, said(THERE, "forward", f"{HERE} {THIRD}", to=THIRD))
    assert (case.position.responder, case.position.participants) == (THIRD, ())
    assert case.role(THERE) is None
    take(case, said(THIRD, "accept", HERE))


def test_who_passed_a_case_on_is_out_of_it_until_asked_to_take_part(accepted: Case) -> None:
    forwarded = take(accepted, said(THERE, "forward", f"{HERE} {THIRD}", to=THIRD))
    refusal = flow.advance(FLOW, forwarded, said(THERE, "update", HERE), NOON)
    assert isinstance(refusal, RoleNotAllowed)
    assert refusal.data == {"allowed": []}
    assert code(forwarded, said(THIRD, "accept", f"{HERE} {THERE}")) == "recipients-invalid"
    joined = take(forwarded, said(HERE, "add-participant", f"{THIRD} {THERE}", organisation=THERE))
    take(joined, said(THERE, "update", f"{HERE} {THIRD}"))


def test_a_participant_tells_both_sides(requested: Case) -> None:
    joined = take(requested, said(HERE, "add-participant", f"{THERE} {THIRD}", organisation=THIRD))
    assert code(joined, said(THIRD, "progress", HERE)) == "recipients-invalid"
    take(joined, said(THIRD, "progress", f"{HERE} {THERE}"))
    assert code(joined, said(THIRD, "accept", f"{HERE} {THERE}")) == "role-not-allowed"


def test_all_parties_fit_in_the_recipients_of_one_message() -> None:
    many = " ".join(f"{440000 + n}-health" for n in range(1, 33))
    full = take(None, said(HERE, "request", many))
    assert len(full.parties()) == flow.MAX_PARTIES
    assert "add-participant" not in flow.allowed_actions(FLOW, full, HERE)
    assert code(full, said(HERE, "add-participant", f"{many} {THIRD}", organisation=THIRD)) == "not-allowed-now"


def test_nobody_writes_to_itself(accepted: Case) -> None:
    assert code(accepted, said(THERE, "progress", f"{HERE} {THERE}")) == "recipients-invalid"


def test_a_question_that_is_never_answered_keeps_nobody_waiting_for_ever(accepted: Case) -> None:
    asked = take(accepted, said(THERE, "ask", HERE))
    refused = take(asked, said(THERE, "exception", HERE), NOON + timedelta(days=60))
    assert (refused.state, flow.current_due(FLOW, refused)) == ("refused", None)


def test_a_clarification_is_due_in_five_working_days_itself(accepted: Case) -> None:
    asked = take(accepted, said(THERE, "ask", HERE))
    assert flow.current_due(FLOW, asked) == Due(date(2026, 6, 8), False)


def test_a_deadline_on_a_rest_day_ends_on_the_next_working_day() -> None:
    case = take(None, said(HERE, "request", THERE, urgency="ordinary"), datetime(2026, 1, 16, 4, 0, tzinfo=UTC))
    # 15 February 2026 lies in the Spring Festival holiday, which ends on the 23rd.
    assert answer_due(case) == date(2026, 2, 24)


def test_a_pause_before_acceptance_leaves_the_days_to_accept(requested: Case) -> None:
    assert flow.current_due(FLOW, requested) == Due(date(2026, 6, 8), False)
    asked = take(requested, said(THERE, "ask", HERE), NOON + timedelta(days=2))
    answered = take(asked, said(HERE, "answer", THERE), NOON + timedelta(days=9))
    assert flow.current_due(FLOW, answered) == Due(date(2026, 6, 15), False)


def test_a_date_that_the_former_responder_proposed_does_not_bind_the_next(accepted: Case) -> None:
    proposed = take(accepted, said(THERE, "propose-date", HERE, date="2026-07-20"))
    forwarded = take(proposed, said(THERE, "forward", f"{HERE} {THIRD}", to=THIRD))
    assert code(forwarded, said(HERE, "agree-date", THIRD, agreed=True)) == "not-allowed-now"
    assert "propose-date" not in flow.allowed_actions(FLOW, forwarded, THIRD)
