"""A file of evidence is let in within its limits, whatever its directory says of its parts, and leads nowhere."""

import io
import tracemalloc
import zipfile
from collections.abc import Mapping

import pytest

from adapters.evidence import file as evidence
from adapters.evidence.file import MAX_TOTAL, EvidenceUnreadable
from tests.acceptance.hostile import ODD_JSON
from tests.fuzzing.partners import some_evidence


def archive(parts: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def parts() -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(some_evidence())) as held:
        return {name: held.read(name) for name in held.namelist()}


def saying(content: bytes, size: int, said: int) -> bytes:
    """The archive with the length of one part in both its headers replaced by another."""
    assert content.count(size.to_bytes(4, "little")) == 2
    return content.replace(size.to_bytes(4, "little"), said.to_bytes(4, "little"))


def most(content: bytes) -> int:
    """Bytes of memory that it takes to refuse it."""
    tracemalloc.start()
    try:
        with pytest.raises(EvidenceUnreadable):
            evidence.read(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LONG = (20 << 20) + 12_345


def test_evidence_is_read() -> None:
    assert evidence.read(archive(parts())) == evidence.read(some_evidence())


def test_parts_that_are_too_much_are_refused_before_one_is_unpacked() -> None:
    content = saying(archive(parts() | {"messages/0001.sealed": bytes(LONG)}), LONG, MAX_TOTAL)
    assert most(content) < 1 << 20


def test_a_part_longer_than_it_says_is_read_no_further() -> None:
    content = saying(archive(parts() | {"messages/0001.sealed": bytes(LONG)}), LONG, 10)
    assert most(content) < 4 << 20


@pytest.mark.parametrize(
    "name",
    ["../evidence.json", "/etc/passwd", "messages/../../x.jose", "messages\\0001.jose", "messages/0001.jose/",
     "keys/../x.json",
     "messages/0001.exe", "messages/00001.jose", "C:hub.jwks"],
)  # fmt: skip
def test_a_name_that_is_no_part_of_evidence_is_refused(name: str) -> None:
    with pytest.raises(EvidenceUnreadable):
        evidence.read(archive(parts() | {name: b"x"}))


@pytest.mark.parametrize("part", ["evidence.json", "hub.jwks", "messages/0001.json", "keys/411002-health.json"])
@pytest.mark.parametrize("name", ODD_JSON)
def test_json_that_parsers_disagree_on_is_refused_in_every_part(part: str, name: str) -> None:
    known = parts()
    assert part in known
    if part.startswith("keys/") and ODD_JSON[name] == b"[]":
        return  # no word on its keys: that is what it says
    with pytest.raises(EvidenceUnreadable):
        evidence.read(archive(known | {part: ODD_JSON[name]}))
