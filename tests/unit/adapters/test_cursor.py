"""The cursor file: whole or not at all, and of one mailbox."""

import os
from pathlib import Path

import pytest

from adapters.client import Cursor, CursorInvalid

HUB, WE = "410000-hub", "411002-health"


def test_a_cursor_begins_at_zero_and_keeps_what_was_saved_last(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "cursor")
    assert cursor.load(HUB, WE) == 0
    cursor.save(HUB, WE, 7)
    cursor.save(HUB, WE, 12)
    assert Cursor(str(cursor.path)).load(HUB, WE) == 12
    assert os.listdir(tmp_path) == ["cursor"]


@pytest.mark.parametrize(("hub", "organisation"), [(HUB, "440306-health"), ("440000-hub", WE)])
def test_a_cursor_is_of_one_mailbox(tmp_path: Path, hub: str, organisation: str) -> None:
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(HUB, WE, 7)
    with pytest.raises(CursorInvalid, match=WE):
        cursor.load(hub, organisation)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"7",
        b"{",
        b"\xff",
        b'{"hub":"410000-hub","organisation":"411002-health"}',
        b'{"hub":"410000-hub","organisation":"411002-health","position":"7"}',
        b'{"hub":"410000-hub","organisation":"411002-health","position":-1}',
        b'{"hub":"410000-hub","organisation":"411002-health","position":7,"more":1}',
    ],
)
def test_a_file_that_is_no_cursor_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "cursor").write_bytes(content)
    with pytest.raises(CursorInvalid):
        Cursor(tmp_path / "cursor").load(HUB, WE)
    assert (tmp_path / "cursor").read_bytes() == content


def test_what_an_interrupted_save_left_behind_does_no_harm(tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(HUB, WE, 7)
    (tmp_path / f"cursor.{os.getpid()}.new").write_bytes(b'{"hub":"41')
    assert cursor.load(HUB, WE) == 7
    cursor.save(HUB, WE, 8)
    assert cursor.load(HUB, WE) == 8


def test_a_place_that_can_not_be_written_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(CursorInvalid):
        Cursor(tmp_path / "absent" / "cursor").save(HUB, WE, 1)
    (tmp_path / "folder").mkdir()
    with pytest.raises(CursorInvalid):
        Cursor(tmp_path / "folder").load(HUB, WE)
