"""From one released version's schema to another's and back, with data in it; whoever meets another's schema says so."""

import asyncio
import json
import time
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from hub.audit import audit
from hub.store import CONNECTION_LOST, Connection, embedded
from hub.store.migrate import (
    DOWN,
    FOLDER,
    DowngradeRefused,
    MigrationMismatch,
    Release,
    SchemaOutdated,
    downgrade,
    migrate,
    releases,
    require_alone,
    require_current,
    schema,
)
from keys.jwk import VerifyingKey, parse_jwks

RECORDED = Path(__file__).parents[1] / "vectors" / "releases"
OLD = releases()[0]
DESCRIBED = """
    SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
    FROM information_schema.columns WHERE table_schema = 'public'
    UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT conrelid::regclass::text || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT relname || ' ' || coalesce(pg_get_expr(relpartbound, oid), '') FROM pg_class
    WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
"""


async def described(connection: Connection) -> set[str]:
    """What tables, columns, indexes, constraints and partitions there are."""
    return {row[0] for row in await connection.fetch(DESCRIBED)}


HELD = ("log_entry", "message", "message_key", "mailbox", "mailbox_mark", "case_file", "case_step", "case_course")


async def columns(connection: Connection) -> dict[str, str]:
    """The columns of what must come through a migration as it is."""
    query = (
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = $1::regclass"
    )
    query += " AND attnum > 0 AND NOT attisdropped"
    return {table: await connection.fetchval(query, table) for table in HELD}


async def held(connection: Connection, columns: dict[str, str]) -> dict[str, list[str]]:
    """Every row of it, in these columns."""
    query = "SELECT ROW({})::text FROM {} ORDER BY 1"
    return {table: [row[0] for row in await connection.fetch(query.format(columns[table], table))] for table in HELD}


async def recorded(connection: Connection) -> VerifyingKey:
    """The database of the first release as its own hub left it; that hub's key."""
    await migrate(connection, through=OLD.through)
    await connection.execute((RECORDED / f"{OLD.version}.sql").read_text("utf-8"))
    (key,) = parse_jwks(json.loads((RECORDED / f"{OLD.version}.jwks.json").read_text("utf-8")))
    assert isinstance(key, VerifyingKey)
    return key


def test_there_are_two_releases_and_each_names_a_migration_of_ours() -> None:
    names = [file.stem for file in sorted(FOLDER.glob("*.sql"))]
    through = [release.through for release in releases()]
    assert len(through) >= 2
    assert through == sorted(set(through))
    assert set(through) <= set(names)


def test_each_migration_after_the_first_release_has_its_way_back() -> None:
    later = {file.stem for file in FOLDER.glob("*.sql") if file.stem > OLD.through}
    assert {file.stem for file in (FOLDER / DOWN).glob("*.sql")} == later


async def test_what_an_older_version_wrote_is_taken_over_whole_and_goes_back_whole(empty: Connection) -> None:
    key = await recorded(empty)
    first, known = await described(empty), await columns(empty)
    before = await held(empty, known)
    assert len(before["message"]) == 7
    assert before["log_entry"]

    told: list[str] = []
    applied = await migrate(empty, told=lambda name, seconds: told.append(name))
    assert told == applied == [file.stem for file in sorted(FOLDER.glob("*.sql")) if file.stem > OLD.through]
    await require_current(empty)
    report = await audit(empty, key)
    assert report.findings == []
    assert report.messages == 7
    assert await held(empty, known) == before

    newest = await described(empty)
    assert newest > first
    assert await downgrade(empty, OLD) == list(reversed(applied))
    assert await described(empty) == first
    assert await held(empty, known) == before
    assert (await schema(empty)).release == OLD.version

    await migrate(empty)
    assert await described(empty) == newest
    assert (await audit(empty, key)).findings == []


@pytest.mark.parametrize("release", releases()[1:], ids=lambda release: str(release.version))
async def test_going_back_leaves_the_very_schema_that_the_release_made(empty: Connection, release: Release) -> None:
    await migrate(empty, through=release.through)
    made = await described(empty)
    await migrate(empty)
    await downgrade(empty, release)
    assert await described(empty) == made
    assert (await schema(empty)).release == release.version


async def test_a_way_back_that_would_lose_something_is_refused_and_changes_nothing(empty: Connection) -> None:
    await migrate(empty)
    await empty.execute("INSERT INTO neighbour (hub, url, expires, log_index) VALUES ('440000-hub', 'u', now(), 1)")
    before, told = await described(empty), list[str]()
    with capture_logs() as logged, pytest.raises(DowngradeRefused, match="other hubs"):
        await downgrade(empty, OLD, told=lambda name, _: told.append(name))
    assert logged == [] and told == []
    assert await described(empty) == before
    assert await empty.fetchval("SELECT count(*) FROM neighbour") == 1
    await require_current(empty)


async def test_without_a_way_back_it_is_refused(empty: Connection, tmp_path: Path) -> None:
    (tmp_path / f"{OLD.through}.sql").write_text("CREATE TABLE one (id int)")
    (tmp_path / "9999_later.sql").write_text("CREATE TABLE two (id int)")
    await migrate(empty, tmp_path)
    with pytest.raises(DowngradeRefused, match="no way back from 9999_later"):
        await downgrade(empty, OLD, tmp_path)
    with pytest.raises(DowngradeRefused, match="older than 7"):
        await downgrade(empty, Release("7", "9999_unknown"), tmp_path)


async def test_whoever_meets_the_schema_of_another_version_says_so(empty: Connection) -> None:
    assert (await schema(empty)).release is None
    await migrate(empty, through=OLD.through)
    with pytest.raises(SchemaOutdated, match="xieban store migrate"):
        await require_current(empty)
    await migrate(empty)
    await empty.execute("INSERT INTO migration VALUES ('9999_future', 'x')")
    for refusing in (require_current(empty), migrate(empty), downgrade(empty, OLD)):
        with pytest.raises(MigrationMismatch, match="9999_future"):
            await refusing


async def test_a_migration_that_is_interrupted_leaves_all_as_it_was(
    empty: Connection, data: Path, tmp_path: Path
) -> None:
    await recorded(empty)
    known, tables = await columns(empty), await described(empty)
    before = await held(empty, known)
    for file in FOLDER.glob("*.sql"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "9999_long.sql").write_text("DELETE FROM message; SELECT pg_sleep(600)")
    other = await asyncpg.connect(embedded.dsn(data))
    running = asyncio.create_task(migrate(other, tmp_path))
    killed, until = 0, time.monotonic() + 30
    while not killed and time.monotonic() < until:
        killed = await empty.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE wait_event = 'PgSleep' AND pid <> pg_backend_pid()"
        )
    with pytest.raises(CONNECTION_LOST):
        await running
    assert killed == 1
    assert await held(empty, known) == before
    assert await described(empty) == tables
    assert (await schema(empty)).release == OLD.version


async def test_nobody_goes_back_under_a_hub_that_runs(empty: Connection, data: Path) -> None:
    await require_alone(empty)
    other = await asyncpg.connect(embedded.dsn(data))
    with pytest.raises(DowngradeRefused, match="1 other connections"):
        await require_alone(empty)
    await other.close()
