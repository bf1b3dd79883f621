"""What is there for a cluster's sake, on an ordinary database: it is not spread, and a late commit is not lost."""

import asyncio

import asyncpg
import pytest

from hub.store import dumping, embedded
from tests.acceptance.bureaus import Bureau, enrolled, opened, said, view
from tests.conftest import RunningHub

BLOCKED = "SELECT count(*) FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"


@pytest.mark.parametrize("command", [("distribute",), ("distribute", "--run"), ("rebalance",)], ids=" ".join)
def test_it_is_not_spread_and_the_reason_is_said(hub: RunningHub, command: tuple[str, ...]) -> None:
    done = hub.run("store", *command, "--data", str(hub.data))
    assert done.returncode == 1
    assert "no-cluster" in done.stderr and "CREATE EXTENSION citus" in done.stderr
    assert "Traceback" not in done.stderr


async def test_what_was_written_after_a_case_was_read_is_not_written_over(hub: RunningHub) -> None:
    a, b = Bureau("411002-health"), Bureau("440306-health")
    await asyncio.to_thread(enrolled, hub, a, b)
    case = (await opened(a, "case-assistance", "request", [b.id])).case
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    async with connection.transaction():
        before = await connection.fetchval(
            "UPDATE case_file SET moves = moves + 1 WHERE case_id = $1 RETURNING moves", case
        )
        answer = asyncio.create_task(said(b, case, "case-assistance", "accept"))
        async with asyncio.timeout(20):
            while not await connection.fetchval(BLOCKED):
                await asyncio.sleep(0.02)
    await answer
    assert await connection.fetchval("SELECT moves FROM case_file WHERE case_id = $1", case) == before + 1
    await connection.close()
    assert (await view(a, case))["state"] == "in-progress"
    assert "batch-retried" in (hub.data / "hub.log").read_text()


async def test_rows_of_a_table_are_read_in_pieces_and_written_back_as_they_were(hub: RunningHub) -> None:
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    await connection.execute("CREATE TABLE read (n int, t text, b bytea); CREATE TABLE written (LIKE read)")
    values = ["", None, "\n", "\\n\t\\.\n", "\\.", "中文\r\n", "x" * 300]
    records = [(n, t, None if t is None else t.encode()) for n, t in enumerate(values * 2000)]
    await connection.copy_records_to_table("read", records=records)
    pieces: list[bytes] = []
    await dumping.rows(connection, "read", 4000, pieces.append)
    assert len(pieces) > 10
    for piece in pieces:  # each is whole rows
        await dumping.put_rows(connection, "written", [piece[:5], piece[5:]])
    assert await connection.fetch("TABLE written ORDER BY n") == await connection.fetch("TABLE read ORDER BY n")
    with pytest.raises(dumping.DumpFailed, match="written"):
        await dumping.put_rows(connection, "written", [b"no number\t\\N\t\\N\n"])
    await connection.execute("DROP TABLE read; DROP TABLE written")
    await connection.close()
