"""The database written and read again, from one PostgreSQL into another, older or newer; all of it or nothing."""

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from hub.store import embedded
from hub.store.dumping import DumpFailed, Restoring, dump
from hub.store.migrate import migrate
from tests.cluster.databases import owner
from tests.conftest import free_port

DEBIAN = Path("/usr/lib/postgresql/15/bin")
"""The PostgreSQL that Debian 12 comes with, the oldest that a hub works on."""
PART = 1 << 16
SHAPE = """
SELECT string_agg(format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default), E'\\n'
    ORDER BY table_name, column_name) FROM information_schema.columns WHERE table_schema = 'public'
"""


@pytest.fixture(scope="module")
def debians() -> Iterator[str]:
    """A DSN of an empty database of Debian's PostgreSQL."""
    if not (DEBIAN / "postgres").exists():
        pytest.skip("no PostgreSQL 15: backups are not moved to an older one (Debian 12: apt install postgresql-15)")
    with tempfile.TemporaryDirectory(prefix="debian-", ignore_cleanup_errors=True) as folder:
        port = free_port()
        if user := owner().get("user"):
            shutil.chown(folder, user)
        words = "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"
        made = [str(DEBIAN / "initdb"), "-D", f"{folder}/data", *words]
        subprocess.run(made, check=True, capture_output=True, cwd="/", **owner())
        served = [str(DEBIAN / "postgres"), "-D", f"{folder}/data", "-k", folder, "-p", str(port), "-h", "127.0.0.1"]
        with open(f"{folder}/log", "wb") as log:
            server = subprocess.Popen(served, stdout=log, stderr=log, cwd="/", **owner())
        with contextlib.ExitStack() as ended:
            ended.callback(server.wait)
            ended.callback(server.terminate)
            _until_it_listens(port)
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


def _until_it_listens(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
async def older(debians: str) -> AsyncIterator[str]:
    """The same, empty again."""
    yield debians
    await said(debians, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")


@pytest.fixture
async def filled(data: Path) -> str:
    """A DSN of the newer server, with a hub's schema and some rows in it."""
    dsn = embedded.dsn(data)
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await migrate(connection)
    await connection.execute(MADE)
    await connection.close()
    return dsn


async def said(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        if statement.startswith("SELECT") or statement.startswith("\nSELECT"):
            return await connection.fetchval(statement)
        return await connection.execute(statement)
    finally:
        await connection.close()


async def dumped(dsn: str) -> list[bytes]:
    """The dump of a database, in parts."""
    connection = await asyncpg.connect(dsn)
    async with connection.transaction(isolation="repeatable_read"):
        snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
        parts = [part async for part in dump(dsn, snapshot, PART)]
    await connection.close()
    return parts


async def restored(dsn: str, parts: list[bytes]) -> None:
    restoring = await Restoring.begin(dsn)
    try:
        await restoring.write(parts)
        await restoring.finish()
    finally:
        await restoring.abandon()


MADE = """
CREATE TABLE row AS SELECT n, text FROM generate_series(1, 5000) n,
    LATERAL (SELECT string_agg(md5(n || '.' || k), E'协办\\t\\\\.\\n') AS text FROM generate_series(1, 8) k) AS words
"""
ROWS = "SELECT md5(string_agg(n || text, '' ORDER BY n)) FROM row"


async def test_a_database_goes_to_the_older_postgresql_and_back_with_all_that_is_in_it(older: str, filled: str) -> None:
    before = await said(filled, SHAPE), await said(filled, ROWS)
    await restored(older, await dumped(filled))
    assert (await said(older, SHAPE), await said(older, ROWS)) == before
    back = await dumped(older)
    await said(filled, "DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await restored(filled, back)
    assert (await said(filled, SHAPE), await said(filled, ROWS)) == before


async def test_a_dump_that_is_cut_short_or_not_taken_leaves_nothing(older: str, filled: str) -> None:
    parts = await dumped(filled)
    assert len(parts) > 2
    for what, why in ((parts[:-1], "pg_restore"), ([b"nonsense"], "pg_restore")):
        with pytest.raises(DumpFailed, match=why):
            await restored(older, what)
        assert await said(older, SHAPE) is None
    await said(older, "CREATE TABLE row (other int)")
    with pytest.raises(DumpFailed, match=r'psql: .*"row" already exists'):
        await restored(older, parts)
    assert await said(older, SHAPE) == "row.other integer YES "
