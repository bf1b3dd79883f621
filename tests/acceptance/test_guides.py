"""The guides for the first hour: what they say is run, from top to bottom, in an empty folder."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.pages import ROOT, blocks, shell

GUIDES = ROOT / "docs/guides"
BEHIND = "trap 'kill $(jobs -p) 2> ended; wait' EXIT\n"
"""What a page leaves running ends with the shell."""


def guide(name: str) -> str:
    return (GUIDES / f"{name}.md").read_text("utf-8")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_partner_gets_from_nothing_to_a_closed_case(tmp_path: Path) -> None:
    page = "".join(blocks(guide("partner"), "sh")).replace("8440", str(free_port()))
    said = shell(BEHIND + page, tmp_path)
    assert "case-assistance.request\n" in said
    assert said.count("✓") == 2 and "Verified" not in said
    assert '"state"' not in said and (tmp_path / "state").read_text() == "closed\n"
    assert "duplicate-sends" in (tmp_path / "requirements.txt").read_text()
    for part in ("request.jose", "receipt.json", "hub.jwks", "sender.jwks"):
        assert verified(tmp_path, part, lambda text: text)
        assert not verified(tmp_path, part, spoilt), part


def test_a_protocol_is_made_changed_and_in_use_in_an_afternoon(tmp_path: Path) -> None:
    page = "".join(blocks(guide("protocol"), "sh"))
    for port in ("8420", "8430"):
        page = page.replace(port, str(free_port()))
    said = shell(BEHIND + page, tmp_path)
    assert said.count("✓ shared-patrol 1.0") == 3 and "✓ shared-patrol 1.1" in said
    served = json.loads((tmp_path / "request.schema.json").read_text("utf-8"))
    assert served["properties"]["people"]["maximum"] == 50
    assert "兼容 · compatible" in said
    assert (tmp_path / "pages/shared-patrol/1.0/flow.svg").is_file()


def verified(folder: Path, part: str, change: Callable[[str], str]) -> bool:
    """Whether the page's verifier takes what the partner was sent, one file of it being changed."""
    files = {name: name for name in ("request.jose", "receipt.json", "hub.jwks", "sender.jwks")}
    (folder / "changed").write_text(change((folder / part).read_text()))
    command = [sys.executable, "verify.py", *(files | {part: "changed"}).values()]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def spoilt(text: str) -> str:
    """The same with one character changed: of a signature, of the log's entry, or of a key."""
    found = re.search(r'"entry": ?"|"x": ?"|\.(?=[^.]*$)', text)
    assert found is not None
    at = found.end() + 8
    return text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
