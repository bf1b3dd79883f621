"""The figures of bulletins, worked out from histories alone: every figure names its cases."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from hub.bulletins.history import History
from protocols.course import ACCEPT_WITHIN
from protocols.scorecard import rating


@dataclass(frozen=True, slots=True)
class Period:
    """From one day through another, both included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def progress(histories: Sequence[History], sides: Sequence[str], period: Period) -> list[dict[str, Any]]:
    """The items of a progress bulletin: per protocol and opener what was opened, answered, ended, is open, overdue."""
    items: list[dict[str, Any]] = []
    for protocol in sorted({history.protocol for history in histories}):
        for opener in sides:
            own = [history for history in histories if (history.protocol, history.opener) == (protocol, opener)]
            for figure, holds in _PROGRESS.items():
                cases = [history.id for history in own if holds(history, period)]
                items.append(
                    {
                        "item": len(items) + 1,
                        "protocol": protocol,
                        "opener": opener,
                        "figure": figure,
                        "count": len(cases),
                        "cases": cases,
                    }
                )
    return items


def assessment(histories: Sequence[History], sides: Sequence[str], period: Period) -> list[dict[str, Any]]:
    """The items of a mutual assessment: each side's indicators as responder, in the cases opened in the period."""
    items: list[dict[str, Any]] = []
    for assessed in sides:
        own = [history for history in histories if history.responder == assessed and history.opened in period]
        for indicator, judge in _INDICATORS.items():
            judged = {history.id: met for history in own if (met := judge(history, period)) is not None}
            missed = [case for case, met in judged.items() if met is False]
            days = indicator == "days-to-answer"
            total = sum(int(met) for met in judged.values())
            value = round(total / len(judged) * (1 if days else 100), 1) if judged else None
            item: dict[str, Any] = {
                "item": len(items) + 1,
                "assessed": assessed,
                "indicator": indicator,
                "met": total,
                "of": len(judged),
                "rating": rating(indicator, value),
                "cases": list(judged),
            }
            items.append(item | ({} if value is None else {"value": value}) | ({} if days else {"missed": missed}))
    return items


# Progress ---------------------------------------------------------------------------------------------


def _ended(history: History, period: Period) -> bool:
    last = history.at(period.last)
    return last is not None and history.flow.states[last.after].final and last.day in period


def _open(history: History, period: Period) -> bool:
    last = history.at(period.last)
    return last is not None and not history.flow.states[last.after].final


def _overdue(history: History, period: Period) -> bool:
    last = history.at(period.last)
    return _open(history, period) and last is not None and last.due is not None and last.due < period.last


_PROGRESS: dict[str, Callable[[History, Period], bool]] = {
    "opened": lambda history, period: history.opened in period,
    "answered": lambda history, period: any(history.steps[n].day in period for n in history.reached("answered")),
    "ended": _ended,
    "open": _open,
    "overdue": _overdue,
}


# Assessment: None where the case does not count, else whether it met the indicator, or its days -----------


def _acknowledged_in_time(history: History, period: Period) -> bool | None:
    limit = history.acknowledge_by
    if history.acknowledged is None:
        return False if limit < period.last else None
    return history.acknowledged <= limit


def _accepted(history: History, period: Period) -> bool | None:
    limit = history.opened + timedelta(days=ACCEPT_WITHIN)
    first = history.steps[0].after
    moved = next((step for step in history.steps if step.before == first and step.after != first), None)
    if moved is None:
        return False if limit < period.last else None
    if moved.source != history.responder:
        return None
    return moved.day <= limit


def _days(history: History, period: Period) -> int | None:
    answers = history.reached("answered")
    return (history.steps[answers[0]].day - history.opened).days if answers else None


def _by_date(history: History, period: Period) -> bool | None:
    answers = history.reached("answered")
    if not answers:
        last = history.at(period.last)
        overdue = last is not None and last.due is not None and last.due < period.last
        return False if overdue and _open(history, period) else None
    due = history.steps[answers[0] - 1].due
    return None if due is None else history.steps[answers[0]].day <= due


def _reopened(history: History, period: Period) -> bool | None:
    states = history.flow.states
    ended = [n for n, step in enumerate(history.steps) if states[step.after].final]
    if not ended:
        return None
    return any(step.before in states and states[str(step.before)].final for step in history.steps[ended[0] + 1 :])


_INDICATORS: dict[str, Callable[[History, Period], bool | int | None]] = {
    "acknowledged-in-time": _acknowledged_in_time,
    "accepted-within-7-days": _accepted,
    "days-to-answer": _days,
    "answered-by-date": _by_date,
    "reopened": _reopened,
}
