"""The replica of the database: there, this hub's, and keeping up."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from hub.commands.doctor.finding import Report, edited, psql
from hub.store import Connection, connecting
from hub.store.reader import BEHIND, EVERY, Mark, mark


async def check(report: Report, replica: str, primary: str, file: Path | None) -> None:
    """What keeps supervisors' reads from the replica."""
    try:
        async with _connected(primary) as first, _connected(replica) as second:
            wanted = await mark(first)
            there = await _reached(second, wanted)
    except connecting.REFUSED as error:
        report.warning("replica-away", "副本读不到，督导查询由主库承担", f"the replica can't be read: {error}",
                       psql("SELECT 1", of="replica"))  # fmt: skip
        return
    if there.origin != wanted.origin:
        report.error("replica-other", f"副本是另一日志 {there.origin} 的", f"the replica has the log {there.origin}",
                     edited(file, "[database] replica = 本库的副本 · one of this database"))  # fmt: skip
    elif not there.has(wanted):
        behind = max(wanted.size - there.size, wanted.through - there.through)
        report.warning("replica-behind", f"副本落后 {behind} 条，未被使用", f"the replica is {behind} entries behind",
                       psql("SELECT pg_wal_replay_resume()", of="replica"))  # fmt: skip


@contextlib.asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await connecting.connect(dsn, timeout=5, command_timeout=5)
    try:
        yield connection
    finally:
        connection.terminate()


async def _reached(connection: Connection, wanted: Mark) -> Mark:
    """How far a replica comes that is given the time that a hub gives it."""
    clock = asyncio.get_running_loop().time
    until = clock() + BEHIND
    while not (there := await mark(connection)).has(wanted) and clock() < until:
        await asyncio.sleep(EVERY)
    return there
