"""`docs/operation.md` and the runbooks: their commands run, their words held against what there is."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest
import yaml
from click import Group

from hub.commands import COMMANDS, app
from hub.config import Config
from keys import jwk
from keys.keystore import KeyStore
from tests.acceptance.alarms import RULES
from tests.acceptance.bureaus import Bureau, enrolled
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import RunningHub

PAGE = (ROOT / "docs/operation.md").read_text("utf-8")
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
HEADINGS = ["含义 · What it means", "用户察觉什么 · What users notice", "如何查看 · How to see it",
            "怎么办 · What to do", "何时算结束 · How to know it is over"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an operator stands: the data directory and a configuration with an adapter."""
    here = tmp_path_factory.mktemp("operator")
    (here / "hub-data").symlink_to(hub.data)
    (hub.data / "attachments").mkdir(exist_ok=True)
    who = Bureau("411002-health")
    enrolled(hub, who)
    store = KeyStore(here / "weidu")
    store.create()
    store.add(who.signing, "correct horse")
    store.add(jwk.generate_encryption(), "correct horse")
    (here / "passphrase").write_text("correct horse")
    (here / "passphrase").chmod(0o600)
    (here / "files").mkdir()
    (section,) = blocks((ROOT / "docs/adapters/README.md").read_text("utf-8"), "toml")
    (here / "config.toml").write_text(section.replace("http://127.0.0.1:8420", hub.url))
    return here


def test_the_pages_commands_do_what_it_says(hub: RunningHub, folder: Path) -> None:
    (commands,) = blocks(PAGE, "sh")
    said = in_shell(commands, folder, hub)
    assert "未发现问题 · nothing wrong" in said and '"status": 0' in said


def test_every_command_by_which_a_runbook_looks_works(hub: RunningHub, folder: Path) -> None:
    wanted: dict[str, None] = {}
    for page in RUNBOOKS:
        (block,) = blocks(page.read_text("utf-8"), "sh")
        wanted |= dict.fromkeys(block.strip().splitlines())
    for command in wanted:
        in_shell(command, folder, hub)


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
    import typer

    name, *rest = words
    if name not in COMMANDS:
        return False
    found = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    return not isinstance(found, Group) or not rest or rest[0] in found.commands


def test_the_page_lists_every_alarm_and_its_examples_can_be_used() -> None:
    rules = [rule["alert"] for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert re.findall(r"^\| \[`(\w+)`\]\(runbooks/\1\.md\)", PAGE, re.MULTILINE) == rules
    (settings,) = blocks(PAGE, "toml")
    assert msgspec.convert(tomllib.loads(settings), Config).telemetry.sample == 10
    (scraping,) = blocks(PAGE, "yaml")
    jobs = {one["job_name"] for one in yaml.safe_load(scraping)["scrape_configs"]}
    assert jobs == set(re.findall(r'job="([\w-]+)"', RULES.read_text("utf-8")))
    assert not known(["doctors"]) and not known(["schedule", "lists"])
