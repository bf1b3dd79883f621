"""A Citus cluster, where its coordinator is given by --citus: an empty database, and empty again afterwards."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest

TABLES = "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"


async def _emptied(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    for (name,) in await connection.fetch(f"{TABLES} AND NOT relispartition"):
        await connection.execute(f'DROP TABLE "{name}" CASCADE')
    await connection.execute("UPDATE pg_dist_node SET shouldhaveshards = groupid <> 0")
    await connection.close()


@pytest.fixture(scope="module")
def citus(request: pytest.FixtureRequest) -> Iterator[str]:
    """The DSN of the coordinator's empty database."""
    dsn: str | None = request.config.getoption("--citus")
    if dsn is None:
        pytest.skip("with --citus DSN")

    async def held() -> int:
        connection = await asyncpg.connect(dsn)
        found: int = await connection.fetchval(f"SELECT count(*) FROM ({TABLES}) AS held")
        await connection.close()
        return found

    assert asyncio.run(held()) == 0, "the database of --citus is not empty, and these tests would empty it"
    yield dsn
    asyncio.run(_emptied(dsn))
