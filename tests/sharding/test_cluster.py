"""On a Citus cluster: every statement runs, and a hub that works is spread and rebalanced without losing anything."""

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from hub.store import Connection, distributing
from hub.store.distributing import LaidOutOtherwise
from hub.store.layout import layout
from hub.store.migrate import SchemaOutdated
from hub.store.queries import SQL
from tests.acceptance.bureaus import Bureau, mailbox
from tests.cluster.nodes import nodes
from tests.cluster.test_nodes import audited, beside, enroll, load, more
from tests.conftest import RunningHub
from tests.integration.test_layout import whole
from tests.sharding.planted import STATEMENTS

pytestmark = pytest.mark.timeout(300)
SAMPLES: dict[str, tuple[Any, Any]] = {
    "bool": (True, False), "bytea": (b"x", b"y"), "date": (date(2026, 1, 1), date(2026, 1, 2)), "int2": (1, 2),
    "int4": (1, 2), "int8": (1, 2), "text": ("a", "b"), "uuid": (UUID(int=7), UUID(int=8)),
    "timestamptz": (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)),
}  # fmt: skip
REFUSED_BY_DATA = (asyncpg.IntegrityConstraintViolationError, asyncpg.NotNullViolationError)
GIVEN: dict[str, tuple[Any, ...]] = {"lock_head": ("0",)}
"""What a statement is given where no sample will do."""
GENERIC = 7
"""So many executions, and PostgreSQL has a plan for any values."""
SENDERS = 4


@pytest.fixture(scope="module")
def hub(citus: str) -> Iterator[RunningHub]:
    """A hub on the cluster's coordinator, its tables not spread yet, and all shards to be on one worker at first."""
    with nodes(citus, 1) as (one,):
        yield one


@contextlib.asynccontextmanager
async def working(hub: RunningHub, first: int) -> AsyncIterator[list[tuple[float, str]]]:
    """Bureaus that send while it lasts; then the audit is clean, and every message with a receipt is found once."""
    senders = [Bureau(f"4110{n:02}-civil-affairs") for n in range(first, first + SENDERS)]
    receiver = Bureau(f"4403{first:02}-civil-affairs")
    enroll([hub], *senders, receiver)
    async with load(senders, receiver) as taken:
        await more(taken, 20)
        yield taken
        await more(taken, 20)
    assert await asyncio.to_thread(audited, hub) == ""
    assert sorted(item.event.id for item in await mailbox(receiver)) == sorted(id for _, id in taken)


def longest(taken: list[tuple[float, str]]) -> float:
    """The longest time between two receipts, in seconds."""
    moments = sorted(at for at, _ in taken)
    return max(later - earlier for earlier, later in pairwise(moments))


async def placed(connection: Connection) -> dict[str, int]:
    """How many shards of the messages are on each node."""
    rows = await connection.fetch(
        "SELECT nodename || ':' || nodeport, count(*) FROM citus_shards"
        " WHERE table_name = 'message'::regclass GROUP BY 1"
    )
    return {row[0]: row[1] for row in rows}


async def test_the_plan_changes_nothing(hub: RunningHub, connection: Connection) -> None:
    done = hub.run("store", "distribute", "--json", "--shards", "4", *beside(hub))
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)
    assert [(one["table"], one["column"]) for one in steps] == [(o.table, o.column) for o in layout().spread.values()]
    assert not any(one["done"] for one in steps) and {one["shards"] for one in steps} == {4}
    assert await connection.fetchval("SELECT count(*) FROM citus_tables") == 0


