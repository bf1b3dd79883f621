"""Scorecards (domain, Scorecards): indicators over the facts of cases, with the thresholds of the EU's IMI."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Literal

import msgspec

from protocols import deadlines
from protocols.calendar import STATUTORY, Calendar
from protocols.course import Facts
from protocols.turnaround import KINDS, Spent, worked

Rating = Literal["green", "amber", "red", "none"]
IN_TIME, ACCEPTED, DAYS, BY_DATE, REOPENED = (
    "acknowledged-in-time",
    "accepted-within-7-days",
    "days-to-answer",
    "answered-by-date",
    "reopened",
)


By = Literal["all", "pair", "opener", "responder", "month", "protocol", "prefecture", "province"]
"""How figures are grouped; by prefecture and province pair by pair, named by the first digits of their codes."""
REGIONS: dict[str, int] = {"prefecture": 4, "province": 2}
"""How many digits of a division's code (GB/T 2260) name such a region."""


class Asked(msgspec.Struct, frozen=True):
    """Which cases: opened from `first` through `last`, of one protocol, opener, responder where given.

    An opener or responder of digits alone is a region: every organisation whose division's code begins with them.
    """

    first: date
    last: date
    protocol: str | None = None
    opener: str | None = None
    responder: str | None = None

    def holds(self, facts: Facts) -> bool:
        """Whether a case is among them."""
        return (
            self.first <= facts.opened_on <= self.last
            and self.protocol in (None, facts.protocol)
            and (self.opener is None or named(self.opener, facts.opener))
            and (self.responder is None or named(self.responder, facts.responder))
        )


class Indicator(msgspec.Struct, frozen=True):
    """`met` of the `of` cases that count (or days in all), `value` in per cent (or days a case); its traffic light."""

    met: int
    of: int
    value: float | None
    rating: Rating


class Figure(msgspec.Struct, frozen=True):
    """What a group of cases comes to. Times are seconds in all; those of stages that last are counted until `now`."""

    cases: int
    open: int
    overdue: int
    answered: int
    indicators: dict[str, Indicator]
    calendar: Spent
    working: Spent


class Row(msgspec.Struct, frozen=True, omit_defaults=True):
    """A figure with what it is of; what all cases have in common, or is not asked by, is absent."""

    figure: Figure
    opener: str | None = None
    responder: str | None = None
    month: str | None = None
    protocol: str | None = None

    @property
    def of(self) -> tuple[str | None, str | None, str | None, str | None]:
        """What it is of."""
        return self.opener, self.responder, self.month, self.protocol


class Figures(msgspec.Struct, frozen=True):
    """Figures of the cases asked for, at the moment `at`, by the first `through` entries of the log."""

    asked: Asked
    by: By
    at: datetime
    through: int
    rows: list[Row]

    @property
    def day(self) -> date:
        """The day at whose end they stand: the last of the period, or that of `at`."""
        return min(self.asked.last, deadlines.local_date(self.at))


class Contribution(msgspec.Struct, frozen=True):
    """A case behind a figure, with what it contributes."""

    case: str
    facts: Facts


class Contributions(msgspec.Struct, frozen=True):
    """A page of the cases behind a figure; `next` continues it as `after`."""

    asked: Asked
    through: int
    items: list[Contribution]
    next: str | None


def rows(facts: Iterable[Facts], by: By, last: date, now: datetime, calendar: Calendar = STATUTORY) -> list[Row]:
    """The figure of each group of these cases; `calendar` says which days are worked."""
    groups: dict[tuple[str | None, ...], list[Facts]] = {}
    for one in facts:
        digits = REGIONS.get(by)
        opener = one.opener[:digits] if by in ("pair", "opener") or digits else None
        responder = one.responder[:digits] if by in ("pair", "responder") or digits else None
        month = f"{one.opened_on:%Y-%m}" if by == "month" else None
        groups.setdefault((opener, responder, month, one.protocol if by == "protocol" else None), []).append(one)
    return [Row(figure(ones, last, now, calendar), *of) for of, ones in groups.items()]


