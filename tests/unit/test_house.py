"""CONTRIBUTING.md, CHANGELOG.md and docs/versioning.md: what they name is there, and what is public stays."""

import json
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest

from hub.commands import COMMANDS
from tests import public

ROOT = Path(__file__).parents[2]
CONTRIBUTING, CHANGELOG = ((ROOT / name).read_text("utf-8") for name in ("CONTRIBUTING.md", "CHANGELOG.md"))
PLACES = ("keys", "protocols", "hub", "adapters", "tests", "docs", "benchmarks", "deploy", r"\.ci")
PATH = re.compile(rf"`((?:{'|'.join(PLACES)})/[\w./-]*|[a-z]+\.toml)`")
HASH = re.compile(r"^- `([0-9a-f]{7})` (.*?)(?=^- `|\Z)", re.MULTILINE | re.DOTALL)
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


# Contributing ---------------------------------------------------------------------------------------------------


def test_every_place_on_the_map_is_there_and_every_package_is_on_it() -> None:
    paths = [path for path in PATH.findall(CONTRIBUTING.replace("NAME/VERSION/", "")) if "NAME" not in path]
    assert len(paths) > 40
    assert [path for path in paths if not (ROOT / path).exists()] == []
    folders = ("keys", "protocols", "hub", "tests", "benchmarks", "deploy", ".ci")
    connecting = (f"adapters/{one.parent.name}" for one in ROOT.glob("adapters/*/__init__.py"))
    assert [folder for folder in (*folders, *connecting) if f"`{folder}/`" not in CONTRIBUTING] == []


EXAMPLES = HASH.findall(CONTRIBUTING)


def test_there_are_five_examples() -> None:
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize(("commit", "words"), EXAMPLES, ids=[commit for commit, _ in EXAMPLES])
def test_an_example_is_of_this_history_and_touched_what_it_names(commit: str, words: str) -> None:
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        pytest.skip("the history is not here")
    git("merge-base", "--is-ancestor", commit, "HEAD")
    touched = git("show", "--format=", "--name-only", commit).splitlines()
    named = PATH.findall(words)
    assert len(named) >= 2
    assert [path for path in named if not any(one.startswith(path) for one in touched)] == []


# The changelog --------------------------------------------------------------------------------------------------


def test_the_changelog_has_the_form_of_its_kind() -> None:
    releases = re.findall(r"^## \[(.+?)\](?: - (\S+))?$", CHANGELOG, re.MULTILINE)
    assert releases[0] == ("Unreleased", "")
    days = [date.fromisoformat(day) for _, day in releases[1:]]
    assert days == sorted(days, reverse=True)
    known = tomllib.loads((ROOT / "hub/store/releases.toml").read_text("utf-8"))["release"]
    assert [version for version, _ in releases[1:]] == [one["version"] for one in reversed(known)]
    headings = re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE)
    assert headings and all(re.fullmatch(rf"\S+ ({'|'.join(KINDS)})", heading) for heading in headings)


def test_each_line_of_the_changelog_says_it_in_both_languages() -> None:
    lines = re.findall(r"^- (.+)$", CHANGELOG, re.MULTILINE)
    assert len(lines) > 20
    for line in lines:
        assert re.search(r"[\u4e00-\u9fff].*。 [A-Z].*\.$", line), line


def test_the_commands_that_the_changelog_names_are_there() -> None:
    named = set(re.findall(r"`xieban ([a-z-]+)", CHANGELOG))
    assert len(named) > 5 and named <= set(COMMANDS)


# What is public -------------------------------------------------------------------------------------------------


def test_nothing_that_is_public_is_gone() -> None:
    kept = json.loads(public.FILE.read_text("utf-8"))
    now = public.public()
    assert set(kept) == set(now) and all(len(names) > 5 for names in kept.values())
    assert public.gone(kept, now) == [], "what is public is deprecated first: docs/versioning.md"


def test_what_goes_is_seen() -> None:
    now = public.public()
    without = {part: [name for name in names if name != "xieban serve --port"] for part, names in now.items()}
    assert public.gone(now, without) == ["commands: xieban serve --port"]