async def test_a_hub_that_works_is_spread(
    hub: RunningHub, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    last = await connection.fetchval("SELECT max(groupid) FROM pg_dist_node")
    await connection.execute("SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', false)"
                             " FROM pg_dist_node WHERE groupid = $1", last)  # fmt: skip
    async with working(hub, 10) as taken:
        began = time.monotonic()
        done = await asyncio.to_thread(hub.run, "store", "distribute", "--run", "--shards", "4", *beside(hub))
        took = time.monotonic() - began
        assert done.returncode == 0, done.stdout + done.stderr
    steps = await distributing.plan(connection)
    assert all(step.done and step.shards == 4 for step in steps)
    assert len(await placed(connection)) == 1
    assert await connection.fetchval("SELECT count(*) FROM ONLY case_file") == await connection.fetchval(
        "SELECT count(*) FROM case_file"
    )
    with capsys.disabled():
        print(f"\nspread in {took:.0f} s beside {len(taken)} messages, the longest wait {longest(taken):.2f} s")


@pytest.mark.usefixtures("spread")
async def test_done_again_it_changes_nothing(hub: RunningHub) -> None:
    done = hub.run("store", "distribute", "--run", *beside(hub))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("spread")
async def test_shards_move_to_a_new_worker_beside_the_work(
    hub: RunningHub, connection: Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    await connection.execute("SELECT citus_set_node_property(nodename, nodeport, 'shouldhaveshards', true)"
                             " FROM pg_dist_node WHERE groupid > 0")  # fmt: skip
    async with working(hub, 20) as taken:
        done = await asyncio.to_thread(hub.run, "store", "rebalance", *beside(hub))
        assert done.returncode == 0, done.stdout + done.stderr
    assert sorted((await placed(connection)).values()) == [2, 2]
    again = hub.run("store", "rebalance", *beside(hub))
    assert (again.returncode, again.stdout) == (0, "无需移动 · nothing to move\n")
    with capsys.disabled():
        print(f"\n{done.stdout.splitlines()[-1]}; {len(taken)} messages, the longest wait {longest(taken):.2f} s")


@pytest.mark.usefixtures("spread")
async def test_every_statement_runs(hub: RunningHub, connection: Connection) -> None:
    failed: dict[str, str] = {}
    for name, text in whole().items():
        for _ in range(GENERIC):
            try:
                with contextlib.suppress(*REFUSED_BY_DATA):
                    await taken_back(connection, text, GIVEN.get(name))
            except asyncpg.PostgresError as error:
                failed[name] = str(error)
    assert failed == {}


async def taken_back(connection: Connection, text: str, given: tuple[Any, ...] | None = None) -> None:
    """Run a statement on sample values, where none are given, and take back what it did."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        statement = await connection.prepare(text)
        await statement.fetch(*(given or (sample(one) for one in statement.get_parameters())))
    finally:
        await transaction.rollback()


def sample(type: asyncpg.Type) -> Any:
    """A value of a type; two of an array's, which may lie on different nodes."""
    return SAMPLES[type.name[:-2]] if type.name.endswith("[]") else SAMPLES[type.name][0]


@pytest.mark.usefixtures("spread")
async def test_what_is_said_to_be_refused_is_refused(hub: RunningHub, connection: Connection) -> None:
    refused = set()
    for planted in STATEMENTS:
        try:
            await taken_back(connection, planted.text)
        except asyncpg.PostgresError as error:
            assert not isinstance(error, REFUSED_BY_DATA) or planted.rule == "column-missing", planted
            refused.add(planted.text)
    assert refused == {planted.text for planted in STATEMENTS if planted.refused}


@pytest.mark.usefixtures("spread")
async def test_a_table_that_lies_otherwise_is_told(hub: RunningHub, connection: Connection) -> None:
    await connection.execute("SELECT create_reference_table('passkey')")
    try:
        with pytest.raises(LaidOutOtherwise, match="passkey is reference"):
            await distributing.plan(connection)
        done = hub.run("store", "distribute", "--run", *beside(hub))
        assert done.returncode == 1 and "laid-out-otherwise" in done.stderr
    finally:
        await connection.execute("SELECT undistribute_table('passkey')")


@pytest.mark.usefixtures("spread")
async def test_writers_that_follow_each_other_read_what_was_written(hub: RunningHub, citus: str) -> None:
    """The head's row is free before every worker has heard of the commit: reading then would lose what was written."""
    cases = [UUID(int=number) for number in range(1, 9)]  # on both workers
    steps, read = 150, "SELECT case_id, record, moves FROM case_file WHERE case_id = ANY($1::uuid[])"

    async def write() -> None:
        mine = await asyncpg.connect(citus)
        for _ in range(steps):
            await asyncio.sleep(random.uniform(0, 0.03))  # to come at any moment of another's commit
            async with mine.transaction():
                await mine.fetchrow(SQL["lock_head"], "0")
                found = {row["case_id"]: row for row in await mine.fetch(read, cases)}
                records = [str(int(found[one]["record"]) + 1) if one in found else "1" for one in cases]
                moves = [found[one]["moves"] + 1 if one in found else 1 for one in cases]
                every = [("p", "1", "open", "a", "b", None, datetime(2026, 1, 1, tzinfo=UTC))] * len(cases)
                columns = list(zip(*every, strict=True))
                await mine.execute(SQL["set_cases"], cases, *columns, records, moves, datetime.now(UTC), [], [])
                await mine.execute(SQL["bump_key_epoch"])
        await mine.close()

    await asyncio.gather(*(write() for _ in range(4)))
    last = await asyncpg.connect(citus)
    records = [row["record"] for row in await last.fetch(read, cases)]
    await last.execute("DELETE FROM case_file WHERE protocol = 'p'")
    await last.close()
    assert records == [str(4 * steps)] * len(cases)


@pytest.mark.usefixtures("spread")
async def test_a_schema_of_another_version_is_left_alone(hub: RunningHub, connection: Connection) -> None:
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("DELETE FROM migration WHERE name = (SELECT max(name) FROM migration)")
    with pytest.raises(SchemaOutdated, match="xieban store migrate"):
        await distributing.plan(connection)
    await transaction.rollback()
