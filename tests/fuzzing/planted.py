"""Faults on purpose: readers that break their promise in each of the ways that the harness must report."""

from collections.abc import Callable, Mapping
from typing import Final

from keys import strict_json
from keys.errors import Fault
from tests.fuzzing.probing import Target

_HELD: Final[list[bytes]] = []


def _foreign(data: bytes) -> object:
    value = strict_json.loads(data)
    return value["id"] if isinstance(value, dict) else value  # a KeyError is no refusal


def _slow(data: bytes) -> object:
    value = strict_json.loads(data)
    while isinstance(value, list):
        pass
    return value


def _growing(data: bytes) -> object:
    value = strict_json.loads(data)
    if isinstance(value, list):
        _HELD.append(b"x" * (1 << 25))
    return value


def _target(name: str, read: Callable[[bytes], object]) -> Target:
    return Target(f"planted-{name}", read, (Fault,), lambda: [b'{"id":1}'], (b"[]", b"{}"), seconds=1)


PLANTED: Final[Mapping[str, Target]] = {
    target.name: target
    for target in (_target("foreign", _foreign), _target("slow", _slow), _target("growing", _growing))
}
