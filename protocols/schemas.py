"""A JSON Schema (2020-12) that judges: compiled once, every finding with a JSON Pointer."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, NamedTuple

import jsonschema_rs

MAX_FINDINGS = 50


class Problem(NamedTuple):
    """What does not fit at a place: the keyword (JSON Schema 2020-12) that is not met, and what it asks for."""

    pointer: str
    keyword: str
    limit: str | int | float | None = None


class Schema:
    """One schema, compiled when it first judges; values never stand in its findings, for they may name a person."""

    __slots__ = ("_compiled", "document", "id")

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self.id = str(document.get("$id", ""))
        self._compiled: jsonschema_rs.Draft202012Validator | None = None

    def compiled(self) -> jsonschema_rs.Draft202012Validator:
        """The compiled schema. Raises ValueError when it is not a valid one."""
        if self._compiled is None:
            self._compiled = jsonschema_rs.Draft202012Validator(
                self.document, validate_formats=True, mask="the value", offline=True
            )
        return self._compiled

    def accepts(self, instance: Any) -> bool:
        """Whether `instance` fits."""
        return bool(self.compiled().is_valid(instance))

    def findings(self, instance: Any, prefix: str = "") -> list[dict[str, str]]:
        """All that does not fit, as `{"pointer", "keyword", "message"}`, at most 50; `prefix` leads each pointer."""
        found = []
        for error in self.compiled().iter_errors(instance):
            said = {"keyword": error.kind.name, "message": error.message[:300]}
            found.append({"pointer": prefix + _pointer(error), **said})
            if len(found) == MAX_FINDINGS:
                break
        return found

    def problems(self, instance: Any) -> list[Problem]:
        """The same findings by keyword, at most 50, for those who say them in other words."""
        errors = islice(self.compiled().iter_errors(instance), MAX_FINDINGS)
        return [Problem(_pointer(error), error.kind.name, _limit(error)) for error in errors]


def _limit(error: jsonschema_rs.ValidationError) -> str | int | float | None:
    value = error.kind.value
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    return value if isinstance(value, str | int | float) else None


def _pointer(error: jsonschema_rs.ValidationError) -> str:
    steps = [str(step) for step in error.instance_path]
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        steps.append(str(kind.property).strip('"'))
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties) and kind.unexpected:
        steps.append(str(kind.unexpected[0]))
    return "".join("/" + step.replace("~", "~0").replace("/", "~1")[:100] for step in steps)
