"""What changed between two versions, and for whom it breaks."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from protocols import comparing, loading
from protocols.comparing import Difference

ANSWER, REQUEST = "open/answer.json", "open/request.json"


def changed(
    tmp_path: Path, file: str, change: Callable[[dict[str, Any]], object] | None = None, old: str = "", new: str = ""
) -> list[Difference]:
    """What is found when one file of case-assistance is changed."""
    for part in ("case-assistance", "horizontal"):
        shutil.copytree(loading.FOLDER / part, tmp_path / part)
    path = tmp_path / "case-assistance/1.0" / file
    text = path.read_text("utf-8")
    if change is not None:
        document = json.loads(text)
        change(document)
        path.write_text(json.dumps(document), "utf-8")
    else:
        assert old in text
        path.write_text(text.replace(old, new, 1), "utf-8")
    shipped = loading.read_protocol(loading.FOLDER / "case-assistance/1.0")
    return comparing.differences(shipped, loading.read_protocol(path.parents[len(Path(file).parts) - 1]))


def test_a_version_beside_itself_has_no_differences() -> None:
    for protocol in loading.catalogue().protocols.values():
        assert comparing.differences(protocol, protocol) == []


@pytest.mark.parametrize(
    ("file", "change", "expected"),
    [
        (ANSWER, lambda d: d["properties"].update(days={"type": "integer", "minimum": 0, "maximum": 9}),
            Difference("messages/answer/open/days", None, "field", "readers")),
        (ANSWER, lambda d: (d["properties"].pop("documents"), d.update(examples=[{}])),
            Difference("messages/answer/open/documents", "field", None, "senders")),
        (ANSWER, lambda d: d["required"].append("outcome"),
            Difference("messages/answer/open/outcome", "optional", "required", "senders")),
        (REQUEST, lambda d: d["required"].remove("matter"),
            Difference("messages/request/open/matter", "required", "optional", "readers")),
        (ANSWER, lambda d: d["properties"]["outcome"]["oneOf"].pop(0),
            Difference("messages/answer/open/outcome", "established", None, "senders")),
        (ANSWER, lambda d: d["properties"]["outcome"]["oneOf"].append({"const": "moved", "title": "已迁出"}),
            Difference("messages/answer/open/outcome", None, "moved", "readers")),
        (REQUEST, lambda d: d["properties"]["facts"].update(maxItems=10),
            Difference("messages/request/open/facts/maxItems", "20", "10", "senders")),
        (REQUEST, lambda d: d["properties"]["facts"].update(maxItems=30),
            Difference("messages/request/open/facts/maxItems", "20", "30", "readers")),
        (REQUEST, lambda d: d["properties"]["facts"].update(minItems=2),
            Difference("messages/request/open/facts/minItems", "1", "2", "senders")),
        ("definitions.json", lambda d: d["fact"]["oneOf"].pop(),
            Difference("messages/request/open/facts/items", "site-inspection", None, "senders")),
    ],
)  # fmt: skip
def test_a_change_of_a_schema_is_told(
    tmp_path: Path, file: str, change: Callable[[dict[str, Any]], object], expected: Difference
) -> None:
    assert expected in changed(tmp_path, file, change)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("days = 7,", "days = 9,", Difference("deadlines/accept/days", "7", "9", None)),
        ('owner = "opener",    due = "close"', 'owner = "responder", due = "close"',
            Difference("states/answered/owner", "opener", "responder", "both")),
        ('from = ["in-progress"]', 'from = ["in-progress", "requested"]',
            Difference("moves/requested/responder/answer", None, "allowed", "readers")),
        ('"remind", ', "", Difference("messages/remind", "declared", None, "senders")),
        ('decline = { zh = "不予协查", en = "Decline", sealed = "optional" }',
            'decline = { zh = "不予协查", en = "Decline", sealed = "required" }',
            Difference("messages/decline/sealed", "optional", "required", "senders")),
        ('requires = ["outcome"]', 'requires = ["outcome", "documents"]',
            Difference("moves/in-progress/responder/answer/requires", '["outcome"]', '["outcome","documents"]',
                "senders")),
        ('requires = ["outcome"]', 'requires = ["outcome"]\nlimit = 3',
            Difference("moves/in-progress/responder/answer/limit", None, "3", "senders")),
        ('closed      = { zh = "已办结"', 'closed      = { zh = "办结了"',
            Difference("states/closed/zh", "已办结", "办结了", None)),
    ],
)  # fmt: skip
def test_a_change_of_the_flow_is_told(tmp_path: Path, old: str, new: str, expected: Difference) -> None:
    assert expected in changed(tmp_path, "flow.toml", old=old, new=new)
