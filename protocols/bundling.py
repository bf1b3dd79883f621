"""Definitions that several messages share, put into each schema that refers to them.

A published schema is whole: whoever validates with it needs no second file (JSON Schema 2020-12 Core, §9.3).
"""

from collections.abc import Iterator, Mapping
from typing import Any

_LOCAL = "#/$defs/"


def bundle(document: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with every definition of `shared` that it refers to, directly or through another, in its `$defs`.

    Its own definitions stand before the shared ones of the same name. What neither has stays missing, for the
    validator to say so.
    """
    own = document.get("$defs", {})
    if not isinstance(own, Mapping):
        return dict(document)
    found = dict(own)
    wanted = list(_references(document))
    while wanted:
        name = wanted.pop()
        if name not in found and name in shared:
            found[name] = shared[name]
            wanted += _references(shared[name])
    return dict(document) | ({"$defs": found} if found else {})


def resolve(document: Mapping[str, Any], schema: Any) -> Mapping[str, Any]:
    """What a schema within `document` says, a reference to a definition of it followed; empty where that says nothing.

    What stands beside the reference stands before what the definition says.
    """
    seen: set[str] = set()
    found = schema if isinstance(schema, Mapping) else {}
    while isinstance(target := found.get("$ref"), str) and target.startswith(_LOCAL) and target not in seen:
        seen.add(target)
        definitions = document.get("$defs")
        below = definitions.get(target.removeprefix(_LOCAL)) if isinstance(definitions, Mapping) else None
        beside = {keyword: value for keyword, value in found.items() if keyword != "$ref"}
        found = {**below, **beside} if isinstance(below, Mapping) else beside
    return found


def _references(value: Any) -> Iterator[str]:
    """The local definitions that a schema refers to, at any depth."""
    if isinstance(value, Mapping):
        target = value.get("$ref")
        if isinstance(target, str) and target.startswith(_LOCAL):
            yield target.removeprefix(_LOCAL)
        for below in value.values():
            yield from _references(below)
    elif isinstance(value, (list, tuple)):
        for below in value:
            yield from _references(below)
