"""A back-up of a desk is unpacked where it should be, and is never more than it is long."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from adapters.desk.desk import BackupInvalid, unpack

STORE = {"desk.db": b"store"}


def archive(parts: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in parts.items():
            made.writestr(zipfile.ZipInfo(name), content, method)
    return out.getvalue()


def overlapping(parts: int, kernel: int) -> bytes:
    """Stored parts each of which holds all that follow, local headers included: a file that unfolds to its square."""
    body, listed = bytes(kernel), []
    for number in range(parts):
        name = b"desk.db" if number == 0 else b"enclosures/%08d.sealed" % number
        crc, size = zlib.crc32(body), len(body)
        local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, 0, 0, 33, crc, size, size, len(name), 0) + name
        body = local + body
        listed.append((name, crc, size, len(body)))
    whole, directory = len(body), b""
    for name, crc, size, from_end in listed:
        directory += struct.pack("<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, 0, 0, 33, crc, size, size, len(name), 0, 0, 0, 0,
                                 0, whole - from_end) + name  # fmt: skip
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, parts, parts, len(directory), whole, 0)
    return body + directory + end


def unpacked(content: bytes, folder: Path) -> dict[str, bytes]:
    """What lies in the folder afterwards, and nowhere else."""
    (folder / "archive").write_bytes(content)
    unpack(folder / "archive", folder / "into")
    files = {path for path in folder.rglob("*") if path.is_file()} - {folder / "archive"}
    return {str(path.relative_to(folder / "into")): path.read_bytes() for path in files}


def test_what_was_packed_is_unpacked(tmp_path: Path) -> None:
    parts = STORE | {"enclosures/ab12.sealed": b"sealed"}
    assert unpacked(archive(parts), tmp_path) == parts


def test_one_part_of_the_overlapping_kind_is_a_back_up(tmp_path: Path) -> None:
    """So that the next test fails for what it says."""
    assert unpacked(overlapping(1, 100), tmp_path) == {"desk.db": bytes(100)}


def test_parts_that_lie_over_one_another_are_refused_before_any_is_written(tmp_path: Path) -> None:
    content = overlapping(200, 1 << 16)
    assert len(content) < 100_000
    with pytest.raises(BackupInvalid, match="not longer than the whole"):
        unpacked(content, tmp_path)
    assert not (tmp_path / "into").exists()


@pytest.mark.parametrize(
    "name",
    ["../desk.db", "/etc/passwd", "enclosures/../../x.sealed", "enclosures/x/y.sealed", "enclosures\\x.sealed",
     "enclosures/.sealed", "enclosures/..sealed", "desk.db/x.sealed", "C:desk.db", "desk.db-wal", "enclosures/"],
)  # fmt: skip
def test_a_path_that_a_back_up_does_not_have_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BackupInvalid):
        unpacked(archive(STORE | {name: b"x"}), tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.name not in ("archive", "into", "desk.db", "enclosures")]


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\5\6" + bytes(18), archive({"enclosures/a.sealed": b"x"}), archive(STORE)[:-10], archive(STORE)[10:],
     archive({"desk.db": bytes(1 << 20)}, zipfile.ZIP_DEFLATED)],
    ids=["nothing", "empty", "without a store", "cut", "beheaded", "compressed"],
)  # fmt: skip
def test_what_is_no_back_up_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(BackupInvalid):
        unpacked(content, tmp_path)
