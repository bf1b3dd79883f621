"""The refusals as a catalogue: each has a code of its own, a sentence of its own, and data that can be shown."""

import importlib
import pkgutil
import re
from collections import Counter
from types import ModuleType

import pytest

import keys
import protocols
from keys.errors import Fault


def modules(package: ModuleType) -> list[ModuleType]:
    found = pkgutil.walk_packages(package.__path__, package.__name__ + ".")
    return [importlib.import_module(info.name) for info in found]


def descendants(kind: type[Fault]) -> set[type[Fault]]:
    return {kind}.union(*(descendants(below) for below in kind.__subclasses__()))


MODULES = {module.__name__ for package in (keys, protocols) for module in modules(package)}
FAULTS = sorted(
    (fault for fault in descendants(Fault) - {Fault} if fault.__module__ in MODULES), key=lambda fault: fault.__name__
)


def test_the_walk_finds_the_refusals_of_both_packages() -> None:
    assert {"keys", "protocols"} == {fault.__module__.partition(".")[0] for fault in FAULTS}
    assert len(FAULTS) > 25


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_refusal_has_a_code_of_its_own_in_kebab_case(fault: type[Fault]) -> None:
    assert "code" in vars(fault), "inherits its code"
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", fault.code)
    assert Counter(other.code for other in FAULTS)[fault.code] == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_refusal_says_in_its_docstring_what_is_wrong(fault: type[Fault]) -> None:
    assert "__doc__" in vars(fault)
    assert (fault.__doc__ or "").strip().split("\n")[0].endswith(".")
    assert Counter(other.__doc__ for other in FAULTS)[fault.__doc__] == 1
