"""The guides for the first hour: what they say is run, from top to bottom, in an empty folder."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.main import get_command

from hub.commands import app
from protocols.loading import catalogue
from tests.acceptance.pages import ROOT, blocks, shell
from tests.conftest import free_port
from tests.unit.test_threat_model import collected

GUIDES = ROOT / "docs/guides"
NAMES = sorted(path.stem for path in GUIDES.glob("*.md"))
BEHIND = "trap 'kill $(jobs -p) 2> ended; wait' EXIT\n"
"""What a page leaves running ends with the shell."""


def guide(name: str) -> str:
    return (GUIDES / f"{name}.md").read_text("utf-8")


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


def verified(folder: Path, part: str, change: Callable[[str], str]) -> bool:
    """Whether the page's verifier takes what the partner was sent, one file of it being changed."""
    files = {name: name for name in ("request.jose", "receipt.json", "hub.jwks", "sender.jwks")}
    (folder / "changed").write_text(change((folder / part).read_text()))
    command = [sys.executable, "verify.py", *(files | {part: "changed"}).values()]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def spoilt(text: str) -> str:
    """The same with a character changed: of a signature, of the log's entry, or of each key."""
    spots = [found.end() + 8 for found in re.finditer(r'"entry": ?"|"x": ?"|\.(?=[^.]*$)', text)]
    assert spots
    return "".join("AB"[char == "A"] if at in spots else char for at, char in enumerate(text))


@pytest.mark.parametrize("name", NAMES)
def test_a_guide_is_short_in_both_languages_and_names_commands_that_there_are(name: str) -> None:
    text = guide(name)
    assert re.match(r"# [^·\n]*[一-鿿][^·\n]* · [A-Z]", text)
    for heading in re.findall(r"(?m)^## (.+)$", text):
        assert re.search("[一-鿿].* · .*[A-Za-z]", heading), heading
    commands = [line for line in "".join(blocks(text, "sh")).replace("\\\n", " ").splitlines() if "xieban " in line]
    assert (name == "security") == (commands == [])
    for line in commands:
        known(re.split(r"[|>&;)]", line[line.index("xieban ") :])[0])
    for command in re.findall(r"`xieban ([a-z -]+)`", text):
        known(f"xieban {command}")


def test_an_unknown_command_or_option_is_found() -> None:
    for wrong in ("xieban protocols invent", "xieban serve --datas hub", "xieban elsewhere"):
        with pytest.raises(AssertionError):
            known(wrong)


def test_every_claim_of_the_security_page_has_its_test() -> None:
    rows = re.findall(r"(?m)^\| (?!---)(.*?) \| (.*?) \|$", guide("security"))
    claims = [(claim, named) for claim, named in rows if not named.endswith("the test")]
    assert len(rows) - len(claims) == 4 and len(claims) > 15
    for claim, named in claims:
        found = re.fullmatch(r"`([\w/]+\.py)::(\w+)`", named)
        assert found is not None and found[2] in collected(found[1]), claim


def known(line: str) -> None:
    """Whether there is such a command with such options; asserts it."""
    command = get_command(app)
    words = line.split()[1:]
    while words and hasattr(command, "commands"):
        below = command.commands.get(words[0])
        if below is None:
            assert getattr(command, "invoke_without_command", False) and words[0].startswith("-"), line
            break
        command, words = below, words[1:]
    options = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options, line


def test_a_protocol_is_made_changed_and_in_use_in_an_afternoon(tmp_path: Path, all_guides: None) -> None:
    page = "".join(blocks(guide("protocol"), "sh"))
    for port in ("8420", "8430"):
        page = page.replace(port, str(free_port()))
    said = shell(BEHIND + page, tmp_path)
    assert said.count("✓ shared-patrol 1.0") == 3 and "✓ shared-patrol 1.1" in said
    served = json.loads((tmp_path / "request.schema.json").read_text("utf-8"))
    assert served["properties"]["people"]["maximum"] == 50
    assert (tmp_path / "received/route.txt").read_bytes() == (tmp_path / "route.txt").read_bytes()
    assert "shared-patrol.arrive" in said and "on-site" in said
    assert "本办案台尚未启用" in (tmp_path / "desk.html").read_text("utf-8")
    assert "兼容 · compatible" in said
    assert (tmp_path / "pages/shared-patrol/1.0/flow.svg").is_file()


def test_an_operator_goes_through_the_year(tmp_path: Path, all_guides: None) -> None:
    page = "".join(blocks(guide("operator"), "sh")).replace("8420", str(free_port()))
    said = shell(BEHIND + page, tmp_path)
    assert "everything holds" in said and "完好" in said and "411002-health" in said
    keys = json.loads((tmp_path / "weidu.json").read_text("utf-8"))[0]["jwks"]["keys"]
    assert [key["use"] for key in keys].count("sig") == 1 and said.count(" removed") == 2


def test_the_buttons_that_the_officers_guide_names_are_those_of_the_desk() -> None:
    case = catalogue().latest("case-assistance")
    assert case is not None
    known = {one.zh for one in (*(m.declared for m in case.messages.values()), *case.flow.states.values())}
    rows = re.findall(r"(?m)^\| (?!---)[^|]+ \| ([^|]+) \|", guide("officer"))[1:]
    assert len(rows) == 5 and {row.split(" ")[0] for row in rows} <= known
    templates = "".join(
        path.read_text("utf-8") for path in (ROOT / "adapters/desk").rglob("*.*") if path.suffix != ".pyc"
    )
    for said in re.findall("“([一-鿿]+)”", guide("officer")):
        assert said in known or said in templates, said


def test_an_officer_opens_the_desk(tmp_path: Path, all_guides: None) -> None:
    shell(BEHIND + "".join(blocks(guide("officer"), "sh")).replace("8430", str(free_port())), tmp_path)
    assert "本办案台尚未启用" in (tmp_path / "desk.html").read_text("utf-8")
