"""The catalogue as data: closed schemas, no free text in the open, both languages, no forbidden notion."""

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import jsonschema_rs
import pytest

from protocols import closed, legal_basis
from protocols.loading import FOLDER
from protocols.notions import walk
from tests.catalogue_files import DEFINITIONS, FLOWS, SCHEMAS, name, read

OPEN = [path for path in SCHEMAS if path.parent.name == "open"]
SEALED = [path for path in SCHEMAS if path.parent.name == "sealed"]


def subschemas(schema: Any, pointer: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, examples and constants left out."""
    if not isinstance(schema, dict):
        return
    yield pointer, schema
    for keyword in ("properties", "$defs"):
        for key, below in schema.get(keyword, {}).items():
            yield from subschemas(below, f"{pointer}/{keyword}/{key}")
    for keyword in ("oneOf", "anyOf", "allOf", "prefixItems"):
        for number, below in enumerate(schema.get(keyword, [])):
            yield from subschemas(below, f"{pointer}/{keyword}/{number}")
    for keyword in ("items", "additionalProperties", "not", "if", "then", "else"):
        yield from subschemas(schema.get(keyword), f"{pointer}/{keyword}")


def chinese(text: object) -> bool:
    return isinstance(text, str) and any("\u4e00" <= character <= "\u9fff" for character in text)


def english(text: object) -> bool:
    return isinstance(text, str) and bool(text) and not chinese(text)


def test_every_message_of_every_flow_has_its_schemas_and_there_are_no_others() -> None:
    for path in FLOWS:
        written = tomllib.loads(path.read_text("utf-8"))
        messages, adopted = written["messages"], set(written.get("horizontal", {}).get("messages", []))
        sealed = {message for message, declared in messages.items() if declared.get("sealed", "none") != "none"}
        files, sealed_files = (
            {file.stem for file in path.parent.glob(f"{part}/*.json")} for part in ("open", "sealed")
        )
        assert files <= set(messages) <= files | adopted
        assert sealed_files <= sealed <= sealed_files | adopted


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_a_schema_is_valid_2020_12_and_bears_no_id(path: Path) -> None:
    schema = read(path)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "$id" not in schema
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_every_object_is_closed(path: Path) -> None:
    for pointer, schema in subschemas(read(path)):
        if schema.get("type") == "object" or "properties" in schema:
            assert schema.get("additionalProperties") is False, pointer
            assert set(schema["required"]) <= set(schema["properties"]), pointer
            assert "patternProperties" not in schema, pointer


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_every_schema_says_what_a_value_is(path: Path) -> None:
    for pointer, schema in subschemas(read(path)):
        assert schema.keys() & {"type", "oneOf", "const", "$ref"}, pointer
        if schema.get("type") == "array":
            assert {"items", "minItems", "maxItems"} <= schema.keys(), pointer
        if schema.get("type") == "integer":
            assert {"minimum", "maximum"} <= schema.keys(), pointer


@pytest.mark.parametrize("path", OPEN, ids=name)
def test_the_open_part_is_closed_and_has_no_free_text(path: Path) -> None:
    assert list(closed.open_findings(read(path))) == []


@pytest.mark.parametrize("path", SEALED, ids=name)
def test_the_sealed_part_is_closed_and_every_text_in_it_has_a_length(path: Path) -> None:
    assert list(closed.sealed_findings(read(path))) == []


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_no_format_decides_alone_for_implementations_differ(path: Path) -> None:
    for pointer, schema in subschemas(read(path)):
        assert "format" not in schema or (schema["format"] == "date" and "pattern" in schema), pointer


# What could name a person, tried on every text that an open part takes.
NAMING = [
    "张三", "zhang san", "Zhang San", "zhang-san", "zhangsan", "ZHANG SAN", "13800000000", "+86 138 0000 0000",
    "110101199003070000", "11010119900307000x", "11010119900307000X", "E00000000", "豫K00000", "a@example.cn",
    "https://example.cn/zhangsan", "1990-03-07 zhang san", "2026-06-01\n张三", "", " ", "示例路1号",
]  # fmt: skip


@pytest.mark.parametrize("path", OPEN, ids=name)
def test_nothing_that_names_a_person_fits_a_text_of_the_open_part(path: Path) -> None:
    for pointer, schema in subschemas(read(path)):
        if schema.get("type") == "string" and "enum" not in schema:
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            assert [text for text in NAMING if validator.is_valid(text)] == [], pointer


@pytest.mark.parametrize("path", OPEN, ids=name)
def test_the_open_part_leaves_the_sealed_part_to_the_loader(path: Path) -> None:
    schema = read(path)
    assert not {"sealed", "sealed_digest"} & schema["properties"].keys()
    assert not {"sealed", "sealed_digest", "base64url"} & schema.get("$defs", {}).keys()


@pytest.mark.parametrize("path", OPEN, ids=name)
def test_a_text_in_chinese_never_fits_the_open_part(path: Path) -> None:
    validator = jsonschema_rs.Draft202012Validator(read(path), validate_formats=True)
    for property_name in read(path)["properties"]:
        for example in read(path)["examples"]:
            assert not validator.is_valid({**example, property_name: "张三，住示例路1号"})


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_titles_and_descriptions_are_in_both_languages(path: Path) -> None:
    schema = read(path)
    assert chinese(schema["description"]) and english(schema["x-description-en"])
    assert chinese(schema["title"]) and english(schema["x-title-en"])
    for pointer, below in subschemas(schema):
        named = pointer.split("/")[-2:-1] == ["properties"] or "const" in below
        if named and "$ref" not in below:
            assert chinese(below["title"]) and english(below["x-title-en"]), pointer


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_codes_are_kebab_case_and_unique(path: Path) -> None:
    for pointer, schema in subschemas(read(path)):
        codes = [choice["const"] for choice in schema.get("oneOf", [])]
        assert len(codes) == len(set(codes)), pointer
        assert all(code == code.lower() and code.replace("-", "").isalnum() for code in codes), pointer


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_examples_fit_and_counter_examples_do_not(path: Path) -> None:
    schema = read(path)
    assert schema["examples"] and schema["x-counter-examples"]
    fast = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    plain = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    for example in schema["examples"]:
        assert fast.is_valid(example) and plain.is_valid(example), example
    for example in schema["x-counter-examples"]:
        assert not fast.is_valid(example) and not plain.is_valid(example), example


@pytest.mark.parametrize("path", OPEN, ids=name)
def test_an_example_names_a_basis_that_was_not_repealed(path: Path) -> None:
    for example in read(path)["examples"]:
        basis = example.get("legal_basis")
        if basis is not None:
            found = legal_basis.register()[basis["instrument"]]
            assert found.repealed is None
            assert basis["article"] in [use.article for use in found.uses]


def test_every_legal_basis_fits_the_field_that_names_it() -> None:
    schema = read(FOLDER / "case-assistance/1.0/open/request.json")
    validator = jsonschema_rs.Draft202012Validator(schema)
    for instrument in legal_basis.register():
        assert validator.is_valid({**schema["examples"][0], "legal_basis": {"instrument": instrument}})


@pytest.mark.parametrize("path", SCHEMAS, ids=name)
def test_persons_in_examples_are_clearly_fictional(path: Path) -> None:
    def persons(value: Any) -> Iterator[dict[str, Any]]:
        if isinstance(value, dict):
            if "phone" in value:
                yield value
            for below in value.values():
                yield from persons(below)
        elif isinstance(value, list):
            for below in value:
                yield from persons(below)

    for person in persons(read(path)["examples"]):
        assert "示例" in person["name"]
        assert "0000" in person["phone"]
        assert "0000" in person.get("id_number", "0000")


@pytest.mark.parametrize("path", SCHEMAS + FLOWS, ids=name)
def test_no_file_carries_a_forbidden_notion(path: Path) -> None:
    document = tomllib.loads(path.read_text("utf-8")) if path.suffix == ".toml" else read(path)
    assert list(walk(document)) == []
    assert list(walk(path.stem)) == []


def test_a_date_that_python_can_not_hold_never_fits() -> None:
    schema = read(FOLDER / "horizontal/1.0/open/propose-date.json")
    validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
    for text in ("0000-01-01", "9999-12-31", "2030-02-29", "2030-00-10", "２030-01-01", "2030-01-01\n"):
        assert not validator.is_valid({"date": text, "reason": "complexity"}), text


@pytest.mark.parametrize("path", DEFINITIONS, ids=name)
def test_every_shared_definition_is_used_and_none_stands_twice(path: Path) -> None:
    definitions = json.loads(path.read_text("utf-8"))
    files = SCHEMAS if path.parent.parent.name == "horizontal" else list(path.parent.glob("*/*.json"))
    documents = {file: json.loads(file.read_text("utf-8")) for file in files}
    texts = [*map(json.dumps, documents.values()), *map(json.dumps, definitions.values())]
    for definition in definitions:
        assert any(f'"#/$defs/{definition}"' in text for text in texts), definition
    for file, document in documents.items():
        assert not document.get("$defs", {}).keys() & definitions.keys(), file
