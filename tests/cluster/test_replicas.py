"""Supervisors' reads from a replica: it answers while it keeps up, and no answer depends on it."""

import asyncio
import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub.config import ConfigInvalid, parse
from tests.acceptance.alarms import PROMTOOL, REPLICATED, names, ringing
from tests.acceptance.bureaus import Bureau, get, opened
from tests.acceptance.examined import found
from tests.acceptance.pages import ROOT, blocks
from tests.cluster.databases import Database, dsn, pair
from tests.cluster.nodes import nodes
from tests.cluster.test_nodes import beside, enroll
from tests.conftest import RunningHub

CASE = "case-assistance"
HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
NATION = Bureau("100000-supervision", roles=("supervisor", "auditor"))
FIGURES = f"/v1/statistics/turnaround?by=responder&opener={HERE.id}"
CASES = "/v1/statistics/turnaround/cases"
WITHIN = 30.0
ASKED = 40


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[Database, Database]]:
    with pair(synchronous=False) as both:
        yield both


@pytest.fixture(scope="module")
def hub(databases: tuple[Database, Database]) -> Iterator[RunningHub]:
    primary, replica = databases
    with nodes(dsn(primary), 1, f"postgresql://postgres@127.0.0.1:{replica.port}/postgres") as (one,):
        enroll([one], HERE, THERE, NATION)
        yield one


async def test_figures_come_from_the_replica_and_the_primary_is_left_alone(
    hub: RunningHub, databases: tuple[Database, Database]
) -> None:
    await counted(hub, 1)
    before = [scans(one) for one in databases]
    asked = numbers(hub)
    for _ in range(ASKED):
        assert figures()["rows"][0]["figure"]["cases"] == 1
    status, behind = get(NATION, CASES)
    assert (status, len(behind["items"])) == (200, 1)
    now = numbers(hub)
    assert now["replica"] - asked["replica"] == ASKED + 1 and now["primary"] == asked["primary"]
    until = time.monotonic() + WITHIN
    while scans(databases[1]) < before[1] + ASKED:  # what a server counts is told within a second
        assert time.monotonic() < until
        await asyncio.sleep(0.2)
    assert scans(databases[0]) < before[0] + ASKED
    assert await asyncio.to_thread(found_of_replica, hub) == set()
    alarms = await asyncio.to_thread(ringing_of, hub)
    assert alarms is None or "ReplicaUnused" not in alarms


