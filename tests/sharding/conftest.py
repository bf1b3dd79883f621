"""A Citus cluster: one of the operator's, whose coordinator --citus names, or one that is started for the tests."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from hub.store import Connection, distributing
from tests.conftest import RunningHub
from tests.sharding.clusters import Cluster, cluster

TABLES = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"


async def emptied(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for (name,) in await connection.fetch(f"{TABLES} AND NOT relispartition"):
        await connection.execute(f'DROP TABLE "{name}" CASCADE')
    await connection.execute("UPDATE pg_dist_node SET shouldhaveshards = groupid <> 0")
    await connection.close()


@pytest.fixture(scope="session")
def own_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One whose servers may be killed."""
    programs: str | None = request.config.getoption("--citus-programs")
    if programs is None:
        pytest.skip("with --citus-programs DIR")
    with cluster(Path(programs)) as found:
        yield found


@pytest.fixture(scope="module")
def citus(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of the coordinator's empty database; it is empty again afterwards."""
    dsn: str | None = request.config.getoption("--citus")
    if dsn is None:
        if request.config.getoption("--citus-programs") is None:
            pytest.skip("with --citus DSN or --citus-programs DIR")
        dsn = request.getfixturevalue("own_cluster").dsn

    async def held() -> int:
        connection = await asyncpg.connect(dsn)
        found: int = await connection.fetchval(f"SELECT count(*) FROM ({TABLES}) AS held")
        await connection.close()
        return found

    assert asyncio.run(held()) == 0, "the database of --citus is not empty, and these tests would empty it"
    yield dsn
    asyncio.run(emptied(dsn))


@pytest.fixture
async def connection(citus: str) -> AsyncIterator[Connection]:
    """To the coordinator."""
    found = await asyncpg.connect(citus)
    yield found
    await found.close()


@pytest.fixture
async def spread(hub: RunningHub, connection: Connection) -> None:
    """The tables of the module's hub are spread."""
    await distributing.distribute(connection, await distributing.plan(connection, 4), lambda step, seconds: None)
