"""A hub on a cluster is backed up while bureaus send: of one moment, or not at all; and put back anywhere."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pyrage.x25519 import Identity

from hub import audit
from hub.identity import hub_key
from hub.store import Connection, distributing, dumping
from hub.store.layout import layout
from hub.store.moment import NotOneMoment, moment
from hub.store.queries import SQL
from tests.acceptance.bureaus import Bureau, mailbox, opened
from tests.cluster.databases import PROGRAMS, pair
from tests.cluster.nodes import nodes
from tests.cluster.test_nodes import audited, beside, enroll, load, more
from tests.conftest import RunningHub
from tests.sharding.conftest import emptied
from tests.sharding.test_cluster import longest

pytestmark = pytest.mark.timeout(400)
A, B = Bureau("411002-health"), Bureau("440306-health")
IN_DOUBT = "citus_0_1_1_1"
"""How Citus names what a coordinator has a worker prepare."""
SENDERS = [Bureau(f"4110{n}-civil-affairs") for n in range(40, 44)]
"""Enrolled before anything is backed up: what is put back knows them."""


@dataclass
class Kept:
    """A hub on a cluster, and a folder with the key of its backups."""

    hub: RunningHub
    dsn: str
    folder: Path
    recipient: str

    def back_up(self) -> subprocess.CompletedProcess[str]:
        to = "--to", str(self.folder / "kept"), "--recipient", self.recipient
        return self.hub.run("backup", *beside(self.hub), *to, "--json")

    def restore(self, file: str, name: str, config: str) -> tuple[Path, dict[str, Any]]:
        """Put it back where `config` says; the data directory and what the command said."""
        data = self.folder / name
        data.mkdir()
        (data / "passphrase").write_bytes((self.hub.data / "passphrase").read_bytes())
        (self.folder / "config.toml").write_text(config)
        done = self.hub.run(
            "restore", file, "--data", str(data), "--key", str(self.folder / "backup.key"), "--json", "--config",
            str(self.folder / "config.toml"),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return data, dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def kept(citus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    with nodes(citus, 1) as (hub,):
        key = Identity.generate()
        folder = tmp_path_factory.mktemp("backups")
        (folder / "backup.key").write_text(f"{key}\n")
        asyncio.run(_spread(citus))
        enroll([hub], A, B, *SENDERS)
        yield Kept(hub, citus, folder, str(key.to_public()))


async def _spread(dsn: str) -> None:
    """Spread the tables of a hub at which nobody works yet, which Citus does at once."""
    connection = await asyncpg.connect(dsn)
    for one in layout().spread.values():
        beside, shards = ("none", 4) if one.table == one.leader else (one.leader, None)
        await connection.execute(
            "SELECT create_distributed_table($1::text::regclass, $2, colocate_with := $3, shard_count := $4::int)",
            one.table, one.column, beside, shards,
        )  # fmt: skip
    assert all(step.done for step in await distributing.plan(connection))
    await connection.close()


async def test_one_snapshot_of_the_coordinator_is_not_of_one_moment(kept: Kept) -> None:
    """What `pg_dump` with a snapshot writes of a cluster is no backup: it has messages that its log has not."""
    coordinator = await asyncpg.connect(kept.dsn)
    async with coordinator.transaction(isolation="repeatable_read", readonly=True):
        snapshot = await coordinator.fetchval("SELECT pg_export_snapshot()")
        await opened(A, "case-assistance", "request", [B.id])
        dumped = b"".join([part async for part in dumping.dump(kept.dsn, snapshot, 1 << 20)])
    await coordinator.close()
    report = await _restored(dumped, kept)
    assert "1 rows in message where the log has 0 messages" in report.findings


async def _restored(dumped: bytes, kept: Kept) -> audit.Report:
    with pair(synchronous=False) as (plain, _):
        subprocess.run([PROGRAMS / "pg_restore", "-d", plain_dsn(plain.port)], input=dumped, check=True)
        connection = await asyncpg.connect(plain_dsn(plain.port))
        try:
            return await audit.audit(connection, hub_key(kept.hub.data).public)
        finally:
            await connection.close()


def plain_dsn(port: int, path: str = "/postgres") -> str:
    return f"postgresql://postgres@127.0.0.1:{port}{path}"


async def test_all_nodes_are_seen_at_one_moment_that_lasts(kept: Kept) -> None:
    async with moment(kept.dsn) as seen:
        before = await _totals(seen.connection)
        await opened(A, "case-assistance", "request", [B.id])
        assert await _totals(seen.connection) == before
        assert not (await audit.walk(seen.connection, hub_key(kept.hub.data).public)).findings
        assert [row async for row in seen.connection.cursor(SQL["attachments_kept"])] == []
        await seen.require_whole(kept.dsn)
    async with moment(kept.dsn) as seen:
        after = await _totals(seen.connection)
    assert {table for table in after if after[table] > before[table]} >= {"case_file", "message", "mailbox", "log_head"}


async def test_while_it_is_read_no_shard_is_moved_unseen(kept: Kept, connection: Connection) -> None:
    async with moment(kept.dsn) as seen:
        one = await connection.fetchrow(
            "SELECT shardid, nodename, nodeport FROM citus_shards WHERE table_name = 'case_file'::regclass LIMIT 1"
        )
        assert one is not None
        other = await connection.fetchval(
            "SELECT nodeport FROM pg_dist_node WHERE shouldhaveshards AND nodeport <> $1", one["nodeport"]
        )
        await connection.execute(
            "SELECT citus_move_shard_placement($1, $2, $3, $2, $4)", one["shardid"], one["nodename"], one["nodeport"],
            other,
        )  # fmt: skip
        with pytest.raises(NotOneMoment, match="shards were moved"):
            await seen.require_whole(kept.dsn)


async def test_what_a_dead_node_left_half_committed_is_settled_before_it_is_read(
    kept: Kept, connection: Connection
) -> None:
    """The rows of a commit whose end a worker has not heard would be missing."""
    shard = await connection.fetchrow(
        "SELECT shard_name, nodeport, groupid FROM citus_shards JOIN pg_dist_node USING (nodename, nodeport)"
        " WHERE table_name = 'attachment'::regclass LIMIT 1"
    )
    assert shard is not None
    worker = await asyncpg.connect(plain_dsn(shard["nodeport"], urlsplit(kept.dsn).path))
    await worker.execute(
        "SET citus.enable_manual_changes_to_shards TO on; BEGIN;"
        f" INSERT INTO {shard['shard_name']} (digest, size, place) VALUES ('x', 1, 'y');"
        f" PREPARE TRANSACTION '{IN_DOUBT}'"
    )
    await connection.execute(
        "INSERT INTO pg_dist_transaction (groupid, gid) VALUES ($1, $2)", shard["groupid"], IN_DOUBT
    )
    async with moment(kept.dsn) as seen:
        assert await seen.connection.fetchval("SELECT place FROM attachment WHERE size = 1") == "y"
    await worker.execute(f"DELETE FROM {shard['shard_name']}")
    await worker.close()


async def _totals(seen: Connection) -> dict[str, int]:
    found = {table: await seen.fetchval(f"SELECT count(*) FROM {table}") for table in layout().spread}
    return found | {"log_head": await seen.fetchval("SELECT size FROM log_head")}


async def test_backed_up_under_load_it_is_put_back_on_one_database_and_on_an_emptied_cluster(
    kept: Kept, capsys: pytest.CaptureFixture[str]
) -> None:
    made, took, waits = [], [], []
    async with load(SENDERS, B) as taken:
        await more(taken, 20)
        for _ in range(3):
            began, first = time.monotonic(), len(taken) - 1
            done = await asyncio.to_thread(kept.back_up)
            assert done.returncode == 0, done.stdout + done.stderr
            took.append(time.monotonic() - began)
            made.append(json.loads(done.stdout))
            await more(taken, 10)
            waits.append(longest(taken[first:]))
            assert await asyncio.to_thread(audited, kept.hub) == ""
    with capsys.disabled():
        print(f"\nbacked up {len(made)} times beside {len(taken)} messages, in {max(took):.1f} s at most;"
              f" the longest wait {max(waits):.2f} s")  # fmt: skip
    assert made[0]["entries"] < made[1]["entries"] < made[2]["entries"]
    for number, one in enumerate(made):
        verified = kept.hub.run("backup", "verify", one["file"], "--key", str(kept.folder / "backup.key"), "--json")
        assert verified.returncode == 0, verified.stderr
        data, said = kept.restore(one["file"], f"plain-{number}", "")
        assert said["holds"] and said["report"]["messages"] > 0 and said["report"]["entries"] == one["entries"] + 1
        assert kept.hub.run("audit", "--data", str(data)).returncode == 0
    kept.hub.stop()
    await emptied(kept.dsn)
    before = kept.hub.data
    kept.hub.data, said = kept.restore(made[-1]["file"], "cluster", (before.parent / "config.toml").read_text())
    assert said["holds"]
    kept.hub.options = "--config", str(kept.folder / "config.toml")
    kept.hub.start()
    async with load(SENDERS, A) as taken:
        await more(taken, 10)
        done = await asyncio.to_thread(kept.hub.run, "store", "distribute", "--run", "--shards", "4", *beside(kept.hub))
        assert done.returncode == 0, done.stderr
        await more(taken, 10)
    assert sorted(item.event.id for item in await mailbox(A)) == sorted(id for _, id in taken)
    assert audited(kept.hub) == ""
