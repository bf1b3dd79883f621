"""The generated documents: those in the repository are what the catalogue says, and pictures that can be read."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from protocols import documents
from protocols.documents import diagram
from protocols.loading import Protocol, catalogue

FOLDER = Path(__file__).parents[3] / "docs/protocols"
PROTOCOLS = sorted(catalogue().protocols.values(), key=lambda protocol: protocol.name)
SVG = "{http://www.w3.org/2000/svg}"


def test_the_documents_are_those_of_the_catalogue(tmp_path: Path) -> None:
    documents.write(catalogue(), tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    there = {path.relative_to(FOLDER): path.read_bytes() for path in FOLDER.rglob("*") if path.is_file()}
    assert sorted(made) == sorted(there), "make documents"
    assert [name for name in made if made[name] != there[name]] == [], "make documents"


def test_what_is_no_more_is_removed_and_other_files_stay(tmp_path: Path) -> None:
    (tmp_path / "gone/1.0").mkdir(parents=True)
    (tmp_path / "gone/1.0/request.md").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    documents.write(catalogue(), tmp_path)
    assert not (tmp_path / "gone").exists() and (tmp_path / "notes.txt").exists()


def test_every_link_leads_somewhere() -> None:
    for page in FOLDER.rglob("*.md"):
        for target in re.findall(r"\]\(([^)]+)\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), (page, target)


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.name)
def test_a_picture_shows_every_state_and_nothing_overlaps(protocol: Protocol) -> None:
    picture = ElementTree.fromstring(diagram.draw(protocol.flow))
    width, height = float(picture.attrib["width"]), float(picture.attrib["height"])
    texts = picture.findall(f".//{SVG}text")
    shown = " ".join(text.text or "" for text in texts)
    for name, state in protocol.flow.states.items():
        assert name in shown and state.zh in shown and state.en in shown
    for move in protocol.flow.moves:
        if move.to not in (None, *move.states):
            assert move.message in shown
    boxes = [
        [float(rect.attrib[key]) for key in ("x", "y", "width", "height")]
        for rect in picture.findall(f".//{SVG}rect")
        if rect.attrib.get("rx") == "6"
    ]
    assert len(boxes) == len(protocol.flow.states)
    for (_, y, _, tall), (_, below, _, _) in pairwise(boxes):
        assert y + tall < below
    left, wide = boxes[0][0], boxes[0][2]
    for text in texts:
        x, y, size = float(text.attrib["x"]), float(text.attrib["y"]), diagram.breadth(text.text or "")
        anchor = text.attrib.get("text-anchor", "start")
        start = x - {"start": 0, "middle": size / 2, "end": size}[anchor]
        assert start >= 0 and start + size <= width and 0 < y <= height
        inside = anchor == "middle"
        assert not inside or (left <= start and start + size <= left + wide), text.text
