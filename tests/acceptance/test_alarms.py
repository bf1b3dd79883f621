"""Each alarm rings when what it is for really happens, by what /metrics then says, and not before."""

import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
import yaml
from typer.testing import CliRunner

from adapters.running import health
from adapters.running.dead_letters import DeadLetter, DeadLetters, now
from adapters.running.store import Store
from hub import organisations, vitals
from hub.commands import app
from hub.neighbours import Neighbour
from hub.store import embedded
from keys import jwk
from keys.cosignature import Witness
from keys.keystore import KeyStore
from protocols import deadlines
from protocols.delegation import MAILBOX
from tests.acceptance.alarms import (
    ADAPTERS,
    REPLICATED,
    RULES,
    leaderless,
    names,
    needs_promtool,
    promtool,
    ringing,
    samples,
    small_disk,
)
from tests.acceptance.bureaus import Bureau, enrolled, get, opened
from tests.acceptance.pages import ROOT, blocks, in_shell
from tests.conftest import RunningHub, running_hub

pytestmark = needs_promtool
PAGE = (ROOT / "docs/operation.md").read_text("utf-8")
RUNBOOKS = sorted((ROOT / "docs/runbooks").glob("*.md"))
DASHBOARD = ROOT / "docs/operation/dashboard.json"
UNIT_TESTS = ROOT / "tests/acceptance/alerts_test.yaml"
ENDING = datetime.now(UTC).replace(microsecond=0) + timedelta(days=100)
HERE = Bureau("411002-health", signing=jwk.generate_signing(expires=ENDING))
THERE, GATEWAY = Bureau("440306-health"), Bureau("411000-supervision")
NOT_COUNTED_YET = {"xieban_refusals_total"}
"""Metrics that are there from the first refusal on."""


@pytest.fixture(scope="module")
def disk() -> Iterator[Path | None]:
    with small_disk() as found:
        yield found


