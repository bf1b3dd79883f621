"""What the README says is run, word for word: its commands, its lines of SDK, its calls."""

import re
import shlex
import sys
from pathlib import Path

import aiohttp
import pytest

from protocols import legal_basis, loading
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import RunningHub, running_hub

README = (ROOT / "README.md").read_text("utf-8")


def test_a_case_is_worked_by_the_readmes_commands_and_lines_as_they_stand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, keys, operator, opening, seeing, writing = blocks(README, "sh")
    serve, *imports = operator.strip().splitlines()
    assert serve == "xieban serve --data hub-data --port 8420 &"
    *looking, audit = seeing.strip().splitlines()
    secret = dict([shlex.split(keys.splitlines()[0])[1].split("=")])
    monkeypatch.setenv("XIEBAN_PASSPHRASE", secret["XIEBAN_PASSPHRASE"])
    (tmp_path / "hub-data").mkdir()
    with running_hub(data=tmp_path / "hub-data") as hub:
        in_shell(keys, tmp_path, hub, **secret)
        in_shell("\n".join(imports), tmp_path, hub, **secret)
        assert "有效 · valid" in in_shell(opening, tmp_path, hub, **secret)
        (example,) = blocks(README, "python")
        (tmp_path / "weidu.py").write_text(example.replace("http://127.0.0.1:8420", hub.url), "utf-8")
        said = in_shell(f"{shlex.quote(sys.executable)} weidu.py", tmp_path, hub, **secret)
        assert said.startswith("case-assistance.request ")
        exports = opening.splitlines()[0]
        seen = in_shell("\n".join([exports, *looking]), tmp_path, hub, **secret)
        assert "in-progress" in seen and "case-assistance.accept" in seen
        assert "everything holds" in in_shell(audit, tmp_path, hub, **secret)
        assert "✓ shared-patrol 1.0" in in_shell(writing, tmp_path, hub, **secret)


def test_the_lines_of_sdk_are_few() -> None:
    (example,) = blocks(README, "python")
    lines = [line for line in example.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) <= 10


def test_the_readmes_two_commands_are_those_of_make_and_of_ci() -> None:
    commands = [line.split("#")[0].strip() for line in blocks(README, "sh")[0].strip().splitlines()]
    assert commands == ["make demo", "make test"]
    makefile, ci = (ROOT / "Makefile").read_text("utf-8"), (ROOT / ".ci/run").read_text("utf-8")
    for command in commands:
        assert re.search(rf"^{command.removeprefix('make ')}:", makefile, re.MULTILINE)
    assert "make test" in ci.splitlines()


async def test_the_calls_that_the_readme_names_are_the_hubs(hub: RunningHub) -> None:
    named = re.findall(r"`(GET|POST) (/[^`]+)`", README)
    assert len(named) >= 8
    async with aiohttp.ClientSession(hub.url) as session, session.get("/openapi.json") as answer:
        paths = (await answer.json())["paths"]
    for method, path in named:
        assert path == "/openapi.json" or method.lower() in paths[path], path


def test_what_the_readme_says_it_does_not_do_holds() -> None:
    titles = [protocol.flow.title.zh for protocol in loading.catalogue().protocols.values()]
    assert len(titles) == 9 and all(title in README for title in titles)
    (repealed,) = re.findall(r"`(sc-[0-9]+-[0-9]+)`", README)
    assert legal_basis.register()[repealed].repealed is not None
