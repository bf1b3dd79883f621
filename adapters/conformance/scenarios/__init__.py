"""The scenarios of the kit, in the order in which they are played; their words are in scenarios.toml."""

import tomllib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Literal

import msgspec

from adapters.conformance.scenarios import changes, contents, ordinary, outages
from adapters.conformance.stage import Stage

Severity = Literal["must", "should"]
Play = Callable[[Stage], Awaitable[None]]


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A text in both languages."""

    zh: str
    en: str


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What people read of a scenario: what is done, what is expected, why, and where the contract says so."""

    severity: Severity
    title: Words
    does: Words
    expects: Words
    why: Words
    section: str


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    asked: list[Words]
    scenarios: dict[str, Told]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario: its name, its words, and the function that plays it."""

    name: str
    told: Told
    play: Play


_PLAYS: Mapping[str, Play] = {
    "happy-path": ordinary.happy_path,
    "duplicate-sends": ordinary.duplicate_sends,
    "duplicate-pages": ordinary.duplicate_pages,
    "reordering": ordinary.reordering,
    "own-case": ordinary.own_case,
    "sealed-content": contents.sealed_content,
    "tampering": contents.tampering,
    "key-rotation": changes.key_rotation,
    "schema-upgrade": changes.schema_upgrade,
    "clock-skew": outages.clock_skew,
    "retry-after": outages.retry_after,
    "retry-after-date": outages.retry_after_date,
    "idle": outages.idle,
    "slow-hub": outages.slow_hub,
    "dying-hub": outages.dying_hub,
    "limits": contents.limits,
    "resent-year": changes.resent_year,
}
_FILE = msgspec.convert(
    tomllib.loads(resources.files("adapters.conformance").joinpath("scenarios.toml").read_text("utf-8")), _File
)

ASKED: tuple[Words, ...] = tuple(_FILE.asked)
"""What the kit asks of a system under test."""
SCENARIOS: tuple[Scenario, ...] = tuple(Scenario(name, _FILE.scenarios[name], play) for name, play in _PLAYS.items())
MUST = frozenset(one.name for one in SCENARIOS if one.told.severity == "must")
"""The scenarios that every system must pass."""
