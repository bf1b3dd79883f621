"""Known facts about the divisions of China, and the shape of the whole."""

import pytest

from protocols.divisions import ancestors, children, county_level, division, provinces
from protocols.errors import DivisionUnknown


def test_a_district_stands_under_its_city_and_province() -> None:
    weidu = division("411002")
    assert (weidu.name, weidu.level, weidu.kind) == ("魏都区", "county", "市辖区")
    assert [(above.code, above.name) for above in ancestors("411002")] == [
        ("411000", "许昌市"),
        ("410000", "河南省"),
    ]


@pytest.mark.parametrize(
    ("code", "name", "parent"),
    [
        ("441900", "东莞市", "440000"),
        ("442000", "中山市", "440000"),
        ("460400", "儋州市", "460000"),
        ("620200", "嘉峪关市", "620000"),
        ("419001", "济源市", "410000"),
        ("110101", "东城区", "110000"),
        ("500101", "万州区", "500000"),
        ("429021", "神农架林区", "420000"),
        ("659001", "石河子市", "650000"),
    ],
)
def test_counties_directly_under_a_province(code: str, name: str, parent: str) -> None:
    found = division(code)
    assert (found.name, found.level, found.parent) == (name, "county", parent)
    assert found in children(parent)
    assert found in county_level()
    assert children(code) == []


def test_the_counties_of_xuchang() -> None:
    assert [county.code for county in children("411000")] == [
        "411002",
        "411003",
        "411024",
        "411025",
        "411081",
        "411082",
    ]


def test_there_are_34_provinces_and_none_has_a_parent() -> None:
    assert len(provinces()) == 34
    assert all(province.parent is None and province.level == "province" for province in provinces())
    assert division("710000").name == "台湾省"


def test_there_are_about_2850_divisions_on_the_county_tier() -> None:
    assert 2840 <= len(county_level()) <= 2860


def test_every_division_is_reached_from_its_province_exactly_once() -> None:
    reached = []
    waiting = list(provinces())
    while waiting:
        found = waiting.pop()
        reached.append(found.code)
        waiting.extend(children(found.code))
    assert len(reached) == len(set(reached))
    assert {county.code for county in county_level()} <= set(reached)
    assert all(len(code) == 6 and code.isdigit() for code in reached)


def test_a_code_begins_like_its_parents() -> None:
    for county in county_level():
        for above in ancestors(county.code):
            significant = 2 if above.level == "province" else 4
            assert county.code[:significant] == above.code[:significant]


@pytest.mark.parametrize("code", ["", "999999", "4110", "411002001", "河南省", "411002 "])
def test_an_unknown_code_is_refused(code: str) -> None:
    for look_up in (division, children, ancestors):
        with pytest.raises(DivisionUnknown) as refused:
            look_up(code)
        assert refused.value.code == "division-unknown"
        assert refused.value.data["division"] == code[:12]
