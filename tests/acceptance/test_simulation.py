"""`xieban simulate`: a small country at a real hub holds its prediction, and a wrong prediction does not."""

import json
import os
import signal
import subprocess
import time
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from adapters.client import Client
from adapters.simulation import checking, prediction
from adapters.simulation.assumptions import assumptions, costs
from adapters.simulation.cast import Cast, Plan
from adapters.simulation.journal import Journal, Read, Taken
from hub.commands import simulate
from hub.usage import tree
from keys.errors import Fault
from protocols import attachments
from tests.acceptance.pages import ROOT, blocks
from tests.conftest import XIEBAN, RunningHub, running_hub

COUNTRY = ("--counties", "2", "--people", "5000", "--seed", "5")
SPAN = ("--from", "2026-03-02", "--days", "2", "--draws", "6")
FIRST, LAST = date(2026, 3, 2), date(2026, 3, 3)
SPEED = "30000"
PAGE = (ROOT / "docs/scaling.md").read_text("utf-8").partition("\n## 模拟")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def country(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose organisations the hub knows."""
    folder = tmp_path_factory.mktemp("simulation") / "country"
    made = hub.run("simulate", "organisations", str(folder), *COUNTRY, "--json")
    assert made.returncode == 0, made.stderr
    done = hub.run("organisations", "import", json.loads(made.stdout)["file"], "--data", str(hub.data))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def played(hub: RunningHub, country: Path) -> dict[str, Any]:
    """A slice that was killed in the middle, played to its end."""
    command = [*XIEBAN, "simulate", "play", str(country), "--hub", hub.url, *SPAN, "--speed", SPEED, "--json"]
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ)
    journal, until = Journal(Cast(country).journal(FIRST, LAST)), time.monotonic() + 60
    while sum(isinstance(line, Taken) for line in journal.lines()) < 40:
        assert started.poll() is None and time.monotonic() < until, started.communicate()[1]
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    done = hub.run(*command[len(XIEBAN) :])
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_a_small_slice_holds_its_prediction(played: dict[str, Any]) -> None:
    assert played["holds"] and played["refused"] == []
    findings = {finding["name"]: finding for finding in played["findings"]}
    assert findings["messages"]["measured"] == played["messages"] > 100
    assert findings["unread at the end"]["measured"] >= 0
    assert findings["files"]["measured"] > 0 < findings["fetched"]["measured"]
    assert {"errand.request", "information-bulletin.accept", "open, day 2", "busiest hour"} <= findings.keys()


async def test_the_hub_holds_each_message_once_that_the_journal_says_was_taken(
    hub: RunningHub, country: Path, played: dict[str, Any]
) -> None:
    cast = Cast(country)
    cases = {case.name: case for case in cast.plan.traffic().cases(FIRST, LAST)}
    taken = [line for line in Journal(cast.journal(FIRST, LAST)).lines() if isinstance(line, Taken)]
    assert len({(line.case, line.step) for line in taken}) == len(taken) == played["messages"]
    noted = Counter(f"{cases[line.case].protocol}.{cases[line.case].steps[line.step].message}" for line in taken)
    held, sizes = dict[str, str](), dict[str, int]()
    for organisation in cast.plan.traffic().country.organisations():
        member = cast.member(organisation)
        async with Client(hub.url, member.id, member.signing, [member.sealing]) as client:
            for item in (await client.poll(0, limit=500)).items:
                held[item.event.id] = item.event.type
                if attachments.named(item.event.data):
                    (manifest,) = attachments.manifests(client.unseal(item))
                    sizes[item.event.id] = manifest.size
    assert Counter(held.values()) == noted
    planned = [cases[line.case].steps[line.step].file for line in taken]
    assert sorted(sizes.values()) == sorted(size for size in planned if size) != []
    read = [
        size for line in Journal(cast.journal(FIRST, LAST)).lines() if isinstance(line, Read) for size in line.files
    ]
    assert read and not Counter(read) - Counter(sizes.values())
    assert not (cast.folder / "files").exists()
    audited = hub.run("audit", "--data", str(hub.data))
    assert audited.returncode == 0, audited.stdout


def test_what_was_played_again_is_not_sent_again(hub: RunningHub, country: Path, played: dict[str, Any]) -> None:
    again = hub.run("simulate", "play", str(country), "--hub", hub.url, *SPAN, "--speed", SPEED, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["messages"] == played["messages"]


def test_a_wrong_prediction_is_found(country: Path, played: dict[str, Any]) -> None:
    cast = Cast(country)
    found = checking.measured(cast, FIRST, LAST)
    assert found.tally.messages == played["messages"]
    plan = cast.plan
    wrong = prediction.expected(Plan(plan.seed, plan.year, plan.counties, 5 * plan.people), FIRST, LAST, 6)
    failed = {finding.name for finding in checking.compare(wrong, 6, found) if not finding.holds}
    assert {"cases", "messages", "deliveries"} <= failed


def test_a_play_that_does_not_fit_is_refused_with_a_reason(hub: RunningHub, country: Path, tmp_path: Path) -> None:
    for arguments, reason in (
        (["play", str(tmp_path), "--hub", hub.url], "holds no simulation"),
        (["play", str(country), "--hub", hub.url, "--from", "2025-12-30"], "not in 2026"),
        (["play", str(country), "--hub", hub.url, "--from", "yesterday"], "--from is a day"),
        (["predict", "--year", "2040"], "not published"),
        (["check", "--from", "2026-02-17", "--days", "1", "--rate", "1", "--counties", "2"], "rest days"),
    ):
        found = CliRunner().invoke(simulate.app, arguments).exception
        assert isinstance(found, Fault) and reason in found.detail
    stranger = Cast.make(tmp_path / "stranger", Plan(6, 2026, 2, 1_000)).folder
    done = hub.run("simulate", "play", str(stranger), "--hub", hub.url)
    assert done.returncode == 1 and f"organisations import {stranger}" in done.stderr, done.stderr


def test_a_file_that_the_hub_refuses_is_noted_and_stops_nobody_else(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[attachments]\nlargest = 300_000\n")
    with running_hub("--config", str(config)) as hub:
        folder = tmp_path / "country"
        assert hub.run("simulate", "organisations", str(folder), *COUNTRY).returncode == 0
        records, options = str(Cast(folder).records), ("--data", str(hub.data), "--config", str(config))
        assert hub.run("organisations", "import", records, *options).returncode == 0
        played = ("simulate", "play", str(folder), "--hub", hub.url, *SPAN, "--speed", SPEED, "--json")
        done = hub.run(*played)
    found = json.loads(done.stdout)
    assert done.returncode == 1 and found["refused"] and all("too-large" in one for one in found["refused"])
    lines = list(Journal(Cast(folder).journal(FIRST, LAST)).lines())
    assert sum(isinstance(line, Taken) for line in lines) > 20 and any(isinstance(line, Read) for line in lines)


def test_a_check_that_is_ended_ends_its_hub_with_it() -> None:
    command = [*XIEBAN, "simulate", "check", "--counties", "2", "--rate", "50", "--minutes", "5"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not any(b"hub.worker" in command_of(pid) for pid in tree(process.pid)):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    below = tree(process.pid)[1:]
    process.terminate()
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 143 and "stopped" in said and "Traceback" not in said
    assert not [pid for pid in below if command_of(pid)]


def command_of(pid: int) -> bytes:
    """The command line of a process, empty where there is none any more."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def test_a_year_is_foretold_without_a_hub(hub: RunningHub, tmp_path: Path) -> None:
    picture = tmp_path / "year.svg"
    done = hub.run(
        "simulate", "predict", "--counties", "10", "--sample", "200", "--times", "1", "--core-hour", "0.05", "--json",
        "--picture", str(picture),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    (size,) = found["sizes"]
    assert len(size["by_day"]) == len(size["open"]) == 365
    assert size["machine"]["price_million"] > 0
    assert found["assumptions"].keys() == {*assumptions(), *costs()}
    assert picture.read_text("utf-8").startswith("<svg")
    told = hub.run("simulate", "predict", "--counties", "10", "--sample", "200")
    assert told.returncode == 0 and "100×" in told.stdout and "turnaround" in told.stdout


def test_the_page_lists_every_assumption_with_its_number_and_its_source() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if line.startswith("| `")]
    listed = {row[0].strip("`"): row for row in rows}
    for found in (*assumptions().values(), *costs().values()):
        _, number, unit, source, _ = listed[found.name]
        assert (number, unit, source) == (f"{found.value:,.10g}", found.unit, found.source), found.name
    assert listed.keys() == {*assumptions(), *costs()}


def test_the_commands_of_the_page_are_commands() -> None:
    lines = [line for block in blocks(PAGE, "sh") for line in block.splitlines() if "xieban simulate" in line]
    commands = get_command(simulate.app).commands  # type: ignore[attr-defined]
    assert {line.split()[2] for line in lines} == commands.keys()
    for line in lines:
        options = {option for parameter in commands[line.split()[2]].params for option in parameter.opts}
        assert {word for word in line.split()[3:] if word.startswith("--")} <= options, line


def test_the_largest_size_that_fits_holds_its_prediction_with_its_cost(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--simulation-long"):
        pytest.skip("with --simulation-long")
    done = subprocess.run([*XIEBAN, "simulate", "check", "--minutes", "2", "--json"], capture_output=True, check=False)
    assert done.returncode == 0, (done.stdout[-3000:], done.stderr)
    names = {finding["name"] for finding in json.loads(done.stdout)["findings"]}
    assert {
        "CPU µs a message",
        "bytes stored a message",
        "bytes of log a message",
        "bytes kept of an attached byte",
    } <= names
