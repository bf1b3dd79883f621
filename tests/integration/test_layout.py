"""Statements and schema stay within a cluster's rules, by one file; who has no cluster is told so."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import asyncpg
import pytest

import hub
from hub.store import Connection, distributing, embedded
from hub.store.distributing import NoCluster
from hub.store.layout import layout
from hub.store.migrate import migrate
from hub.store.queries import SQL
from tests.sharding import rules, schema
from tests.sharding.planted import CHANGES, STATEMENTS, Statement


@pytest.fixture(scope="module")
def columns(data: Path) -> rules.Columns:
    """The columns of every table, after all migrations."""

    async def look() -> rules.Columns:
        connection = await asyncpg.connect(embedded.dsn(data))
        await migrate(connection)
        found = await schema.columns(connection)
        await connection.close()
        return found

    return asyncio.run(look())


def whole() -> Mapping[str, str]:
    """Every statement; one of parts with each of them."""
    parts = ("in_sight", "out_of_sight", "open", "ended")
    found = {name: text for name, text in SQL.items() if name not in (*parts, "figures")}
    return found | {f"figures, {part}": SQL["figures"].replace("{which}", SQL[part]) for part in parts}


def test_no_statement_leaves_the_rules(columns: rules.Columns) -> None:
    verdicts = {name: rules.check(text, layout(), columns) for name, text in whole().items()}
    assert {name: found.broken for name, found in verdicts.items() if found.broken} == {}
    everywhere = {name for name, found in verdicts.items() if found.everywhere}
    assert everywhere == layout().everywhere.keys(), "layout.toml names those that ask every shard, and no others"


def test_every_statement_is_run_by_the_program() -> None:
    source = "".join(file.read_text("utf-8") for file in Path(hub.__file__).parent.rglob("*.py"))
    assert [name for name in SQL if f'"{name}"' not in source] == []


def test_who_changes_an_organisation_says_so_to_those_that_remember_it() -> None:
    writes = re.compile(r"(?:INSERT INTO|UPDATE|DELETE FROM) (?:organisation|organisation_key|delegation|succession)\b")
    writing = {name for name, text in SQL.items() if writes.search(text)}
    assert writing == {"set_organisations", "set_homes", "add_keys", "remove_keys", "compromise_key", "add_delegation",
                       "end_delegation", "set_succession", "succession_done"}  # fmt: skip
    # A succession counts from the day on which it is done.
    assert {name for name in writing if "changed = " not in SQL[name]} == {"set_succession"}


def test_each_rule_is_broken_by_something_planted() -> None:
    source = Path(rules.__file__).read_text("utf-8")
    named = {part.split('"')[1] for part in source.split("self._break(")[1:]}
    assert {one.rule for one in STATEMENTS} == named


@pytest.mark.parametrize("planted", STATEMENTS, ids=lambda one: f"{one.rule}-{STATEMENTS.index(one)}")
def test_a_statement_that_leaves_them_is_found(planted: Statement, columns: rules.Columns) -> None:
    assert {found.rule for found in rules.check(planted.text, layout(), {**columns, "ledger": frozenset()}).broken} == {
        planted.rule
    }


@pytest.mark.parametrize(
    "text",
    [
        "SELECT state FROM case_file WHERE updated > $1",
        "SELECT state FROM case_file WHERE case_id = $1 OR state = $2",
        "SELECT state FROM case_file WHERE case_id > $1",
        "DELETE FROM mailbox WHERE position = $1",
        "UPDATE case_file AS file SET state = $1 WHERE file.opener = $2",
        "SELECT count(*) FROM (SELECT position FROM mailbox) AS box WHERE position = $1",
    ],
)
def test_what_asks_every_shard_is_seen(text: str, columns: rules.Columns) -> None:
    assert rules.check(text, layout(), columns).everywhere


@pytest.mark.parametrize(
    "text",
    [
        "SELECT state FROM case_file AS file WHERE file.case_id = $1 AND (state = $2 OR state = $3)",
        "SELECT state FROM case_file JOIN message USING (case_id) WHERE case_file.case_id = ANY($1::uuid[])",
        "WITH some AS (SELECT case_id AS id FROM hub_duty)"
        " SELECT 1 FROM case_file AS file, some WHERE file.case_id = some.id",
        "SELECT 1 FROM case_file WHERE case_id = $1 AND EXISTS ("
        "SELECT FROM case_step AS step WHERE step.case_id = case_file.case_id)",
    ],
)
def test_what_names_its_rows_keeps_to_the_rules(text: str, columns: rules.Columns) -> None:
    assert rules.check(text, layout(), columns) == ([], [])


async def test_the_schema_keeps_to_the_rules(empty: Connection) -> None:
    await migrate(empty)
    assert await schema.check(empty, layout()) == []


@pytest.mark.parametrize(("rule", "change"), CHANGES, ids=[f"{n}-{rule}" for n, (rule, _) in enumerate(CHANGES)])
async def test_a_change_of_the_schema_that_leaves_them_is_found(empty: Connection, rule: str, change: str) -> None:
    await migrate(empty)
    await empty.execute(change)
    assert rule in {found.rule for found in await schema.check(empty, layout())}


async def test_an_ordinary_database_is_not_spread(empty: Connection) -> None:
    await migrate(empty)
    with pytest.raises(NoCluster, match="CREATE EXTENSION citus"):
        await distributing.plan(empty)
    with pytest.raises(NoCluster, match="CREATE EXTENSION citus"):
        await distributing.rebalance(empty, lambda progress: None)
