"""`docs/log-entries.md` against the entries themselves: every kind, every field, and an example that is one."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from keys import jwk
from protocols import entries
from protocols.entries import Entry

DOCUMENT = (Path(__file__).parents[3] / "docs/log-entries.md").read_text("utf-8")
KINDS: dict[str, type[Any]] = {kind.__struct_config__.tag: kind for kind in get_args(Entry)}
SECTIONS = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", DOCUMENT, re.M | re.S))
FIELD_ROW = re.compile(r"^\| `([a-z]+)` \| ([^|]+) \| ([^|]+) \|$", re.M)


def example(kind: str) -> str:
    (found,) = re.findall(r"```json\n(.*?)```", SECTIONS[kind], re.S)
    return str(found)


def fields(kind: str) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(KINDS[kind])]


def test_every_kind_has_its_section_and_its_line_in_the_table_in_the_same_order() -> None:
    assert list(SECTIONS) == list(KINDS)
    assert re.findall(r"^\| \[`([a-z-]+)`\]\(#\1\)", DOCUMENT, re.M) == list(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_explained_in_both_languages(kind: str) -> None:
    rows = FIELD_ROW.findall(SECTIONS[kind])
    assert [name for name, _, _ in rows] == fields(kind)
    assert all(re.search("[\u4e00-\u9fff]", zh) and not re.search("[\u4e00-\u9fff]", en) for _, zh, en in rows)


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_is_such_an_entry_with_every_field_in_its_place(kind: str) -> None:
    text = example(kind)
    entry = entries.decode(text.encode())
    assert type(entry) is KINDS[kind]
    assert list(json.loads(text)) == ["kind", *fields(kind)]
    compact = json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":")).encode()
    assert entries.encode(entry) == compact
    assert entries.as_object(compact) == json.loads(text)


def test_the_key_in_the_example_is_a_public_key_with_its_thumbprint() -> None:
    entry = entries.decode(example("key-added").encode())
    assert isinstance(entry, entries.KeyAdded)
    key = jwk.parse_public(entry.jwk)
    assert key.kid == entry.kid


def test_an_entry_is_no_longer_than_a_tile_can_hold() -> None:
    with pytest.raises(ValueError, match="65535"):
        entries.encode(entries.Acknowledged("440306-health", 1, 2, "2026-06-01T04:00:00.000000Z", "a" * 65_535))


@pytest.mark.parametrize("leaf", [b"", b"{}", b"[]", b"\xff", b'{"kind":"rumour"}', b'{"kind":"fetched"}', b"[" * 9999])
def test_what_is_no_entry_is_refused(leaf: bytes) -> None:
    with pytest.raises(ValueError):
        entries.decode(leaf)
