"""Hubs of other provinces as this one knows them: where, until when, and for whom what they say counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keys.errors import Fault
from protocols.departments import parse_organisation_id


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbouring hub. `divisions` are beginnings of codes; None sets no limit."""

    hub: str
    url: str
    divisions: tuple[str, ...] | None
    departments: tuple[str, ...] | None
    expires: datetime
    ended: datetime | None

    def in_force(self, moment: datetime) -> bool:
        """Whether it is a neighbour at the (aware) moment."""
        return moment < self.expires and (self.ended is None or moment < self.ended)

    def covers(self, organisation: str) -> bool:
        """Whether it may speak for an organisation of this id; never for a hub."""
        try:
            who = parse_organisation_id(organisation)
        except Fault:
            return False
        return (
            who.department != "hub"
            and (self.divisions is None or who.division.startswith(self.divisions))
            and (self.departments is None or who.department in self.departments)
        )


def read(row: Mapping[str, Any]) -> Neighbour:
    """A neighbour from its row."""
    divisions, departments = row["divisions"], row["departments"]
    return Neighbour(
        row["hub"],
        row["url"],
        None if divisions is None else tuple(divisions),
        None if departments is None else tuple(departments),
        row["expires"],
        row["ended"],
    )
