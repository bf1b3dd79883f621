"""Migrations are applied once, in order, and never changed; months get their partitions."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from hub.store import Connection, embedded, partitions
from hub.store.migrate import FOLDER, MigrationMismatch, migrate


async def tables(connection: Connection) -> set[str]:
    """The tables there are."""
    rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {row["tablename"] for row in rows}


async def test_a_second_run_applies_nothing(empty: Connection) -> None:
    applied = await migrate(empty)
    assert applied == sorted(file.stem for file in FOLDER.glob("*.sql"))
    assert {"message", "mailbox", "log_head"} <= await tables(empty)
    assert await migrate(empty) == []


async def test_several_processes_at_once_apply_each_migration_once(empty: Connection, data: Path) -> None:
    connections = [await asyncpg.connect(embedded.dsn(data)) for _ in range(5)]
    applied = await asyncio.gather(*(migrate(connection) for connection in connections))
    assert sorted(len(names) for names in applied) == [0, 0, 0, 0, len(list(FOLDER.glob("*.sql")))]
    for connection in connections:
        await connection.close()


async def test_a_migration_that_fails_leaves_nothing_behind(empty: Connection, tmp_path: Path) -> None:
    (tmp_path / "0001_good.sql").write_text("CREATE TABLE good (id int)")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE bad (id nonsense)")
    with pytest.raises(asyncpg.UndefinedObjectError):
        await migrate(empty, tmp_path)
    assert await tables(empty) == set()


async def test_one_that_was_changed_after_it_was_applied_is_refused(empty: Connection, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE one (id int)")
    await migrate(empty, tmp_path)
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE two (id int)")
    with pytest.raises(MigrationMismatch, match="0001_first was changed"):
        await migrate(empty, tmp_path)


async def test_a_database_of_a_newer_version_is_refused(empty: Connection, tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE one (id int)")
    (tmp_path / "0002_later.sql").write_text("CREATE TABLE two (id int)")
    await migrate(empty, tmp_path)
    (tmp_path / "0002_later.sql").unlink()
    with pytest.raises(MigrationMismatch, match="upgrade xieban"):
        await migrate(empty, tmp_path)


async def test_this_month_and_those_ahead_have_a_partition_each(empty: Connection) -> None:
    await migrate(empty)
    made = await partitions.prepare(empty)
    assert len(made) == partitions.AHEAD + 1
    assert await partitions.prepare(empty) == []
    now = datetime.now(UTC)
    assert made[0] == f"message_{now:%Y_%m}"
    await empty.execute("INSERT INTO message VALUES (gen_random_uuid(), 1, $1, 'x')", now)
    await empty.execute("INSERT INTO message VALUES (gen_random_uuid(), 2, '2031-05-01Z', 'x')")
    assert await empty.fetchval(f"SELECT count(*) FROM {made[0]}") == 1
    assert await empty.fetchval("SELECT count(*) FROM message_default") == 1


@pytest.mark.parametrize(
    ("year", "month", "expected"),
    [
        (2026, 12, ("message_2026_12", "2026-12-01 00:00:00+00", "2027-01-01 00:00:00+00")),
        (2026, 13, ("message_2027_01", "2027-01-01 00:00:00+00", "2027-02-01 00:00:00+00")),
        (2026, 14, ("message_2027_02", "2027-02-01 00:00:00+00", "2027-03-01 00:00:00+00")),
    ],
)
def test_months_go_on_over_the_end_of_the_year(year: int, month: int, expected: tuple[str, str, str]) -> None:
    assert partitions.month(year, month) == expected


async def test_every_statement_is_one_that_the_database_understands(empty: Connection) -> None:
    from hub.store.queries import SQL

    await migrate(empty)
    parts = ("in_sight", "out_of_sight", "open", "ended")  # of one statement, which is checked with each of them
    whole = {name: statement for name, statement in SQL.items() if name not in (*parts, "figures")}
    whole |= {f"figures, {part}": SQL["figures"].replace("{which}", SQL[part]) for part in parts}
    for name, statement in whole.items():
        try:
            await empty.prepare(statement)
        except asyncpg.PostgresError as error:
            pytest.fail(f"{name}: {error}")