@pytest.fixture(scope="module")
def hub(disk: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    config = tmp_path_factory.mktemp("config") / "config.toml"
    vkey = Witness("witness.example", jwk.generate_signing("Ed25519").public).vkey()
    config.write_text(f'[log]\nwitnesses = ["{vkey}"]\n')
    with running_hub("--config", str(config), data=disk) as running:
        enrolled(running, HERE, THERE, GATEWAY)
        year = deadlines.local_date(datetime.now(UTC)).year + 1
        holidays = config.with_name("holidays.toml")
        days = [day for day in range(4, 8) if datetime(year, 5, day).weekday() < 5]
        holidays.write_text(f"year = {year}\nholidays = [{', '.join(f'{year}-05-0{day}' for day in days)}]\n")
        publish = ["calendar", "publish", str(year), "--file", str(holidays), "--data", str(running.data)]
        assert CliRunner().invoke(app, publish).exit_code == 0
        yield running


@pytest.fixture
async def database(hub: RunningHub) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    yield connection
    await connection.close()


def scraped(hub: RunningHub) -> str:
    """What /metrics says once what it said before is no longer repeated."""
    time.sleep(vitals.KEPT + 0.02)
    with urllib.request.urlopen(hub.url + "/metrics", timeout=20) as answer:
        return str(answer.read().decode())


# The rules, and what they are held against -------------------------------------------------------------------


def test_promtool_finds_nothing_wrong_with_the_rules_and_their_tests(tmp_path: Path) -> None:
    for file in (RULES, UNIT_TESTS):
        shutil.copy(file, tmp_path)
    checked, tested = (
        promtool("check", "rules", str(RULES)),
        promtool("test", "rules", UNIT_TESTS.name, folder=tmp_path),
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr
    text = RULES.read_text("utf-8")
    for change in (("xieban_scheduler_silent_seconds > 30", "xieban_scheduler_silent_seconds > 9"), ("== 0", "== 2")):
        (tmp_path / RULES.name).write_text(text.replace(*change), "utf-8")
        assert promtool("test", "rules", UNIT_TESTS.name, folder=tmp_path).returncode != 0, change


def test_each_rule_has_its_page_and_each_page_its_rule() -> None:
    rules = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert [rule["annotations"]["runbook"] for rule in rules] == [f"docs/runbooks/{rule['alert']}.md" for rule in rules]
    assert sorted(rule["alert"] for rule in rules) == sorted(
        page.stem for page in (ROOT / "docs/runbooks").glob("*.md")
    )
    tested = UNIT_TESTS.read_text("utf-8")
    assert all(f'alertname="{rule["alert"]}"' in tested for rule in rules)


# What the pages have an operator do ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(hub: RunningHub, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an operator stands: the data directory and a configuration with an adapter."""
    here = tmp_path_factory.mktemp("operator")
    (here / "hub-data").symlink_to(hub.data)
    (hub.data / "attachments").mkdir(exist_ok=True)
    store = KeyStore(here / "weidu")
    store.create()
    store.add(HERE.signing, "correct horse")
    (here / "passphrase").write_text("correct horse")
    (here / "passphrase").chmod(0o600)
    (here / "files").mkdir()
    (section, _) = blocks((ROOT / "docs/adapters/README.md").read_text("utf-8"), "toml")
    (here / "config.toml").write_text(section.replace("http://127.0.0.1:8420", hub.url))
    return here


def test_the_pages_commands_do_what_it_says(hub: RunningHub, folder: Path) -> None:
    (commands,) = blocks(PAGE, "sh")
    said = in_shell(commands, folder, hub)
    assert "未发现问题 · nothing wrong" in said and '"status": 0' in said


def test_every_command_by_which_a_runbook_looks_works(
    hub: RunningHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    wanted: dict[str, None] = {}
    for page in RUNBOOKS:
        (block,) = blocks(page.read_text("utf-8"), "sh")
        wanted |= dict.fromkeys(block.strip().splitlines())
    for command in wanted:
        words, _, otherwise = command.partition(" || ")
        if words.startswith("xieban "):
            done = CliRunner().invoke(app, words.split()[1:])
            assert done.exit_code == 0 or (otherwise and isinstance(done.exception, SystemExit)), (command, done.output)
        else:
            in_shell(command, folder, hub)


# Nothing rings, and then one thing after the other ------------------------------------------------------------


async def test_of_a_hub_that_is_well_nothing_rings_but_its_witness_once_there_is_something_to_sign(
    hub: RunningHub,
) -> None:
    quiet = scraped(hub)
    assert ringing(quiet) == {"WitnessLagging"}
    await opened(HERE, "errand", "request", [THERE.id])
    until = time.monotonic() + 30
    while (told := followed(scraped(hub)))[0] != told[1]:
        assert time.monotonic() < until
    assert ringing(scraped(hub)) == {"WitnessLagging"}


def followed(text: str) -> tuple[float, float]:
    """How far the log is, and how far it was followed."""
    seen = samples(text)
    return seen["xieban_log_size", ()], seen["xieban_follower_entries", ()]


async def test_a_scheduler_without_a_leader(hub: RunningHub) -> None:
    async with leaderless(hub.data):
        silent = await asyncio.to_thread(scraped, hub)
    assert "SchedulerWithoutLeader" in ringing(silent)


async def test_a_follower_that_stands_still(hub: RunningHub, database: asyncpg.Connection) -> None:
    async with database.transaction():
        await database.execute("SELECT FROM supervision_head FOR UPDATE")
        await opened(HERE, "errand", "request", [THERE.id])
        behind = await asyncio.to_thread(scraped, hub)
    assert "FollowerBehind" in ringing(behind)


async def test_a_clock_that_is_off_against_the_databases(hub: RunningHub, database: asyncpg.Connection) -> None:
    # A database whose clock is late, for the connections that are made from now on.
    await database.execute(
        "CREATE SCHEMA late; CREATE FUNCTION late.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS"
        " $$SELECT pg_catalog.clock_timestamp() - interval '90 s'$$;"
        " ALTER DATABASE postgres SET search_path = late, pg_catalog, public"
    )
    end_others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    try:
        await database.execute(end_others)
        until = time.monotonic() + 20
        while "ClockOff" not in ringing(await asyncio.to_thread(scraped, hub)):
            assert time.monotonic() < until
    finally:
        await database.execute("ALTER DATABASE postgres RESET search_path; DROP SCHEMA late CASCADE")
        await database.execute(end_others)


async def test_commits_that_are_slow(long: None, hub: RunningHub, database: asyncpg.Connection) -> None:
    before = await asyncio.to_thread(scraped, hub)
    async with database.transaction():
        await database.execute("SELECT FROM log_head FOR UPDATE")
        sending = asyncio.create_task(opened(HERE, "errand", "request", [THERE.id]))
        await asyncio.sleep(2)
    await sending
    assert "CommitsSlow" in ringing(await asyncio.to_thread(scraped, hub), before)


async def test_calls_and_jobs_that_fail_by_the_hubs_own_fault(
    long: None, hub: RunningHub, database: asyncpg.Connection
) -> None:
    before = await asyncio.to_thread(scraped, hub)
    await database.execute("ALTER TABLE notice RENAME TO notice_away")
    try:
        assert get(HERE, "/v1/notices")[0] == 500
        await database.execute("UPDATE scheduler_job SET wanted = true WHERE job = 'reminders'")
        async with asyncio.timeout(20):
            while not await database.fetchval("SELECT problem FROM scheduler_job WHERE job = 'reminders'"):
                await asyncio.sleep(0.1)
        broken = await asyncio.to_thread(scraped, hub)
    finally:
        await database.execute("ALTER TABLE notice_away RENAME TO notice")
    assert {"CallsFailing"} <= ringing(broken, before) and {"JobFailing"} <= ringing(broken)


def test_a_disk_that_fills(hub: RunningHub, disk: Path | None) -> None:
    if disk is None:
        pytest.skip("a file system of its own needs root and mount")
    filling = disk / "filling"
    with open(filling, "wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - (20 << 20))
    full = scraped(hub)
    filling.unlink()
    assert "DiskFilling" in ringing(full)


def test_a_worker_that_dies(long: None, hub: RunningHub) -> None:
    before = scraped(hub)
    (worker,) = (pid for pid, line in _children(hub.process.pid) if b"hub.worker" in line)
    os.kill(worker, signal.SIGKILL)
    until = time.monotonic() + 30
    while True:
        with contextlib.suppress(OSError), urllib.request.urlopen(hub.url + "/readyz", timeout=5):
            break
        assert time.monotonic() < until
        time.sleep(0.05)
    assert "WorkerDied" in ringing(scraped(hub), before)


def test_a_database_that_is_away_and_then_the_hub(hub: RunningHub) -> None:
    servers = [pid for pid, line in _children(hub.process.pid) if b"postgres" in line]
    assert servers
    for pid in servers:
        os.kill(pid, signal.SIGSTOP)
    try:
        away = scraped(hub)
    finally:
        for pid in servers:
            os.kill(pid, signal.SIGCONT)
    assert "DatabaseAway" in ringing(away)
    assert ringing(None) == {"HubDown"}


def _children(parent: int) -> list[tuple[int, bytes]]:
    """All processes below one, with their command lines."""
    found: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            found.setdefault(int(stat.read_text().rpartition(")")[2].split()[1]), []).append(int(stat.parent.name))
    below = [parent]
    for pid in below:
        below += found.get(pid, [])
    return [(pid, Path(f"/proc/{pid}/cmdline").read_bytes()) for pid in below[1:]]


# What runs out ------------------------------------------------------------------------------------------------


async def test_what_runs_out_soon(hub: RunningHub, database: asyncpg.Connection) -> None:
    async with HERE.client() as here:
        await here.delegate(GATEWAY.id, [MAILBOX], datetime.now(UTC), ENDING)
    directory = await organisations.load(database)
    beside = Neighbour("440000-hub", "https://hub.example", None, None, ENDING, None)
    directory = replace(directory, neighbours={beside.hub: beside})
    year = deadlines.local_date(datetime.now(UTC)).year
    alarms = {"KeyEnding", "DelegationEnding", "NeighbourEnding"}
    for moment, expected in (
        (ENDING - timedelta(days=15), set()),
        (ENDING - timedelta(days=13), alarms),
        (ENDING + timedelta(days=1), set()),
        (datetime(year + 1, 12, 2, tzinfo=UTC), {"CalendarMissing"}),
    ):
        assert ringing(vitals.text(vitals.ending(directory, moment)).decode()) == expected, moment


# Adapters -----------------------------------------------------------------------------------------------------


def test_adapters_that_are_away_late_or_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def told(left: timedelta) -> str:
        seen = health.look("far", "far", store)
        return health.metrics(seen, [datetime.now(UTC) + left]).decode()

    store.note("alive", time.time())
    assert ringing(told(timedelta(days=15)), job=ADAPTERS) == set()
    store.failed("down/partner", "away")
    store.note("behind/411002-health", 501)
    DeadLetters(tmp_path / "dead").put(DeadLetter(way="up", reason="no", at=now()))
    wrong = told(timedelta(days=13))
    assert ringing(wrong, job=ADAPTERS) == {
        "AdapterSideAway", "AdapterBacklog", "AdapterDeadLetters", "CertificateEnding",
    }  # fmt: skip
    store.note("alive", time.time() - 60)
    assert "AdapterDown" in ringing(told(timedelta(days=15)), job=ADAPTERS)
    assert "AdapterDown" in ringing(None, job=ADAPTERS)
    store.close()


# Every name that a rule or the dashboard asks for ---------------------------------------------------------------


def test_every_query_asks_for_what_there_is(hub: RunningHub, tmp_path: Path) -> None:
    there = names(scraped(hub)) | NOT_COUNTED_YET | REPLICATED | {"up"}
    store = Store(tmp_path)
    there |= names(health.metrics(health.look("far", "far", store), [ENDING]).decode())
    store.close()
    rules = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    assert unknown([rule["expr"] for rule in rules], there) == set()
    assert unknown(["rate(xieban_batch_second_sum[5m])"], there) == {"xieban_batch_second_sum"}
    panels = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    queries = [target["expr"].replace("$instance", ".*") for panel in panels for target in panel["targets"]]
    assert len(queries) > 20 and unknown(queries, there) == set()
    shown = {name for query in queries for name in re.findall(r"\b(?:xieban_\w+|up)\b", query)}
    assert {family(name) for name in there} == {family(name) for name in shown}
    recorded = {"groups": [{"name": "x", "rules": [{"record": "x", "expr": "0"}]}]}
    for query, sound in [*((query, True) for query in queries), ("sum(rate(up[5m])", False)]:
        recorded["groups"][0]["rules"][0]["expr"] = query  # type: ignore[index]
        (tmp_path / "queries.yaml").write_text(json.dumps(recorded), "utf-8")
        assert (promtool("check", "rules", str(tmp_path / "queries.yaml")).returncode == 0) is sound, query


def family(name: str) -> str:
    """The metric that a sample is of."""
    return re.sub("_(total|sum|count|bucket)$", "", name)


def unknown(queries: list[str], there: set[str]) -> set[str]:
    """The metrics of these queries that nobody offers."""
    return {name for query in queries for name in re.findall(r"\b(?:xieban_\w+|up)\b", query)} - there