def figure(facts: Iterable[Facts], last: date, now: datetime, calendar: Calendar = STATUTORY) -> Figure:
    """The figure of these cases at the end of the day `last`, and at the moment `now` for what lasts."""
    cases = list(facts)
    judged, times = [judge(one, last) for one in cases], [spent(one, now, calendar) for one in cases]
    indicators = {}
    for name in (IN_TIME, ACCEPTED, DAYS, BY_DATE, REOPENED):
        values = [int(found[name]) for found in judged if found[name] is not None]  # type: ignore[arg-type]
        indicators[name] = indicator(name, sum(values), len(values))
    return Figure(
        cases=len(cases),
        open=sum(not one.final for one in cases),
        overdue=sum(overdue(one, last) for one in cases),
        answered=sum(one.answered_on is not None for one in cases),
        indicators=indicators,
        calendar=_summed(all_days for all_days, _ in times),
        working=_summed(working for _, working in times),
    )


def added(figures: Iterable[Figure]) -> Figure:
    """What several groups, of which no two share a case, come to together."""
    parts = list(figures)
    sums = {
        name: (sum(one.indicators[name].met for one in parts), sum(one.indicators[name].of for one in parts))
        for name in (IN_TIME, ACCEPTED, DAYS, BY_DATE, REOPENED)
    }
    return Figure(
        cases=sum(one.cases for one in parts),
        open=sum(one.open for one in parts),
        overdue=sum(one.overdue for one in parts),
        answered=sum(one.answered for one in parts),
        indicators={name: indicator(name, met, of) for name, (met, of) in sums.items()},
        calendar=_summed(one.calendar for one in parts),
        working=_summed(one.working for one in parts),
    )


def judge(facts: Facts, last: date) -> dict[str, bool | int | None]:
    """What a case says for each indicator at the end of `last`: whether it met it, or its days; None: nothing."""
    return {
        IN_TIME: _kept(facts.acknowledged_on, facts.acknowledge_by, last),
        ACCEPTED: None if facts.left_by_other else _kept(facts.accepted_on, facts.accept_by, last),
        DAYS: (facts.answered_on - facts.opened_on).days if facts.answered_on else None,
        BY_DATE: _answered_by_date(facts, last),
        REOPENED: facts.reopened,
    }


def overdue(facts: Facts, last: date) -> bool:
    """Whether the next step of an open case was due before `last`."""
    return not facts.final and facts.due is not None and facts.due < last


def spent(facts: Facts, now: datetime, calendar: Calendar = STATUTORY) -> tuple[Spent, Spent]:
    """Calendar and working seconds by kind of time, the stage that lasts counted until `now`."""
    stage = facts.stage
    if stage is None or now <= stage.begins:
        return facts.calendar, facts.working
    lasting = int((now - stage.begins).total_seconds()), int(worked(stage.begins, now, calendar).total_seconds())
    all_days, working = (
        msgspec.structs.replace(over, **{stage.kind: getattr(over, stage.kind) + seconds})
        for over, seconds in zip((facts.calendar, facts.working), lasting, strict=True)
    )
    return all_days, working


def indicator(name: str, met: int, of: int) -> Indicator:
    """An indicator from its counts: a share in per cent, or the mean of days; no cases, no figure."""
    value = round(met / of * (1 if name == DAYS else 100), 1) if of else None
    return Indicator(met, of, value, rating(name, value))


def rating(name: str, value: float | None) -> Rating:
    """Green, amber or red by the published thresholds of the EU's Internal Market Information system."""
    if value is None:
        return "none"
    if name == DAYS:
        return "green" if value < 16 else "amber" if value <= 25 else "red"
    if name == REOPENED:
        return "green" if value < 5 else "amber" if value < 10 else "red"
    return "green" if value >= 80 else "amber" if value >= 60 else "red"


def named(wanted: str, has: str) -> bool:
    """Whether `wanted` names the organisation `has`: by its id, or by the first digits of its division's code."""
    return has.startswith(wanted) if wanted.isdigit() else has == wanted


def _kept(done: date | None, by: date, last: date) -> bool | None:
    if done is None:
        return False if by < last else None
    return done <= by


def _answered_by_date(facts: Facts, last: date) -> bool | None:
    if facts.answered_on is None:
        return False if overdue(facts, last) else None
    return None if facts.answer_due is None else facts.answered_on <= facts.answer_due


def _summed(each: Iterable[Spent]) -> Spent:
    totals = dict.fromkeys(KINDS, 0)
    for one in each:
        for kind in KINDS:
            totals[kind] += getattr(one, kind)
    return Spent(**totals)