async def test_a_supervisors_pages_come_from_the_replica_too(hub: RunningHub) -> None:
    invite = ["people", "invite", "zhang.wei", "--organisation", NATION.id, "--full-name", "张伟", *beside(hub)]
    assert hub.run(*invite).returncode == 0
    link = hub.run("people", "link", "zhang.wei", *beside(hub)).stdout.strip()
    async with aiohttp.ClientSession(hub.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        async with browser.post(link[link.index("/console/") :], headers={"Origin": hub.url}) as entered:
            assert entered.status == 200
        for page in ("/", "/cases", "/turnaround", "/matrix", "/scorecards", "/bulletins", "/pack"):
            asked = await asyncio.to_thread(numbers, hub)
            async with browser.get(f"/console{page}") as answer:
                text = await answer.text()
            assert answer.status == 200 and 'class="error"' not in text, page
            now = await asyncio.to_thread(numbers, hub)
            assert now["replica"] > asked["replica"] and now["primary"] == asked["primary"], page


async def test_a_replica_that_stands_still_is_passed_by(hub: RunningHub, databases: tuple[Database, Database]) -> None:
    _, replica = databases
    replica.query("SELECT pg_wal_replay_pause()")
    try:
        # Told by the primary: the replica never hears of the second case.
        await counted(hub, 2)
        now = numbers(hub)
        assert now["used"] == 0 and now["behind"] > 3
        assert await asyncio.to_thread(found_of_replica, hub) == {"replica-behind"}
        alarms = await asyncio.to_thread(ringing_of, hub)
        assert alarms is None or "ReplicaUnused" in alarms
    finally:
        replica.query("SELECT pg_wal_replay_resume()")
    await used(hub)
    assert figures()["rows"][0]["figure"]["cases"] == 2
    assert now["replica"] < numbers(hub)["replica"]


@pytest.mark.cluster
async def test_a_replica_that_freezes_or_dies_changes_no_answer(
    hub: RunningHub, databases: tuple[Database, Database]
) -> None:
    _, replica = databases
    await used(hub)
    wanted = get(NATION, CASES)
    assert len(wanted[1]["items"]) > 0
    with replica.frozen():
        assert await asyncio.to_thread(get, NATION, CASES) == wanted
        await passed_by(hub)
        assert get(NATION, CASES) == wanted
    await used(hub)
    stop = asyncio.Event()
    asking = [asyncio.create_task(asked_until(stop)) for _ in range(4)]
    await asyncio.sleep(0.3)
    await asyncio.to_thread(replica.kill)
    await passed_by(hub)
    stop.set()
    answers = [answer for one in await asyncio.gather(*asking) for answer in one]
    assert len(answers) > 4 and all(answer == wanted for answer in answers)
    assert await asyncio.to_thread(found_of_replica, hub) == {"replica-away"}
    await asyncio.to_thread(replica.start)
    await used(hub)
    assert get(NATION, CASES) == wanted


@pytest.mark.cluster
async def test_a_replica_of_another_history_is_not_read(hub: RunningHub, databases: tuple[Database, Database]) -> None:
    _, replica = databases
    wanted = get(NATION, CASES)
    await asyncio.to_thread(replica.query, "SELECT pg_promote()")
    replica.query("UPDATE log_head SET origin = 'elsewhere'")
    replica.query("DELETE FROM case_course")
    await passed_by(hub)
    assert get(NATION, CASES) == wanted
    assert await asyncio.to_thread(found_of_replica, hub) == {"replica-other"}


def test_the_pages_lines_are_a_configuration_and_half_of_them_is_none() -> None:
    (text,) = blocks((ROOT / "docs/scaling.md").read_text("utf-8"), "toml")
    assert parse(text).database.replica == "postgresql://xieban@third/xieban"
    with pytest.raises(ConfigInvalid):
        parse('[database]\nreplica = "postgresql://xieban@third/xieban"\n')


def ringing_of(hub: RunningHub) -> set[str] | None:
    """The alarms that ring for what the hub's metrics say now; None where promtool is not at hand."""
    text = metrics(hub)
    assert names(text) >= REPLICATED
    return ringing(text) if PROMTOOL is not None else None


async def counted(hub: RunningHub, cases: int) -> None:
    """Open one case more, and wait until the figures have so many."""
    await opened(HERE, CASE, "request", [THERE.id])
    until = time.monotonic() + WITHIN
    while sum(row["figure"]["cases"] for row in (await asyncio.to_thread(figures))["rows"]) < cases:
        assert time.monotonic() < until
        await asyncio.sleep(0.1)
    if cases == 1:
        await used(hub)


def figures() -> dict[str, Any]:
    status, answer = get(NATION, FIGURES)
    assert status == 200, answer
    return dict(answer)


async def asked_until(stop: asyncio.Event) -> list[tuple[int, Any]]:
    answers = []
    while not stop.is_set():
        answers.append(await asyncio.to_thread(get, NATION, CASES))
    return answers


def scans(database: Database) -> int:
    """How often this server has looked through the courses of cases."""
    counted = "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_user_tables WHERE relname = 'case_course'"
    return int(database.query(counted))


def metrics(hub: RunningHub) -> str:
    with urllib.request.urlopen(hub.url + "/metrics", timeout=10) as response:
        return str(response.read().decode())


def numbers(hub: RunningHub) -> dict[str, float]:
    """What the hub's metrics say of reads and of the replica."""
    wanted = {
        "primary": r'xieban_reads_total{database="primary"} (\S+)',
        "replica": r'xieban_reads_total{database="replica"} (\S+)',
        "used": r"^xieban_replica_used (\S+)",
        "behind": r"^xieban_replica_behind_seconds (\S+)",
    }
    text = metrics(hub)
    read = {name: re.search(pattern, text, re.M) for name, pattern in wanted.items()}
    return {name: float(match[1]) if match else 0.0 for name, match in read.items()}


async def used(hub: RunningHub, wanted: int = 1) -> None:
    """Once the replica is read; or is not, any more."""
    until = time.monotonic() + WITHIN
    while (await asyncio.to_thread(numbers, hub))["used"] != wanted:
        assert time.monotonic() < until
        await asyncio.sleep(0.1)


async def passed_by(hub: RunningHub) -> None:
    await used(hub, 0)


def found_of_replica(hub: RunningHub) -> set[str]:
    """What the doctor has to say of the replica."""
    config = Path(hub.data.parent / "config.toml")
    return {code for code in found("--data", hub.data, "--config", config, "--offline") if code.startswith("replica-")}
