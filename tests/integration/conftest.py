"""A real PostgreSQL of the module's own."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from hub.store import Connection, embedded


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data directory with an embedded server running in it."""
    with tempfile.TemporaryDirectory(prefix="store-", ignore_cleanup_errors=True) as folder:
        runner = asyncio.Runner()
        server = runner.run(embedded.start(Path(folder)))
        yield Path(folder)
        runner.run(server.stop())
        runner.close()


@pytest.fixture
async def empty(data: Path) -> AsyncIterator[Connection]:
    """A connection to an empty database."""
    connection = await asyncpg.connect(embedded.dsn(data))
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    yield connection
    await connection.close()
