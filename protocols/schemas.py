"""A JSON Schema (2020-12) ready to judge: compiled once, every finding with a JSON Pointer."""

from collections.abc import Mapping
from typing import Any

import jsonschema_rs

MAX_FINDINGS = 50


class Schema:
    """One compiled schema; values never stand in its findings, for they may name a person."""

    __slots__ = ("_validator", "document", "id")

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Compile `document`; raises ValueError when it is not a valid schema."""
        self.document = dict(document)
        self.id = str(document.get("$id", ""))
        self._validator = jsonschema_rs.Draft202012Validator(
            self.document, validate_formats=True, mask="the value", offline=True
        )

    def accepts(self, instance: Any) -> bool:
        """Whether `instance` fits."""
        return bool(self._validator.is_valid(instance))

    def findings(self, instance: Any, prefix: str = "") -> list[dict[str, str]]:
        """All that does not fit, as `{"pointer", "message"}`, at most 50; `prefix` leads each pointer."""
        found = []
        for error in self._validator.iter_errors(instance):
            found.append({"pointer": prefix + _pointer(error), "message": error.message[:300]})
            if len(found) == MAX_FINDINGS:
                break
        return found


def _pointer(error: jsonschema_rs.ValidationError) -> str:
    steps = [str(step) for step in error.instance_path]
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.Required):
        steps.append(str(kind.property).strip('"'))
    elif isinstance(kind, jsonschema_rs.ValidationErrorKind.AdditionalProperties) and kind.unexpected:
        steps.append(str(kind.unexpected[0]))
    return "".join("/" + step.replace("~", "~0").replace("/", "~1")[:100] for step in steps)
