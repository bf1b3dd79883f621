"""`xieban protocols` for those who write one: new, check, diff, document."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hub.commands import app
from keys.errors import Fault
from protocols import beginning, checking, loading
from protocols.refusals import CatalogueInvalid
from tests.conftest import XIEBAN


def xieban(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*XIEBAN, "protocols", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_a_new_protocol_checks_at_once_and_can_be_changed(tmp_path: Path) -> None:
    done = xieban("new", "shared-patrol", "--zh", "联合巡查", "--en", "Shared patrol", "--to", str(tmp_path))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "shared-patrol/1.0"
    for place in (folder, folder.parent, tmp_path):
        checked = xieban("check", str(place))
        assert (checked.returncode, checked.stdout) == (0, "✓ shared-patrol 1.0\n"), checked.stderr
    made = loading.read_protocol(folder)
    assert made.flow.title.zh == "联合巡查" and checking.findings(made) == []
    flow = folder / "flow.toml"
    flow.write_text(
        flow.read_text("utf-8").replace('owner = "responder", due = "accept"', 'owner = "responder"', 1), "utf-8"
    )
    broken = xieban("check", str(folder))
    assert broken.returncode == 1 and "state requested has no deadline" in broken.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["Shared Patrol"], "lower-case"),
        (["../patrol"], "lower-case"),
        (["horizontal"], "lower-case"),
        (["patrol", "--zh", 'a"b'], "without quotes"),
        (["patrol", "--en", "two\nlines"], "one line"),
        (["there"], "already"),
    ],
)
def test_a_new_protocol_that_can_not_be_leaves_nothing(tmp_path: Path, arguments: list[str], said: str) -> None:
    (tmp_path / "there").mkdir()
    done = xieban("new", *arguments, "--to", str(tmp_path))
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["there"] and not any((tmp_path / "there").iterdir())


def test_the_shipped_catalogue_is_copied_and_never_over_another(tmp_path: Path) -> None:
    to = tmp_path / "catalogue"
    done = xieban("copy", str(to))
    assert done.returncode == 0 and str(to) in done.stdout, done.stderr
    assert loading.load(to).protocols.keys() == loading.catalogue().protocols.keys()
    (to / "mine").write_text("kept")
    again = xieban("copy", str(to))
    assert again.returncode == 1 and "nothing was changed" in again.stderr and "Traceback" not in again.stderr
    assert (to / "mine").read_text() == "kept"


def test_what_is_no_protocol_is_said(tmp_path: Path) -> None:
    done = xieban("check", str(tmp_path))
    assert done.returncode == 1 and str(tmp_path) in done.stderr


def test_a_protocol_of_ones_own_is_known_where_it_is_named(tmp_path: Path) -> None:
    beginning.begin("patrol", "巡查", "Patrol", tmp_path)
    absent = within("show", "patrol").exception
    assert isinstance(absent, Fault) and "XIEBAN_PROTOCOLS" in absent.detail
    assert "legal_basis" in within("show", "patrol", "request", "--example", own=tmp_path).stdout
    listed = {one["name"] for one in json.loads(within("list", "--json", own=tmp_path).stdout)["items"]}
    assert listed == {name for name, _ in loading.catalogue().protocols} | {"patrol"}
    nowhere = within("list", own=tmp_path / "none").exception
    assert isinstance(nowhere, CatalogueInvalid) and str(tmp_path / "none") in nowhere.detail


def test_what_is_checked_without_a_folder_and_what_is_still_to_be_written_are_said(tmp_path: Path) -> None:
    flow = beginning.begin("patrol", "巡查", "Patrol", tmp_path) / "flow.toml"
    elsewhere = within("check")
    assert "patrol" not in elsewhere.stdout and "what is shipped" in elsewhere.stderr
    assert "summary" in within("check", str(tmp_path)).stderr
    text = re.sub("(?m)^summary = .*", 'summary = { zh = "一同巡查。", en = "Patrol." }', flow.read_text("utf-8"))
    flow.write_text(text, "utf-8")
    done = within("check", str(tmp_path))
    assert (done.stdout, done.stderr) == ("✓ patrol 1.0\n", "")


def within(*arguments: str, own: Path | None = None) -> Result:
    """The same in this process, which knows the shipped catalogue already."""
    return CliRunner(env={"XIEBAN_PROTOCOLS": str(own or "")}).invoke(app, ["protocols", *arguments])


MISTAKES: list[tuple[str, Callable[[str], str | bytes], str]] = [
    (
        "flow.toml",
        lambda t: t.replace(', en = "Requested"', ""),
        "[states] requested: Object missing required field `en`",
    ),
    (
        "flow.toml",
        lambda t: t.replace('clock = "runs"', 'clock = "ticks"', 1),
        "[states] requested: Invalid enum value 'ticks'",
    ),
    (
        "flow.toml",
        lambda t: t.replace("days = 7", 'days = "7"'),
        "[deadlines] accept: Expected `int`, got `str` - at `$.days`",
    ),
    ("flow.toml", lambda t: t.replace('due = "accept"', 'due = "acept"'), "state requested has no deadline acept"),
    (
        "flow.toml",
        lambda t: t.replace("result  =", 'seen = { zh = "已阅", en = "Seen" }\nresult ='),
        "no open/seen.json",
    ),
    ("flow.toml", lambda t: t.encode("gbk"), "flow.toml: is not in UTF-8"),
    ("open/accept.json", lambda t: t.replace('"type": "object",', '"type": "object"'), "line 8 column 3"),
    ("open/accept.json", lambda t: t.replace('"required": [],', '"title": "再说",'), "the member 'title' twice"),
    (
        "open/accept.json",
        lambda t: re.sub(r',\s+"x-counter-examples".*', "", t),
        "an array of data that it must refuse",
    ),
]


@pytest.mark.parametrize(("file", "mistake", "said"), MISTAKES)
def test_a_mistake_is_named_with_its_place(
    tmp_path: Path, file: str, mistake: Callable[[str], str | bytes], said: str
) -> None:
    path = beginning.begin("patrol", "巡查", "Patrol", tmp_path) / file
    changed = mistake(path.read_text("utf-8"))
    path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())
    with pytest.raises(CatalogueInvalid) as found:
        checking.require(loading.load(tmp_path))
    assert said in found.value.detail, found.value.detail


def test_what_an_editor_of_another_system_writes_is_read(tmp_path: Path) -> None:
    folder = beginning.begin("patrol", "巡查", "Patrol", tmp_path)
    for file in (folder / "flow.toml", folder / "open/accept.json"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    checking.require(loading.load(tmp_path))


def test_two_versions_are_compared(tmp_path: Path) -> None:
    old, new = tmp_path / "case-assistance/1.0", tmp_path / "case-assistance/1.1"
    shutil.copytree(loading.FOLDER / "case-assistance/1.0", old)
    shutil.copytree(old, new)
    flow = new / "flow.toml"
    flow.write_text(flow.read_text("utf-8").replace('version = "1.0"', 'version = "1.1"', 1), "utf-8")
    same = xieban("diff", str(old), str(new))
    assert same.returncode == 0 and "compatible" in same.stdout
    schema = new / "open/decline.json"
    schema.write_text(schema.read_text("utf-8").replace('"const": "duplicate"', '"const": "asked-before"'), "utf-8")
    schema.write_text(schema.read_text("utf-8").replace('"reason": "duplicate"', '"reason": "asked-before"'), "utf-8")
    broken = xieban("diff", str(old), str(new), "--json")
    assert broken.returncode == 1
    found = {(one["old"], one["new"], one["breaks"]) for one in json.loads(broken.stdout)["differences"]}
    assert found == {("duplicate", None, "senders"), (None, "asked-before", "readers")}
    assert xieban("diff", "case-assistance", "1.0", "1.0").returncode == 0
    assert xieban("diff", "case-assistance").returncode != 0
    assert "no protocol" in xieban("diff", "case-assistance", "1.0", "9.9").stderr


def test_documents_are_written_for_a_catalogue_of_ones_own(tmp_path: Path) -> None:
    xieban("new", "patrol", "--to", str(tmp_path / "own"))
    done = xieban("document", "--to", str(tmp_path / "docs"), "--catalogue", str(tmp_path / "own"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "docs/patrol/1.0/flow.svg").exists()
    assert "## 密封部分" in (tmp_path / "docs/patrol/1.0/request.md").read_text("utf-8")
