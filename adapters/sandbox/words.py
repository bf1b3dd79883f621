"""What people read of the sandbox's counterparts; the words are in counterparts.toml."""

import tomllib
from importlib import resources

import msgspec

from adapters.conformance.scenarios import Words


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counterpart: its organisation, the name of its script, and what that does."""

    id: str
    plays: str
    does: Words


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    counterparts: list[Told]


COUNTERPARTS: tuple[Told, ...] = tuple(
    msgspec.convert(
        tomllib.loads(resources.files("adapters.sandbox").joinpath("counterparts.toml").read_text("utf-8")), _File
    ).counterparts
)
