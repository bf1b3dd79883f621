"""The country: its counties, who moved from where to where, its organisations, and which of them go silent.

Everything follows from the seed; a smaller country is the busiest counties of the large one.
"""

import math
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import accumulate
from random import Random

from adapters.simulation.assumptions import behaviour, provinces, value
from adapters.simulation.hours import DAY, midnight
from protocols.departments import organisation_id, parse_organisation_id
from protocols.divisions import county_level

LEAD = "supervision"
"""The department of a county to which the others report each month."""


@dataclass(frozen=True, slots=True)
class County:
    """A county by its code: how many came to it and left it, in millions."""

    code: str
    came: float
    left: float


class Weighted:
    """One of several, drawn by weight."""

    def __init__(self, weights: Sequence[float]) -> None:
        self._sums = list(accumulate(weights))

    def draw(self, chance: Random) -> int:
        """The place of the one that was drawn."""
        return min(bisect(self._sums, chance.random() * self._sums[-1]), len(self._sums) - 1)


class _Places:
    """Counties that people move to, drawn by how many came there."""

    def __init__(self, counties: Sequence[County], places: Sequence[int]) -> None:
        self.places = places
        self._weighted = Weighted([counties[place].came for place in places])

    def draw(self, chance: Random) -> int:
        """The place of a county."""
        return self.places[self._weighted.draw(chance)]


class Country:
    """So many counties, the busiest first; all there are without a number. Raises ValueError for fewer than two."""

    def __init__(self, seed: int, counties: int | None = None) -> None:
        if counties is not None and counties < 2:
            raise ValueError("nobody can move within one county")
        self.seed = seed
        everybody = sorted(_counties(seed), key=lambda county: -(county.came + county.left))
        self.counties = everybody[: counties or len(everybody)]
        self.departments = list(behaviour().kinds[0].departments)[: int(value("departments"))]
        self._home = Weighted([county.left for county in self.counties])
        self._rank = Weighted([k ** -value("ties_exponent") for k in range(1, int(value("ties")) + 1)])
        self._ties: dict[int, list[int]] = {}

    def pair(self, chance: Random) -> tuple[str, str]:
        """Where a person lives and where it is registered: two counties by code."""
        home = self._home.draw(chance)
        if home not in self._ties:
            self._ties[home] = self._favourites(home)
        return self.counties[self._ties[home][self._rank.draw(chance)]].code, self.counties[home].code

    def _favourites(self, home: int) -> list[int]:
        """Where the people of a county mostly move to, the first place first."""
        chance, found = Random(f"{self.seed}/ties/{self.counties[home].code}"), list[int]()
        near, far = self._around[self.counties[home].code[:2]]
        while len(found) < value("ties"):
            stays = len(near.places) > 1 and (chance.random() < value("in_province") or not far.places)
            place = (near if stays else far).draw(chance)
            if place != home:
                found.append(place)
        return found

    @cached_property
    def _around(self) -> Mapping[str, tuple["_Places", "_Places"]]:
        """For each province the counties inside and outside."""
        provinces = [county.code[:2] for county in self.counties]
        return {
            here: (
                _Places(self.counties, [n for n, province in enumerate(provinces) if province == here]),
                _Places(self.counties, [n for n, province in enumerate(provinces) if province != here]),
            )
            for here in set(provinces)
        }

    def reporting(self) -> Iterator[tuple[str, str]]:
        """Each organisation that reports each month, with whom it reports to."""
        for county in self.counties:
            lead = organisation_id(county.code, LEAD)
            yield from ((organisation_id(county.code, name), lead) for name in self.departments)

    def organisations(self) -> Iterator[str]:
        """Every organisation that sends or receives."""
        for county in self.counties:
            yield from (organisation_id(county.code, name) for name in (*self.departments, LEAD))

    def silence(self, organisation: str, year: int) -> tuple[float, float] | None:
        """From when until when an organisation is silent in a year, in seconds since the epoch; None where it is not.

        Who never comes back is silent until infinity.
        """
        chance = Random(f"{self.seed}/silence/{year}/{organisation}")
        if chance.random() >= value("silent"):
            return None
        start = midnight(date(year, 1, 1)) + chance.random() * 365 * DAY
        if chance.random() < value("silent_for_good"):
            return start, math.inf
        end = start + chance.lognormvariate(math.log(value("silent_days")), 0.7) * DAY
        return start, end if end < midnight(date(year + 2, 1, 1)) else math.inf

    def has_nothing(self, organisation: str) -> bool:
        """Whether a department always has a zero report to send."""
        return Random(f"{self.seed}/zero/{organisation}").random() < value("bulletin_zero")


def county_of(organisation: str) -> str:
    """The county of an organisation."""
    return parse_organisation_id(organisation).division[:6]


def _counties(seed: int) -> Iterator[County]:
    """The counties of the provinces that the census data names, their weights unequal and heavy-tailed."""
    chance, spread = Random(f"{seed}/counties"), value("county_spread")
    known = [found for found in county_level() if found.code[:2] in provinces()]
    came = {found.code: chance.lognormvariate(0, spread) for found in known}
    left = {found.code: chance.lognormvariate(0, spread) for found in known}
    totals: dict[str, list[float]] = {}
    for found in known:
        total = totals.setdefault(found.code[:2], [0.0, 0.0])
        total[0] += came[found.code]
        total[1] += left[found.code]
    within = value("in_province") / (1 - value("in_province")) * sum(p.left for p in provinces().values())
    people = sum(province.people for province in provinces().values())
    for found in known:
        province, total = provinces()[found.code[:2]], totals[found.code[:2]]
        # Whoever moves within the province both leaves and comes; by the province's share of all people.
        inside = within * province.people / people
        yield County(
            found.code,
            (province.came + inside) * came[found.code] / total[0],
            (province.left + inside) * left[found.code] / total[1],
        )
