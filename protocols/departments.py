"""The departments, and the id of an organisation: division code, hyphen, department."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from types import MappingProxyType

from protocols.divisions import division
from protocols.errors import DepartmentUnknown, OrganisationIdMalformed

_ID = re.compile(r"(?P<division>[0-9]{6}(?:[0-9]{3})?)-(?P<department>[a-z][a-z-]{1,40})")


@dataclass(frozen=True, slots=True)
class Department:
    """A department by its code, with its names by language (`zh`, `en`)."""

    code: str
    name: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OrganisationId:
    """An organisation's id taken apart: a division of 6 digits (county and above) or 9, and a department."""

    division: str
    department: str

    def __str__(self) -> str:
        return f"{self.division}-{self.department}"


@cache
def departments() -> Mapping[str, Department]:
    """All departments by code, in the order of the code list."""
    text = resources.files("protocols").joinpath("departments.toml").read_text("utf-8")
    listed = tomllib.loads(text)["departments"]
    return MappingProxyType({code: Department(code, MappingProxyType(dict(name))) for code, name in listed.items()})


def department(code: str) -> Department:
    """The department with this code. Raises DepartmentUnknown."""
    found = departments().get(code)
    if found is None:
        raise DepartmentUnknown(f"no department {code[:40]!r}", department=code[:40])
    return found


def organisation_id(division_code: str, department_code: str) -> str:
    """The id of a department in a division, e.g. `411002-health`.

    A township's code has nine digits, of which the first six are its county's. Raises DivisionUnknown,
    DepartmentUnknown, OrganisationIdMalformed.
    """
    parsed = parse_organisation_id(f"{division_code}-{department_code}")
    division(parsed.division[:6])
    return str(parsed)


def parse_organisation_id(text: str) -> OrganisationId:
    """The id taken apart. Raises OrganisationIdMalformed or DepartmentUnknown.

    The division is not looked up: an organisation keeps its id when its division is merged into another.
    """
    match = _ID.fullmatch(text)
    if match is None:
        raise OrganisationIdMalformed(organisation=text[:60])
    return OrganisationId(match["division"], department(match["department"]).code)


def is_hub(organisation: str) -> bool:
    """Whether this is the id of a hub."""
    return organisation.partition("-")[2] == "hub"
