"""The tables spread over the nodes of a Citus cluster by `layout.toml`, and their shards moved where there is room.

The hub may run meanwhile: `create_distributed_table_concurrently` and the rebalancer hold writes up for moments only
(Citus documentation, Table and Shard DDL; Rebalance Shards without Downtime).
"""

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ClassVar, NamedTuple

import asyncpg
import msgspec

from hub.store import Connection
from hub.store.layout import Spread, layout
from hub.store.migrate import require_current
from keys.errors import Fault

SHARDS_A_WORKER = 4
"""Shards that each worker begins with: few, for a batch asks all of them, and enough to move when workers are added."""
LOOK_EVERY = 0.5
"""Seconds between two looks at a rebalancing."""


class NoCluster(Fault):
    """The database is no Citus cluster that tables could be spread over."""

    code: ClassVar[str] = "no-cluster"


class LaidOutOtherwise(Fault):
    """A table is laid out in another way than this version means it to be; nothing was changed."""

    code: ClassVar[str] = "laid-out-otherwise"


class SpreadingFailed(Fault):
    """Citus could not spread a table or move a shard; what was done before stays, and the command can be run again."""

    code: ClassVar[str] = "spreading-failed"


class Step(msgspec.Struct, frozen=True):
    """A table to spread: by which column, beside which other one (None: it leads a group), and whether that is done.

    `bytes` is how much of it lies on the coordinator itself.
    """

    table: str
    column: str
    beside: str | None
    bytes: int
    shards: int
    done: bool


class Misplaced(NamedTuple):
    """A table that lies otherwise than this version means it to, and the statement that mends it."""

    why: str
    mend: str


class Progress(msgspec.Struct, frozen=True):
    """A rebalancing: the state that Citus gives it, and how many of its moves are over."""

    state: str
    done: int
    moves: int


async def plan(connection: Connection, shards: int | None = None) -> list[Step]:
    """What there is to spread, in order. Raises NoCluster, SchemaOutdated, MigrationMismatch, LaidOutOtherwise."""
    workers = await _workers(connection)
    await require_current(connection)
    laid = await laid_out(connection)
    for one in misplaced(laid):
        raise LaidOutOtherwise(one.why)
    sizes = dict(await connection.fetch(_SIZES, list(layout().spread)))
    return [
        Step(
            one.table,
            one.column,
            None if one.table == one.leader else one.leader,
            sizes[one.table],
            laid[one.leader]["shard_count"] if one.leader in laid else shards or SHARDS_A_WORKER * workers,
            one.table in laid,
        )
        for one in layout().spread.values()
    ]


async def laid_out(connection: Connection) -> dict[str, asyncpg.Record]:
    """How Citus has laid out each table that it knows, by name."""
    found = await connection.fetch(
        "SELECT table_name::text AS name, citus_table_type AS kind, distribution_column AS column, colocation_id,"
        " shard_count FROM citus_tables WHERE citus_table_type <> 'local'"
    )
    return {row["name"]: row for row in found}


async def distribute(connection: Connection, steps: Sequence[Step], told: Callable[[Step, float], None]) -> None:
    """Spread what is not spread yet, one table after the other. Raises SpreadingFailed."""
    for step in steps:
        if step.done:
            continue
        began = time.monotonic()
        try:
            if step.beside is None:
                await connection.execute(_LEAD, step.table, step.column, step.shards)
            else:
                await connection.execute(_BESIDE, step.table, step.column, step.beside)
        except asyncpg.PostgresError as error:
            raise SpreadingFailed(f"{step.table}: {_said(error)}") from error
        told(step, time.monotonic() - began)


