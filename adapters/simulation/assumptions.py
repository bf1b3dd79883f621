"""What the model assumes, as data: numbers with their sources, provinces, and how authorities behave."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

SOURCES = {"design": "设计概算 the design", "notice": "2010 年通知 the notice", "census": "2020 年普查 the census"}
SOURCES |= {"guess": "假设，待实测 a guess", "measured": "实测 measured"}


@dataclass(frozen=True, slots=True)
class Assumption:
    """One number of the model: `source` is a key of SOURCES."""

    name: str
    value: float
    unit: str
    zh: str
    en: str
    source: str


@dataclass(frozen=True, slots=True)
class Province:
    """People, and those who came from and left for other provinces, in millions."""

    people: float
    came: float
    left: float


@dataclass(frozen=True, slots=True)
class Course:
    """What is said in a case, in order: who (o opener, r responder, n newcomer) and which message."""

    name: str
    share: float
    steps: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """A protocol of the model: its share of all cases, its words, and its departments by weight."""

    protocol: str
    share: float
    opens: str
    done: str
    residence: float
    summer: float
    departments: Mapping[str, float]
    files: Mapping[str, float]
    """How often a file is attached to the message that `opens` it, and to the one that has it `done`."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How the authorities behave. `delay` gives the median in office hours and the spread of a lognormal."""

    kinds: Sequence[Kind]
    courses: Sequence[Course]
    bulletins: Sequence[Course]
    delay: Mapping[str, tuple[float, float]]


@cache
def assumptions() -> Mapping[str, Assumption]:
    """All numbers by name."""
    return {name: Assumption(name, **said) for name, said in _toml("assumptions.toml").items()}


@cache
def costs() -> Mapping[str, Assumption]:
    """What a hub's work costs, by name."""
    return {name: Assumption(name, **said) for name, said in _toml("costs.toml").items()}


def cost(name: str) -> float:
    """The cost of that name."""
    return costs()[name].value


def value(name: str) -> float:
    """The number of that name."""
    return assumptions()[name].value


@cache
def provinces() -> Mapping[str, Province]:
    """Provinces by the first two digits of their code."""
    return {code: Province(**said) for code, said in _toml("provinces.toml").items()}


@cache
def behaviour() -> Behaviour:
    """The behaviour of everybody."""
    said = _toml("behaviour.toml")
    return Behaviour(
        [Kind(protocol, **kind) for protocol, kind in said["protocol"].items()],
        [_course(course) for course in said["course"]],
        [_course(course) for course in said["bulletin"]],
        {name: (median, spread) for name, (median, spread) in said["delay"].items()},
    )


def _course(said: Mapping[str, Any]) -> Course:
    steps = (step.partition(" ") for step in said["steps"])
    return Course(said["name"], said["share"], tuple((who, message) for who, _, message in steps))


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(resources.files("adapters.simulation").joinpath(name).read_text("utf-8"))
