"""What holds in every case of every protocol, whatever is sent by whomever on whatever day."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from keys.errors import Fault
from protocols import clocks, deadlines, flow, standing
from protocols.calendar import STATUTORY
from protocols.deadlines import Due
from protocols.entries import Accepted
from protocols.envelope import Event, rfc3339
from protocols.flow import Case, Flow, Move, Transition
from protocols.loading import Protocol, catalogue
from protocols.refusals import CaseExists, CaseUnknown, NotAllowedNow, NotAParty, RoleNotAllowed
from protocols.standing import Standing
from protocols.table import BACK, HUB
from tests import simulator

PROTOCOLS = sorted(catalogue().protocols.values(), key=lambda protocol: (protocol.name, protocol.version))
ORGANISATIONS = ("411002-health", "440306-health", "441900-health", "320583-health", "410105-civil-affairs")
ANYBODY = st.sampled_from((*ORGANISATIONS, "110105001-health", "410000-hub"))
STARTS = st.datetimes(datetime(2026, 3, 1), datetime(2031, 12, 31), timezones=st.just(UTC))
_decoder = msgspec.json.Decoder(Case)


def stored(case: Case) -> Case:
    """The case as it is read again from the database."""
    return _decoder.decode(msgspec.json.encode(case))


def move_of(flow: Flow, case: Case, event: Event) -> Move:
    role = simulator.role(case, event.source)
    assert role is not None
    return flow.table[case.state, role][event.message]


class Walk(RuleBasedStateMachine):
    """One case of `protocol`, from its opening on."""

    protocol: Protocol

    @initialize(now=STARTS, data=st.data(), parties=st.permutations(ORGANISATIONS), told=st.integers(1, 3))
    def open(self, now: datetime, data: st.DataObject, parties: list[str], told: int) -> None:
        self.flow = self.protocol.flow
        self.now = now
        event = simulator.opening(self.protocol, parties[: told + 1], now, lambda o: data.draw(st.sampled_from(o)))
        self.case: Case | None = None
        self.earlier: Case | None = None
        self.last: Move | None = None
        self.logged: Standing | None = None
        self.take(event)

    @rule(days=st.sampled_from([0, 1, 2, 3, 7, 20, 60, 400]), hours=st.integers(0, 23))
    def time_passes(self, days: int, hours: int) -> None:
        self.now += timedelta(days=days, hours=hours)

    @precondition(lambda self: not self.flow.states[self.case.state].final)
    @rule(data=st.data())
    def one_stands_in_the_place_of_another(self, data: st.DataObject) -> None:
        assert self.case is not None and self.earlier is not self.case
        involved = self.case.involved() | (self.earlier.involved() if self.earlier else frozenset())
        strangers = [name for name in ORGANISATIONS if name not in involved]
        if not strangers:
            return
        old = data.draw(st.sampled_from([name for name in self.case.parties() if name != simulator.HUB]))
        new = data.draw(st.sampled_from(strangers))
        before = self.case
        self.case = before.succeeded(old, new)
        self.earlier = self.earlier.succeeded(old, new) if self.earlier else None
        assert self.logged is not None
        self.logged = self.logged.succeeded(old, new)
        assert self.case.role(new) == before.role(old) and self.case.role(old) is None
        assert stored(self.case) == self.case
        assert flow.allowed_actions(self.flow, self.case, new) == flow.allowed_actions(self.flow, before, old)
        self.standing(self.case, flow.current_due(self.flow, self.case))

    @precondition(lambda self: any(simulator.allowed(self.protocol, self.case)))
    @rule(data=st.data())
    def send_what_is_allowed(self, data: st.DataObject) -> None:
        assert self.case is not None
        source, name = data.draw(st.sampled_from(list(simulator.allowed(self.protocol, self.case))))
        role = simulator.role(self.case, source)
        assert role is not None
        move = self.flow.table[self.case.state, role][name]
        if move.assigns is not None and not simulator.newcomers(self.case, move, ORGANISATIONS):
            return
        event = simulator.fitting(
            self.protocol, self.case, source, name, self.now, ORGANISATIONS, lambda o: data.draw(st.sampled_from(o))
        )
        assert self.protocol.messages[name].schema.accepts(event.data)
        self.take(event)

    @rule(data=st.data(), source=ANYBODY, recipients=st.lists(ANYBODY, min_size=1, max_size=4))
    def send_anything(self, data: st.DataObject, source: str, recipients: list[str]) -> None:
        assert self.case is not None
        name = data.draw(st.sampled_from(sorted(self.protocol.messages)))
        example = data.draw(st.sampled_from(simulator.examples(self.protocol, name)))
        event = simulator.event(self.protocol, name, source, recipients, self.case.id, self.now, example)
        outcome = flow.advance(self.flow, self.case, event, self.now)
        if isinstance(outcome, Transition):
            assert (source, name) in list(simulator.allowed(self.protocol, self.case))
            self.take(event)
        else:
            self.refused(event, outcome)

    def refused(self, event: Event, refusal: Fault) -> None:
        """A refusal says what is allowed instead, to a party, and nothing to a stranger."""
        assert self.case is not None
        allowed = flow.allowed_actions(self.flow, self.case, event.source)
        if event.message in self.flow.opening:
            assert isinstance(refusal, CaseExists)
        elif simulator.role(self.case, event.source) == HUB and HUB in self.flow.senders.get(event.message, ()):
            assert not isinstance(refusal, NotAParty)
        elif self.case.role(event.source) is None and event.source not in self.case.former:
            assert isinstance(refusal, NotAParty) and refusal.data == {}
        elif event.message not in allowed:
            assert isinstance(refusal, (NotAllowedNow, RoleNotAllowed))
            assert refusal.data["allowed"] == allowed
        else:
            undoes = move_of(self.flow, self.case, event).undoes is not None
            assert undoes or not isinstance(refusal, (NotAllowedNow, RoleNotAllowed, NotAParty))

    def take(self, event: Event) -> None:
        """Send what must be taken, and look at what it changed."""
        before = self.case
        untouched = msgspec.json.encode(before)
        outcome = simulator.advance(self.protocol, before, event, self.now)
        assert isinstance(outcome, Transition), (outcome, event)
        assert outcome == simulator.advance(self.protocol, before, event, self.now)
        assert msgspec.json.encode(before) == untouched
        if before is not None:
            assert flow.advance(self.flow, stored(before), event, self.now) == outcome
        after = outcome.case
        assert stored(after) == after
        assert clocks.recounted(after, STATUTORY) == after
        assert outcome.before == (before.state if before else None)
        assert outcome.due == flow.current_due(self.flow, after)
        self.standing(after, outcome.due)
        if before is None:
            move = self.flow.opening[event.message]
        else:
            move = move_of(self.flow, before, event)
            self.clocks(before, after, move)
            self.undoing(before, after, move)
        self.fresh_clocks(before, after, move)
        self.logged = followed = standing.follow(self.flow, self.logged, self.entry(event))
        assert followed is not None
        assert (followed.state, followed.parties()) == (after.state, after.parties())
        assert list(followed.awaited(self.flow)) == flow.awaited(self.flow, after)
        self.earlier, self.case, self.last = before, after, move

    def entry(self, event: Event) -> Accepted:
        """The log entry of a message: who said what kind of thing to whom, and nothing that it holds."""
        return Accepted(
            id=event.id, digest="", source=event.source, type=event.type, subject=event.subject, causationid=None,
            recipients=dict.fromkeys(event.recipients, 1), at=rfc3339(self.now), due=None, version=self.flow.version,
            assigned=flow.assigned(self.flow, self.case, event),
        )  # fmt: skip

    def standing(self, case: Case, due: Due | None) -> None:
        """Somebody acts next, by a day, or the case is at its end."""
        state = self.flow.states[case.state]
        parties = case.parties()
        assert case.position.proposal is None or state.clock != "stopped"
        assert len(set(parties)) == len(parties)
        assert case.position.responder not in case.former
        if state.final:
            assert (state.owners, due, case.position.clocks) == ((), None, {})
            assert flow.awaited(self.flow, case) == []
            return
        assert due is not None
        awaited = flow.awaited(self.flow, case)
        assert awaited and {case.role(name) for name in awaited} <= set(state.owners)
        assert all(flow.allowed_actions(self.flow, case, name) for name in awaited)

    def fresh_clocks(self, before: Case | None, after: Case, move: Move) -> None:
        """What a message sets anew is due on a working day that is not past."""
        if move.undoes is not None:
            return
        known = before.position.clocks if before else {}
        for name, clock in after.position.clocks.items():
            if name not in known or clock.due != known[name].due:
                assert clock.due >= deadlines.local_date(self.now)
                assert STATUTORY.is_working_day(clock.due)

    def clocks(self, before: Case, after: Case, move: Move) -> None:
        """A deadline moves to a later day only, unless both sides agree; a pause keeps the days that were left."""
        if move.undoes is not None:
            return
        today = deadlines.local_date(self.now)
        if move.to == BACK:
            assert after.position.clocks.keys() == before.position.clocks.keys() - {self.flow.states[before.state].due}
        for name, clock in after.position.clocks.items():
            was = before.position.clocks.get(name)
            returning = move.to == BACK
            if was is None or move.settles is not None or not (returning or self.flow.deadlines[name].scope == "case"):
                continue
            assert clock.due >= was.due
            if not returning:
                continue
            assert was.paused_on is not None and clock.paused_on is None
            unit = self.flow.deadlines[name].unit
            left = deadlines.days_left(was.paused_on, Due(was.due, was.provisional), unit)
            if was.due < was.paused_on:
                assert (clock.due, clock.counted) == (was.due, was.counted)
            elif unit == "working":
                assert deadlines.days_left(today, Due(clock.due, clock.provisional), unit) == left
            else:
                assert clock.due == max(was.due, deadlines.postponed(today + timedelta(days=left)).date)

    def undoing(self, before: Case, after: Case, move: Move) -> None:
        """Invalidating the last message leaves the case exactly as it was before it."""
        if move.undoes is None:
            return
        assert self.last is not None
        if self.last.opens:
            assert self.flow.states[after.state].final
        else:
            assert self.earlier is not None
            assert msgspec.structs.replace(self.earlier, undo=None) == after
        assert after.undo is None


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: f"{protocol.name}-{protocol.version}")
def test_a_case_keeps_its_word_whatever_is_sent(protocol: Protocol) -> None:
    walk = type("Walk", (Walk,), {"protocol": protocol})
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    rules = settings(max_examples=200, stateful_step_count=30, deadline=None, suppress_health_check=slow)
    run_state_machine_as_test(walk, settings=rules)


def abstract(case: Case) -> tuple[Any, ...]:
    """What decides which messages are allowed, without days and names."""
    position = case.position
    undo = case.role(case.undo.source) if case.undo else None
    counts = tuple(sorted(position.counts.items()))
    proposed, heard = position.proposal is None, len(position.said)
    return (case.state, position.came_from, counts, proposed, heard, len(position.participants), undo)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: f"{protocol.name}-{protocol.version}")
def test_every_line_of_the_table_is_made_in_some_case_and_every_state_reached(protocol: Protocol) -> None:
    now = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
    opened = simulator.advance(protocol, None, simulator.opening(protocol, ORGANISATIONS[:3], now), now)
    assert isinstance(opened, Transition)
    waiting, seen, made = deque([opened.case]), {abstract(opened.case)}, set()
    while waiting:
        case = waiting.popleft()
        for source, name in simulator.allowed(protocol, case):
            role = simulator.role(case, source)
            assert role is not None
            move = protocol.flow.table[case.state, role][name]
            if move.assigns is not None and not simulator.newcomers(case, move, ORGANISATIONS):
                continue
            event = simulator.fitting(protocol, case, source, name, now, ORGANISATIONS)
            outcome = flow.advance(protocol.flow, case, event, now)
            assert isinstance(outcome, Transition), (case.state, name, outcome)
            made.add((case.state, role, name))
            if abstract(outcome.case) not in seen:
                seen.add(abstract(outcome.case))
                waiting.append(outcome.case)
    table = {(state, role, name): move for (state, role), m in protocol.flow.table.items() for name, move in m.items()}
    # Who may undo depends on who was last, so not every state has every undoing; every role has some.
    lines = {line for line, move in table.items() if move.undoes is None}
    assert lines <= made
    assert {line[1:] for line in table} == {line[1:] for line in made}
    assert {key[0] for key in seen} == set(protocol.flow.states)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: f"{protocol.name}-{protocol.version}")
def test_only_an_opening_message_makes_a_case(protocol: Protocol) -> None:
    now = datetime(2026, 6, 1, 4, 0, tzinfo=UTC)
    for name in protocol.messages.keys() - protocol.flow.opening.keys():
        example = simulator.examples(protocol, name)[0]
        event = simulator.event(protocol, name, *("411002-health", ["440306-health"]), "any", now, example)
        assert isinstance(flow.advance(protocol.flow, None, event, now), CaseUnknown)
