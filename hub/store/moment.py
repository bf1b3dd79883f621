"""One moment of the whole database, also where it is spread over a Citus cluster, which has no snapshot of all nodes.

There each node's part of a transaction sees what that node held when it was first asked (repeatable read), and a commit
reaches the nodes one after another. So all of them are first asked while the log's lock keeps every writer out and
nothing is left half committed: a moment of milliseconds (docs/decisions/0050-backup-of-a-cluster.md).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import asyncpg

from hub.store import Connection, connecting
from hub.store.queries import SQL
from keys.errors import Fault

TRIES: Final = 5
"""How often a moment is looked for in which no commit is half done."""
AGAIN: Final = 1.0
"""Seconds between two of them."""


class NotOneMoment(Fault):
    """The nodes of the cluster were not read as of one moment; it can be tried again."""

    code: ClassVar[str] = "not-one-moment"


@dataclass(frozen=True, slots=True)
class Moment:
    """A connection that sees one moment throughout and changes nothing.

    `spread` are the tables whose rows lie on the nodes of a cluster, none on an ordinary database; a part of a table
    by months is named with its whole. `_held` is where their shards lie and by which sessions they are seen.
    """

    connection: Connection
    spread: Sequence[str] = ()
    _held: frozenset[tuple[object, ...]] | None = None

    async def parts(self, table: str) -> list[str]:
        """The tables that hold the rows of a spread one: itself, or its months."""
        return [name for (name,) in await self.connection.fetch(_PARTS, table)] or [table]

    async def require_whole(self, dsn: str) -> None:
        """Raise NotOneMoment where, while it was read, a shard was moved or a node began anew."""
        if self._held is None:
            return
        try:
            now = await connecting.connect(dsn)
            try:
                placed = [tuple(row) for row in await now.fetch(_PLACED)]
            finally:
                await now.close()
            sessions = await _sessions(self.connection)
        except connecting.REFUSED as error:
            raise NotOneMoment(f"the cluster does not answer: {error}") from error
        if self._held != frozenset([*placed, *sessions]):
            raise NotOneMoment("shards were moved, or a node began anew, while it was read: do it again")


@contextlib.asynccontextmanager
async def moment(dsn: str) -> AsyncIterator[Moment]:
    """The database as it is now, for as long as it lasts. Raises NotOneMoment."""
    connection = await connecting.connect(dsn)
    try:
        if await connection.fetchval("SELECT to_regclass('pg_dist_partition')") is None:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                yield Moment(connection)
            return
        await _begin(dsn, connection)
        placed = [tuple(row) for row in await connection.fetch(_PLACED)]
        spread = list(dict.fromkeys(str(name) for name, *_ in placed))
        yield Moment(connection, spread, frozenset([*placed, *await _sessions(connection)]))
    finally:
        await connection.close()


async def _begin(dsn: str, connection: Connection) -> None:
    """Begin a transaction that has asked every node while nothing was half committed; it lasts as the connection does.

    Raises NotOneMoment.
    """
    doubtful: list[str] = []
    for _ in range(TRIES):
        try:
            async with _log_held(dsn) as holder:
                if not (doubtful := await _doubtful(holder)):
                    await _ask_all(connection)
                    return
            await connection.execute("SELECT recover_prepared_transactions()")  # as Citus does each minute by itself
        except connecting.REFUSED as error:
            raise NotOneMoment(f"the cluster does not answer: {error}") from error
        await asyncio.sleep(AGAIN)
    raise NotOneMoment(f"commits stay half done on {', '.join(doubtful)}: SELECT recover_prepared_transactions()")


async def _ask_all(connection: Connection) -> None:
    await connection.transaction(isolation="repeatable_read", readonly=True).start()
    # One session for each node: a second one of the same node would see a moment of its own.
    await connection.execute("SET LOCAL citus.max_adaptive_executor_pool_size = 1")
    for table in dict.fromkeys(row["name"] for row in await connection.fetch(_PLACED)):
        await connection.execute(f'SELECT 1 FROM "{table}" LIMIT 1')


@contextlib.asynccontextmanager
async def _log_held(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    """While it lasts nobody writes what stands in the log: whoever does holds its lock until all nodes have heard.

    Where the lock was lost on the way, the end raises one of `connecting.REFUSED`.
    """
    connection = await connecting.connect(dsn)
    try:
        async with connection.transaction():
            await connection.fetchrow(SQL["lock_head"], "0")
            yield connection
    finally:
        await connection.close()


async def _doubtful(connection: Connection) -> list[str]:
    """The nodes that hold what was prepared and neither committed nor taken back. Raises NotOneMoment."""
    found = await connection.fetch(_PREPARED)
    if away := [row["node"] for row in found if not row["success"]]:
        raise NotOneMoment(f"{', '.join(away)} of the cluster does not answer")
    return [row["node"] for row in found if row["result"] != "0"]


async def _sessions(connection: Connection) -> list[tuple[object, ...]]:
    """The sessions that this transaction has on the nodes."""
    return [tuple(row) for row in await connection.fetch(_SESSIONS)]


_PLACED: Final = """
SELECT logicalrelid::text AS name, shardid, groupid FROM pg_dist_shard JOIN pg_dist_placement USING (shardid)
WHERE NOT (SELECT relispartition FROM pg_class WHERE oid = logicalrelid) ORDER BY 1, 2, 3
"""
_PARTS: Final = "SELECT relid::regclass::text FROM pg_partition_tree($1::text::regclass) WHERE isleaf ORDER BY 1"
_PREPARED: Final = """
SELECT format('%s:%s', nodename, nodeport) AS node, success, result FROM run_command_on_all_nodes(
    'SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database() AND gid LIKE ''citus\\_%''',
    give_warning_for_connection_errors := true
) JOIN pg_dist_node USING (nodeid)
"""
_SESSIONS: Final = """
SELECT nodeid, pid, xact_start FROM citus_stat_activity
WHERE global_pid = citus_backend_gpid() AND is_worker_query AND state = 'idle in transaction'
"""
