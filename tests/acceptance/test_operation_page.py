"""`docs/operation.md` and the runbooks: their commands run, their words held against what there is."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.main import get_command

from hub.commands import COMMANDS, app
from hub.config import Config
from tests.acceptance.alarms import RULES
from tests.acceptance.pages import ROOT, blocks

PAGE = (ROOT / "docs/operation.md").read_text("utf-8")
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
HEADINGS = ["含义 · What it means", "用户察觉什么 · What users notice", "如何查看 · How to see it",
            "怎么办 · What to do", "何时算结束 · How to know it is over"]  # fmt: skip


@pytest.mark.parametrize("page", RUNBOOKS, ids=lambda page: page.stem)
def test_a_runbook_says_all_there_is_to_say_of_things_that_there_are(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == HEADINGS
    assert re.match(rf"# \S.* · {page.stem}\n", text)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (page.parent / link).exists(), link
    for command in re.findall(r"xieban ([a-z][a-z -]*[a-z])", text):
        assert known(command.split()), command


def known(words: list[str]) -> bool:
    """Whether there is such a command."""
    name, *rest = words
    if name not in COMMANDS:
        return False
    below = getattr(get_command(app).commands[name], "commands", None)  # type: ignore[attr-defined]
    return below is None or not rest or rest[0] in below


def test_the_page_lists_every_alarm_and_its_examples_can_be_used() -> None:
    rules = [rule["alert"] for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| \[`(\w+)`\]\(runbooks/\1\.md\)", PAGE, re.MULTILINE) == rules
    (settings,) = blocks(PAGE, "toml")
    assert msgspec.convert(tomllib.loads(settings), Config).telemetry.sample == 10
    (scraping,) = blocks(PAGE, "yaml")
    jobs = {one["job_name"] for one in yaml.safe_load(scraping)["scrape_configs"]}
    assert jobs == set(re.findall(r'job="([\w-]+)"', RULES.read_text("utf-8")))
    assert not known(["doctors"]) and not known(["schedule", "lists"])
