"""The help of every command, as it is printed."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from hub.commands import app

ASKED = """
import contextlib, io, json, sys
from hub.commands import main
for words in json.load(sys.stdin):
    sys.argv, said, status = ["xieban", *words, "--help"], io.StringIO(), None
    with contextlib.redirect_stdout(said):
        try:
            main()
        except SystemExit as end:
            status = end.code
    print(json.dumps([status, said.getvalue()]))
"""
"""The command line called again and again by one process: what is shown is the same, and loaded once."""


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, by the words that call it."""
    group = group or typer.main.get_command(app)
    yield path, group
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, (*path, name))


COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def shown() -> dict[tuple[str, ...], str]:
    """What the help of each command prints; nothing on standard error."""
    environment = os.environ | {"PYTHONPATH": os.getcwd(), "COLUMNS": "80", "TERMINAL_WIDTH": "80"}
    done = subprocess.run(
        [sys.executable, "-c", ASKED], input=json.dumps(list(COMMANDS)), env=environment, capture_output=True,
        text=True, timeout=90, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {status for status, _ in answers} == {0}
    return {path: said for path, (_, said) in zip(COMMANDS, answers, strict=True)}


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "xieban")
def test_help_names_every_option_in_both_languages_with_examples(
    shown: dict[tuple[str, ...], str], path: tuple[str, ...]
) -> None:
    command, said = COMMANDS[path], shown[path]
    for parameter in command.params:
        longest = max((name for name in parameter.opts if name.startswith("--")), key=len, default="")
        assert longest in said
    assert "…" not in said
    assert any("\u4e00" <= char <= "\u9fff" for char in said)
    assert hasattr(command, "commands") or "Examples" in said
