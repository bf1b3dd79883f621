"""Where each table lies when the database is a Citus cluster, as `layout.toml` says it."""

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec


class Spread(NamedTuple):
    """A table whose rows are spread over the nodes by a column; those of the same group lie together."""

    table: str
    column: str
    group: str
    leader: str
    """The first table of the group, which the others are laid beside."""


class Layout(NamedTuple):
    """Every table is either spread, in the order in which they are laid out, or here, on the log's node.

    `everywhere` are the statements that ask every shard, with the reason why they may.
    """

    spread: Mapping[str, Spread]
    here: frozenset[str]
    everywhere: Mapping[str, str]


class _File(msgspec.Struct, forbid_unknown_fields=True):
    spread: dict[str, dict[str, str]]
    here: dict[str, list[str]]
    everywhere: dict[str, str]


@cache
def layout() -> Layout:
    """The layout of this version's schema. Raises ValueError where a table stands twice."""
    read = msgspec.convert(tomllib.loads(Path(__file__).with_name("layout.toml").read_text("utf-8")), _File)
    rows = [
        Spread(table, column, group, next(iter(tables)))
        for group, tables in read.spread.items()
        for table, column in tables.items()
    ]
    named = [row.table for row in rows] + [table for tables in read.here.values() for table in tables]
    if twice := {table for table in named if named.count(table) > 1}:
        raise ValueError(f"layout.toml: {', '.join(sorted(twice))} stands twice")
    spread = MappingProxyType({row.table: row for row in rows})
    return Layout(spread, frozenset(named) - spread.keys(), MappingProxyType(read.everywhere))
