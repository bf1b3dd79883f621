"""Two implementations of JSON Schema agree on every schema of the catalogue, on examples and on what they turn into."""

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.envelope import ENVELOPE
from protocols.loading import MessageType, catalogue
from protocols.schemas import Schema
from tests.catalogue_files import SCHEMAS, name, read


def ecma_pattern(validator: Any, pattern: str, instance: Any, schema: Any) -> Iterator[jsonschema.ValidationError]:
    """`pattern` by ECMA-262 (2020-12 Core §6.4): `$` is the very end, where Python's allows a newline after it."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), instance):
        yield jsonschema.ValidationError("does not match")


PLAIN: Any = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"pattern": ecma_pattern})  # type: ignore[no-untyped-call]
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["2030-02-29", "2028-02-29", "0000-01-01", "2030-1-1", "ordinary", "411002-health", "410000-hub"]),
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


def both(document: dict[str, Any]) -> tuple[jsonschema_rs.Draft202012Validator, Any]:
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    return jsonschema_rs.Draft202012Validator(document, validate_formats=True), PLAIN(document, format_checker=checker)


VALIDATORS = {path: both(read(path)) for path in SCHEMAS}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [found for key in keys for found in ((*path, key), *places(value[key], (*path, key)))]


def turned(data: st.DataObject, example: Any) -> Any:
    """The example with one place replaced, removed, doubled, or its text changed by a character."""
    value = copy.deepcopy(example)
    found = places(value)
    if not found:
        return data.draw(VALUES)
    path = data.draw(st.sampled_from(found))
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    key, old = path[-1], inner[path[-1]]
    how = data.draw(st.sampled_from(["replace", "remove", "add", "edit"]))
    if how == "remove":
        del inner[key]
    elif how == "add":
        inner.append(old) if isinstance(inner, list) else inner.__setitem__(data.draw(TEXTS), old)
    elif how == "edit" and isinstance(old, str):
        at = data.draw(st.integers(0, len(old)))
        inner[key] = (
            old[:at] + data.draw(st.sampled_from(["", "\n", " ", "0", "9", "-", "Z", "é", "\u0660"])) + old[at + 1 :]
        )
    else:
        inner[key] = data.draw(VALUES)
    return value


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_both_judge_what_an_example_turns_into_alike(path: Path, data: st.DataObject) -> None:
    fast, plain = VALIDATORS[path]
    document = read(path)
    value = data.draw(st.sampled_from(document["examples"] + document["x-counter-examples"]))
    for _ in range(data.draw(st.integers(0, 3))):
        value = turned(data, value)
    assert fast.is_valid(value) == plain.is_valid(value), value


def loaded() -> list[tuple[str, Schema]]:
    """Every schema as the hub uses it, the sealed part put in."""
    messages = [m for protocol in catalogue().protocols.values() for m in protocol.messages.values()]
    schemas = [schema for m in messages for schema in (m.schema, m.sealed_schema) if schema is not None]
    return [(schema.id.rpartition("/v1/")[2], schema) for schema in schemas]


@pytest.mark.parametrize("schema", [pytest.param(schema, id=name) for name, schema in loaded()])
def test_both_judge_the_examples_alike_as_the_hub_loads_them(schema: Schema) -> None:
    _, plain = both(schema.document)
    for example in schema.document["examples"]:
        assert schema.accepts(example) and plain.is_valid(example)
        assert schema.findings(example) == []
    for example in schema.document["x-counter-examples"]:
        assert not schema.accepts(example) and not plain.is_valid(example)
        assert schema.findings(example)


SEALED = {
    "sealed": {
        "protected": "eyJlbmMiOiJBMjU2R0NNIn0",
        "recipients": [
            {"header": {"kid": "a", "epk": {"kty": "OKP", "crv": "X25519", "x": "b"}}, "encrypted_key": "c"},
        ],
        "iv": "d", "ciphertext": "e", "tag": "f",
    },
    "sealed_digest": "sha-256:" + "0" * 64,
}  # fmt: skip


def sealed_messages() -> list[MessageType]:
    messages = [m for protocol in catalogue().protocols.values() for m in protocol.messages.values()]
    return [message for message in messages if message.sealed_schema is not None]


@pytest.mark.parametrize("message", sealed_messages(), ids=lambda message: message.name)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_both_judge_the_sealed_part_alike(message: MessageType, data: st.DataObject) -> None:
    _, plain = both(message.schema.document)
    whole = message.schema.document["examples"][0] | SEALED
    assert message.schema.accepts(whole) and plain.is_valid(whole)
    value = turned(data, whole)
    assert message.schema.accepts(value) == plain.is_valid(value), value


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_both_judge_envelopes_alike_but_for_moments_that_python_can_not_hold(data: st.DataObject) -> None:
    example = {
        "specversion": "1.0", "id": "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7", "source": "411002-health",
        "type": "case-assistance.request", "dataschema": "https://xieban.example/v1/x",
        "subject": "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8", "time": "2026-06-01T12:00:00.123456+08:00",
        "recipients": "440306-health 441900123-health", "hub": "410000-hub", "data": {},
        "causationid": "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d9", "expirytime": "2026-06-01t04:00:00z",
        "datacontenttype": "application/json",
    }  # fmt: skip
    value = turned(data, example)
    _, plain = both({key: below for key, below in ENVELOPE.document.items() if key != "$id"})
    fast = ENVELOPE.accepts(value)
    moments = [str(value.get(name, "")) for name in ("time", "expirytime")] if isinstance(value, dict) else []
    # The year 0 and leap seconds are RFC 3339 and not Python's: jsonschema's format check leaves them out.
    if not any(moment.startswith("0000") or ":60" in moment for moment in moments):
        assert fast == plain.is_valid(value), value
