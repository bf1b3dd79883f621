"""A year of the country foretold: load by hour and day, backlog, turnaround, storage, and the machines it takes.

A sample of the year's cases is worked out one by one, and each stands for many.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from adapters.simulation.assumptions import value
from adapters.simulation.cast import Plan
from adapters.simulation.country import Country
from adapters.simulation.hours import HOUR, WORKED
from adapters.simulation.sizes import Load, Machine, Prices, machine
from adapters.simulation.tally import Tally, planned, together
from adapters.simulation.traffic import BULLETIN, Case, Traffic
from protocols.calendar import STATUTORY

TOLD = Callable[[int, int], None]
"""How many days are done, of how many."""
BEFORE = 100
"""Days before the year from which cases may still be open."""
_SAMPLED = 0.05
"""Share of the bulletins that is worked out."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """What is foretold of one size of the country: its tally, and what machines that takes."""

    tally: Tally
    machine: Machine


@dataclass(frozen=True, slots=True)
class Year:
    """A year foretold, at several sizes; `sampled` cases were worked out."""

    plan: Plan
    sampled: int
    sizes: Sequence[Predicted]


def year(plan: Plan, sample: int, times: Sequence[float], prices: Prices, told: TOLD = lambda done, of: None) -> Year:
    """Foretell the plan's year at 1 × and other sizes, from a sample of about so many cases.

    People exchange more at another size; there are as many bulletins as before, for there are as many departments.
    """
    country = Country(plan.seed, plan.counties)
    first, last = date(plan.year, 1, 1), date(plan.year, 12, 31)
    share = min(1.0, sample / (plan.people * value("exchanges")))
    traffic = Traffic(country, plan.year, plan.people * share, plan.draw, _SAMPLED)
    exchanges, bulletins = list[Case](), list[Case]()
    days = (last - first).days + 1 + BEFORE
    for number in range(days):
        day = first + timedelta(days=number - BEFORE)
        for case in traffic.cases(day, day):
            (bulletins if case.protocol == BULLETIN else exchanges).append(case)
        told(number + 1, days)
    ordinary = planned(traffic, exchanges, first, last, 1 / share)
    monthly = planned(traffic, bulletins, first, last, 1 / _SAMPLED)
    sizes = [_size(country, plan, ordinary, monthly, one, prices) for one in times]
    return Year(plan, len(exchanges) + len(bulletins), sizes)


def _size(country: Country, plan: Plan, ordinary: Tally, monthly: Tally, times: float, prices: Prices) -> Predicted:
    tally = together([together([ordinary], times), monthly])
    offices = len(country.counties) * (len(country.departments) + 1)
    worked = sum(STATUTORY.is_working_day(ordinary.first + timedelta(days=n)) for n in range(ordinary.days))
    # Nobody reads more often than it reads, however much there is.
    tally.readings = min(tally.readings, offices * worked * value("readings"))
    look_ups = tally.messages * value("look_ups")
    load = Load(
        tally.types, tally.cases, tally.readings, tally.deliveries, look_ups, _together(), worked * WORKED * HOUR,
        tally.files, tally.file_bytes, tally.fetched, tally.fetched_bytes,
    )  # fmt: skip
    return Predicted(tally, machine(times, load, busiest_hour(tally) / 3600, offices, prices))


def _together() -> float:
    """Messages in a request, the mean: some go alone, the others a hundred at once."""
    return 1 / (value("sent_alone") + (1 - value("sent_alone")) / 100)


def busiest_hour(tally: Tally) -> float:
    """Messages in the busiest hour.

    A sample's own busiest hour is busy by chance as well; so it is that of the average of the ten busiest days.
    """
    days = tally.by_day()
    busiest = sorted(range(tally.days), key=lambda day: -days[day])[:10]
    return max(sum(tally.sent[24 * day + hour] for day in busiest) for hour in range(24)) / len(busiest)


def expected(plan: Plan, first: date, last: date, draws: int, told: TOLD = lambda done, of: None) -> Tally:
    """What a play of a slice should come to: the mean of other draws of the same country, never the draw played."""
    country, tallies = Country(plan.seed, plan.counties), []
    for number in range(draws):
        traffic = Traffic(country, plan.year, plan.people, plan.draw + 1 + number)
        tallies.append(planned(traffic, traffic.cases(first, last), first, last))
        told(number + 1, draws)
    return together(tallies, 1 / draws)
