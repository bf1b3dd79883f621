"""The course of one case by the log's entries alone: its steps in days, and what the indicators are worked out from."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import msgspec

from protocols import deadlines
from protocols.arrangements import changed_due
from protocols.between_hubs import Marked
from protocols.calendar import STATUTORY, Calendar
from protocols.entries import Accepted, Acknowledged, DueChanged, Succeeded, happened
from protocols.table import Flow
from protocols.turnaround import Event, Spent, Stage, Timekeeper, summed

ACCEPT_WITHIN = 7
"""Calendar days in which a case should be taken up."""
ACKNOWLEDGE_WITHIN = 2
"""Working days in which a message should be acknowledged."""


@dataclass(frozen=True, slots=True)
class Step:
    """A message that moved a case or left it where it was; days are those of Asia/Shanghai."""

    message: str
    source: str
    before: str | None
    after: str
    due: date | None
    day: date


class Facts(msgspec.Struct, frozen=True):
    """What a case contributes to figures: days in Asia/Shanghai, None where it has not happened.

    `accepted_on` is when the responder took it up; `left_by_other` says that somebody else ended its first state, so
    that it counts for no one's acceptance. `answer_due` is the date that stood when it was answered. `reopened` is
    None for a case that never ended. `calendar` and `working` hold the stages that are over, `stage` is the one that
    lasts.
    """

    protocol: str
    version: str
    opener: str
    responder: str
    state: str
    final: bool
    opened: datetime
    opened_on: date
    due: date | None
    acknowledge_by: date
    acknowledged_on: date | None
    accept_by: date
    accepted_on: date | None
    left_by_other: bool
    answered_on: date | None
    answer_due: date | None
    ended_on: date | None
    reopened: bool | None
    calendar: Spent
    working: Spent
    stage: Stage | None


class Course:
    """Follows one case through the log's entries that bear on it."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.keeper = Timekeeper(flow)
        self.steps: list[Step] = []
        self._opened: datetime | None = None
        self._first: dict[str, int] = {}
        self._reads: dict[str, str] = {}
        self._signed: dict[str, date] = {}

    def take(self, event: Event) -> None:
        """The next entry, in the order of the log."""
        before = self.keeper.standing
        self.keeper.take(event.index, event.entry)
        after = self.keeper.standing
        entry = event.entry
        if isinstance(entry, Accepted) and after is not None:
            at = datetime.fromisoformat(happened(entry))
            if before is None:
                self._opened, self._first = at, dict(entry.recipients)
                self._reads = {name: name for name in entry.recipients}
            message, due = entry.type.partition(".")[2], date.fromisoformat(entry.due) if entry.due else None
            state = before.state if before else None
            self.steps.append(Step(message, entry.source, state, after.state, due, deadlines.local_date(at)))
        elif isinstance(entry, Acknowledged):
            position = self._first.get(entry.recipient)
            if position is not None and entry.from_ <= position <= entry.through:
                self._signed[entry.recipient] = deadlines.local_date(datetime.fromisoformat(entry.at))
        elif isinstance(entry, Marked):
            if entry.mark == "acknowledged" and self._first.get(entry.recipient) in entry.positions:
                self._signed[entry.recipient] = deadlines.local_date(datetime.fromisoformat(happened(entry)))
        elif isinstance(entry, DueChanged) and self.steps:
            self.steps[-1] = replace(self.steps[-1], due=changed_due(entry))
        elif isinstance(entry, Succeeded) and after is not before:
            self._reads = {
                box: entry.successor if who == entry.organisation else who for box, who in self._reads.items()
            }

    def acknowledged(self) -> date | None:
        """When who answers the case now signed for the opening message; None where it did not."""
        responder = self.keeper.standing.responder if self.keeper.standing is not None else None
        return next((day for box, day in self._signed.items() if self._reads[box] == responder), None)

    def reached(self, state: str) -> list[int]:
        """The places of the steps that led into one of the states that the flow calls `state`."""
        names = self.flow.names.get(state, ())
        return [n for n, step in enumerate(self.steps) if step.after in names and step.before not in names]

    def _ended(self) -> date:
        finals = (step for step in reversed(self.steps) if not (step.before and self.flow.states[step.before].final))
        return next(finals).day

    def facts(self, calendar: Calendar = STATUTORY) -> Facts | None:
        """What the case contributes to figures, by the log's calendar as of now; None before its opening message."""
        standing, steps, states = self.keeper.standing, self.steps, self.flow.states
        if standing is None or self._opened is None:
            return None
        first = steps[0].after
        moved = next((step for step in steps if step.before == first and step.after != first), None)
        answers = self.reached("answered")
        ended = [n for n, step in enumerate(steps) if states[step.after].final]
        again = any(step.before and states[step.before].final for step in steps[ended[0] + 1 :]) if ended else None
        stages = self.keeper.stages()
        lasting = stages[-1] if stages and stages[-1].ends is None else None
        over = summed(stages[:-1] if lasting else stages, self._opened, calendar)
        return Facts(
            protocol=self.flow.protocol,
            version=self.flow.version,
            opener=standing.opener,
            responder=standing.responder,
            state=standing.state,
            final=states[standing.state].final,
            opened=self._opened,
            opened_on=steps[0].day,
            due=steps[-1].due,
            acknowledge_by=deadlines.due_date(steps[0].day, ACKNOWLEDGE_WITHIN, "working", calendar).date,
            acknowledged_on=self.acknowledged(),
            accept_by=steps[0].day + timedelta(days=ACCEPT_WITHIN),
            accepted_on=moved.day if moved and moved.source == standing.responder else None,
            left_by_other=moved is not None and moved.source != standing.responder,
            answered_on=steps[answers[0]].day if answers else None,
            answer_due=steps[answers[0] - 1].due if answers else None,
            ended_on=self._ended() if states[standing.state].final else None,
            reopened=again,
            calendar=over.calendar,
            working=over.working,
            stage=lasting,
        )


def course(flow: Flow, events: Iterable[Event]) -> Course:
    """The course of a case whose entries are `events`, in the order of the log."""
    found = Course(flow)
    for event in events:
        found.take(event)
    return found
