"""What the flow language says beyond one case between two: each fault of it is found when a flow is loaded."""

import shutil
from pathlib import Path

import pytest

from protocols import checking, loading
from protocols.refusals import CatalogueInvalid

TRACE, TIP, INFORMATION, ASSISTANCE = "reverse-trace", "tip-off-referral", "information-bulletin", "case-assistance"
PROGRESS = "progress-bulletin"


def problems(tmp_path: Path, protocol: str, *changes: tuple[str, str]) -> str:
    """What is found in a protocol whose flow file was changed."""
    for part in (protocol, "horizontal"):
        shutil.copytree(loading.FOLDER / part, tmp_path / part)
    file = tmp_path / protocol / "1.0/flow.toml"
    text = file.read_text("utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    file.write_text(text, "utf-8")
    try:
        checking.require(loading.load(tmp_path))
    except CatalogueInvalid as fault:
        found: list[str] = fault.data["problems"]  # type: ignore[assignment]
        return "\n".join(found)
    return ""


@pytest.mark.parametrize(
    ("protocol", "old", "new", "finding"),
    [
        (TRACE, 'of = ["supervisor"]', 'of = ["emperor"]', "for the unknown roles ['emperor']"),
        (TRACE, 'links = { field = "case" }', 'links = { field = "file" }', "reads the field file"),
        (TRACE, 'links = { field = "case" }', 'links = { fields = "case" }', "fields"),
        (TRACE, "each = true ", "each = true\nlimit = 1 #", ""),
        (TRACE, 'to = "reviewing"\nundone = "@back"\n\n[[moves]]\nmessage = "supplement"',
            'undone = "@back"\n\n[[moves]]\nmessage = "supplement"', "is each one's say and leads nowhere"),
        (TRACE, 'owner = ["responder", "participant"]', 'owner = "responder"', "where not each of them is to act"),
        (TRACE, 'owner = ["responder", "participant"]', 'owner = ["responder", "clerk"]',
            "owned by the unknown role clerk"),
        (TRACE, 'owner = ["responder", "participant"]', "owner = []", "state stating has no owner"),
        (TRACE, 'among = "parties"', 'among = "newcomers"', "gives away what only the responder holds"),
        (TRACE, 'role = "responder", from = "responsible"', 'role = "participant", from = "responsible"',
            "chooses among the parties for the role participant"),
        (TRACE, 'message = "order"\nby = "opener"', 'message = "order"\nof = ["supervisor"]\nby = "opener"',
            "order opens no case and says who may open one"),
        (TRACE, 'per = "sender"', 'per = "month"', "per"),
        (TIP, 'sealed = "required", sealed_to = "newcomer"', 'sealed = "none", sealed_to = "newcomer"', "forward"),
        (TIP, 'refer      = { zh = "转办", en = "Referral", sealed = "required", sealed_to = "recipients"',
            'refer      = { zh = "转办", en = "Referral", sealed = "required", sealed_to = "newcomer"',
            "refer is sealed to a newcomer and brings none in"),
        (TIP, "padding = 16", "padding = 0", "padding"),
        (INFORMATION, 'scope = "opening", after = "period"', 'scope = "opening"', "is counted from a month"),
        (INFORMATION, 'scope = "opening", after = "period"', 'scope = "state", after = "period"',
            "is counted from a month"),
        (INFORMATION, 'unit = "calendar", scope = "opening"', 'unit = "working", scope = "opening"',
            "in calendar days"),
        (INFORMATION, 'after = "period"', 'after = "month"', "reads the field month"),
        (INFORMATION, 'due = "review"', 'due = "report"', "belongs to each message"),
        (INFORMATION, 'en = "Does not conform", from_hub = true', 'en = "Does not conform"',
            "nonconforming is moved by a hub, which does not send it"),
        (INFORMATION, 'en = "Return" }', 'en = "Return", from_hub = true }', "return is sent by a hub alone"),
        (PROGRESS, 'en = "Uphold", from_hub = true', 'en = "Uphold"', ""),
    ],
)  # fmt: skip
def test_a_flow_that_says_something_impossible_is_found(
    tmp_path: Path, protocol: str, old: str, new: str, finding: str
) -> None:
    found = problems(tmp_path, protocol, (old, new))
    assert finding in found if finding else found == "", found


def test_two_that_wait_for_each_other_are_found(tmp_path: Path) -> None:
    """The responder may answer once; a reopened case then waits for an answer that can't be sent."""
    found = problems(
        tmp_path,
        ASSISTANCE,
        ('requires = ["outcome"]', 'requires = ["outcome"]\nlimit = 1'),
        ('"forward", ', ""),
        (', "exception"', ""),
        (
            'message = "decline"\nby = "responder"\nfrom = ["requested"]',
            'message = "decline"\nby = "responder"\nfrom = ["requested"]',
        ),
    )
    assert "a case can be stuck in in-progress (answer sent 1" in found


def test_a_message_that_no_situation_allows_is_found(tmp_path: Path) -> None:
    """Nobody can agree to a date where none can be proposed."""
    found = problems(tmp_path, ASSISTANCE, ('"propose-date", ', ""))
    assert "agree-date can never be sent, whatever was sent before" in found
