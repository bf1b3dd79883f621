"""Departments, and organisation ids put together and taken apart."""

import pytest

from keys.errors import Fault
from protocols.departments import OrganisationId, departments, organisation_id, parse_organisation_id
from protocols.errors import DepartmentUnknown, DivisionUnknown, OrganisationIdMalformed


def test_the_code_list_has_the_departments_of_the_domain_with_both_names() -> None:
    assert list(departments()) == [
        "health",
        "public-security",
        "civil-affairs",
        "human-resources",
        "market-regulation",
        "housing",
        "education",
        "transport",
        "finance",
        "development-reform",
        "supervision",
        "hub",
    ]
    assert all(set(found.name) == {"zh", "en"} and all(found.name.values()) for found in departments().values())


def test_an_id_is_division_hyphen_department() -> None:
    assert organisation_id("411002", "health") == "411002-health"
    assert organisation_id("411002001", "civil-affairs") == "411002001-civil-affairs"
    assert parse_organisation_id("440306-public-security") == OrganisationId("440306", "public-security")


def test_an_organisation_keeps_its_id_when_its_division_is_gone() -> None:
    assert parse_organisation_id("411023-health").division == "411023"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "411002",
        "411002-",
        "41100-health",
        "411002-Health",
        "411002 -health",
        "411002-health\n",
        "４11002-health",
    ],
)
def test_a_malformed_id_is_refused(text: str) -> None:
    with pytest.raises(OrganisationIdMalformed):
        parse_organisation_id(text)


@pytest.mark.parametrize(
    ("division", "department", "refusal"),
    [
        ("999999", "health", DivisionUnknown),
        ("411002", "astrology", DepartmentUnknown),
        ("4110", "health", OrganisationIdMalformed),
    ],
)
def test_an_id_is_made_of_what_exists(division: str, department: str, refusal: type[Fault]) -> None:
    with pytest.raises(refusal):
        organisation_id(division, department)
