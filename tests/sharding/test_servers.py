"""Servers of a cluster die under load, and a standby takes the place of one; what is wrong with it the doctor says."""

import asyncio
import json
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from pyrage.x25519 import Identity

from hub.store import Connection
from hub.store.dumping import rows
from hub.store.layout import layout
from hub.store.moment import NotOneMoment, moment
from tests.acceptance.examined import is_command
from tests.cluster.nodes import nodes
from tests.cluster.test_nodes import audited, beside, more
from tests.cluster.test_replicas import metrics
from tests.conftest import RunningHub
from tests.sharding.clusters import Cluster
from tests.sharding.test_cluster import working

pytestmark = pytest.mark.timeout(400)
KILLED = 3


@pytest.fixture(scope="module")
def hub(own_cluster: Cluster, citus: str) -> Iterator[RunningHub]:
    """A hub on it."""
    with nodes(citus, 1) as (one,):
        yield one


def diagnosed(hub: RunningHub) -> dict[str, tuple[str, str]]:
    """What the doctor finds of the cluster: by its code, what it says and what mends it."""
    done = hub.run("doctor", "--json", "--offline", *beside(hub))
    found = [one for one in json.loads(done.stdout)["findings"] if one["code"].startswith("cluster")]
    assert all(is_command(one["mend"]) for one in found), found
    return {one["code"]: (one["en"], one["mend"]) for one in found}


def mended(hub: RunningHub, cluster: Cluster, code: str) -> None:
    """Do what the doctor says mends it, and it is found no more."""
    program, *words = shlex.split(diagnosed(hub)[code][1], comments=True)
    if program == "psql":
        cluster.coordinator.query(words[words.index("-c") + 1])
    else:
        done = hub.run(*words)
        assert (program, done.returncode) == ("xieban", 0), done.stdout + done.stderr
    assert code not in diagnosed(hub)


async def test_what_is_not_spread_is_told(hub: RunningHub, own_cluster: Cluster, connection: Connection) -> None:
    said, _ = diagnosed(hub)["cluster-not-spread"]
    assert all(table in said for table in layout().spread)
    mended(hub, own_cluster, "cluster-not-spread")
    assert diagnosed(hub) == {}


@pytest.mark.usefixtures("spread")
async def test_what_does_not_lie_with_its_group_is_told(
    hub: RunningHub, own_cluster: Cluster, connection: Connection
) -> None:
    await connection.execute("SELECT alter_distributed_table('relay', colocate_with := 'none')")
    assert diagnosed(hub)["cluster-laid-out-otherwise"][0] == "relay does not lie with case_file"
    mended(hub, own_cluster, "cluster-laid-out-otherwise")


@pytest.mark.usefixtures("spread")
async def test_a_worker_is_killed_under_load_and_started_again_and_nothing_acknowledged_is_lost(
    hub: RunningHub, own_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    waits = []
    async with working(hub, 50) as taken:
        for number in range(KILLED):
            worker = own_cluster.workers[number % 2]
            await asyncio.to_thread(worker.kill)
            if number == 0:
                said, _ = (await asyncio.to_thread(diagnosed, hub))["cluster-node-away"]
                assert f"127.0.0.1:{worker.port}" in said
            await asyncio.to_thread(worker.start)
            waits.append(await _going_on(taken))
    assert diagnosed(hub) == {} and 'status="500"' not in metrics(hub)  # meanwhile it was 503, which says when to come
    with capsys.disabled():
        print(f"\n{len(taken)} messages, on again within {max(waits):.1f} s of each start")


@pytest.mark.usefixtures("spread")
async def test_a_moment_does_not_outlive_a_server(hub: RunningHub, own_cluster: Cluster) -> None:
    """What is read from a node that began anew is of another moment: nothing is read, and the backup fails."""
    worker = own_cluster.workers[1]
    async with moment(own_cluster.dsn) as seen:
        await asyncio.to_thread(worker.kill)
        await asyncio.to_thread(worker.start)
        with pytest.raises(NotOneMoment):
            await seen.require_whole(own_cluster.dsn)
    async with moment(own_cluster.dsn) as seen:
        await asyncio.to_thread(worker.kill)
        await asyncio.to_thread(worker.start)
        read: list[bytes] = []
        with pytest.raises(asyncpg.PostgresError):
            for table in layout().spread:
                await rows(seen.connection, table, 1 << 20, read.append)


@pytest.mark.usefixtures("spread")
async def test_a_backup_while_a_server_is_away_fails_by_name_and_leaves_nothing(
    hub: RunningHub, own_cluster: Cluster, tmp_path: Path
) -> None:
    worker = own_cluster.workers[1]
    worker.kill()
    to = ["--to", str(tmp_path), "--recipient", str(Identity.generate().to_public())]
    try:
        done = await asyncio.to_thread(hub.run, "backup", *beside(hub), *to)
        checked = await asyncio.to_thread(audited, hub)
    finally:
        worker.start()
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    for said in (done.stderr, checked):
        assert f"127.0.0.1:{worker.port}" in said and "Traceback" not in said


@pytest.mark.usefixtures("spread")
async def test_the_standby_of_a_worker_takes_its_place_under_load_and_nothing_acknowledged_is_lost(
    hub: RunningHub, own_cluster: Cluster, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = own_cluster.workers[0]
    standby = await asyncio.to_thread(own_cluster.standby, worker)
    async with working(hub, 60) as taken:
        await asyncio.to_thread(worker.kill)
        died = time.monotonic()
        await asyncio.to_thread(own_cluster.replace, worker, standby)
        replaced = time.monotonic()
        wait = await _going_on(taken)
    assert diagnosed(hub) == {} and 'status="500"' not in metrics(hub)  # meanwhile it was 503, which says when to come
    with capsys.disabled():
        print(f"\n{len(taken)} messages, replaced in {replaced - died:.1f} s, on again {wait:.1f} s after")


async def _going_on(taken: list[tuple[float, str]]) -> float:
    """Seconds until messages are taken again, on every shard that they happen to meet."""
    began = time.monotonic()
    await more(taken, 20)
    return next(at for at, _ in taken if at > began) - began


@pytest.mark.usefixtures("spread")
async def test_a_worker_that_holds_less_than_the_others_is_told(
    hub: RunningHub, own_cluster: Cluster, connection: Connection
) -> None:
    port = await connection.fetchval("SELECT max(nodeport) FROM pg_dist_node WHERE groupid > 0")
    await connection.execute(f"SELECT citus_set_node_property('127.0.0.1', {port}, 'shouldhaveshards', false)")
    assert (await asyncio.to_thread(hub.run, "store", "rebalance", *beside(hub))).returncode == 0
    await connection.execute(f"SELECT citus_set_node_property('127.0.0.1', {port}, 'shouldhaveshards', true)")
    mended(hub, own_cluster, "cluster-uneven")