async def rebalance(connection: Connection, told: Callable[[Progress], None]) -> Progress | None:
    """Have Citus move shards until the workers hold equal parts, and follow it; None where nothing is to be moved.

    One that is under way already is followed. Raises NoCluster, SpreadingFailed.
    """
    await _workers(connection)
    try:
        if await _progress(connection) is None and await connection.fetchval("SELECT citus_rebalance_start()") is None:
            return None
        while (found := await _progress(connection)) is not None:
            told(found)
            await asyncio.sleep(LOOK_EVERY)
        over = await _progress(connection, over=True)
    except asyncpg.PostgresError as error:
        raise SpreadingFailed(_said(error)) from error
    if over is None:
        return None
    if over.state != "finished":
        raise SpreadingFailed(f"the rebalancing is {over.state}: SELECT * FROM citus_rebalance_status() says more")
    return over


async def _progress(connection: Connection, over: bool = False) -> Progress | None:
    """The newest rebalancing, where it is under way, or over."""
    row = await connection.fetchrow(_REBALANCING)
    if row is None or (row["state"] in ("finished", "failed", "cancelled")) is not over:
        return None
    tasks: dict[str, int] = json.loads(row["tasks"] or "{}")
    return Progress(row["state"], tasks.get("done", 0), sum(tasks.values()))


async def _workers(connection: Connection) -> int:
    """How many nodes take shards. Raises NoCluster."""
    if await connection.fetchval("SELECT extversion FROM pg_extension WHERE extname = 'citus'") is None:
        raise NoCluster("the database lacks the extension: CREATE EXTENSION citus, on every node")
    nodes = await connection.fetch("SELECT groupid, shouldhaveshards FROM pg_dist_node WHERE isactive")
    if not any(row["groupid"] == 0 for row in nodes):
        raise NoCluster("this is no coordinator that knows itself: SELECT citus_set_coordinator_host('…')")
    workers = sum(bool(row["shouldhaveshards"]) for row in nodes)
    if not workers:
        raise NoCluster("there are no workers: SELECT citus_add_node('…', 5432)")
    if await connection.fetchval("SHOW wal_level") != "logical":
        raise NoCluster("wal_level is not logical: rows are copied by logical replication while the hub writes")
    return workers


def misplaced(laid: Mapping[str, asyncpg.Record]) -> Iterator[Misplaced]:
    """What is spread that is not to be, by another column or away from its group."""
    wanted = layout().spread
    for name, row in laid.items():
        one: Spread | None = wanted.get(name)
        if one is None:
            if name in layout().here:
                yield Misplaced(
                    f"{name} is {row['kind']}, and is to be on the log's node alone",
                    f"SELECT undistribute_table('{name}')",
                )
            continue
        again = f"SELECT alter_distributed_table('{name}', distribution_column := '{one.column}'"
        again += ")" if name == one.leader else f", colocate_with := '{one.leader}')"
        if (row["kind"], row["column"]) != ("distributed", one.column):
            yield Misplaced(f"{name} is {row['kind']} by {row['column']}, and is to be spread by {one.column}", again)
        elif one.leader not in laid or laid[one.leader]["colocation_id"] != row["colocation_id"]:
            yield Misplaced(f"{name} does not lie with {one.leader}", again)


def _said(error: asyncpg.PostgresError) -> str:
    """What Citus said, with its hint, in one line."""
    parts = (str(part) for part in (error.args[0] if error.args else error, getattr(error, "hint", None)) if part)
    return " ".join(" ".join(parts).split())


_SIZES = """
SELECT name, pg_total_relation_size(name::regclass) + (
    SELECT coalesce(sum(pg_total_relation_size(relid)), 0) FROM pg_partition_tree(name::regclass) WHERE level > 0
)::bigint AS bytes FROM unnest($1::text[]) AS name
"""
_LEAD = "SELECT create_distributed_table_concurrently($1::text::regclass, $2, 'hash', 'none', $3::int)"
_BESIDE = "SELECT create_distributed_table_concurrently($1::text::regclass, $2, 'hash', $3)"
_REBALANCING = """
SELECT state::text AS state, (details -> 'task_state_counts')::text AS tasks FROM citus_rebalance_status()
ORDER BY job_id DESC LIMIT 1
"""
