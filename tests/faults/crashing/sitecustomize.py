"""Fault points without a line in the product: a worker started with this folder in PYTHONPATH dies where it is told.

The interpreter loads a module of this name by itself. The file that XIEBAN_CRASH names holds the order, `before` or
`after` and the name of a statement of the batch (`COMMIT` too); who carries it out takes the file away and is gone
by SIGKILL, as from a power cut.
"""

import os
import signal
import sys
from typing import Any

ORDER = os.environ.get("XIEBAN_CRASH", "")


def crash_if_told(moment: str, query: str) -> None:
    """Die here if that is the order."""
    from hub.store.queries import SQL

    try:
        with open(ORDER) as file:
            when, _, name = file.read().partition(" ")
    except OSError:
        return
    if moment == when and query == SQL.get(name, f"{name};"):
        try:
            os.rename(ORDER, f"{ORDER}.done")
        except OSError:
            return  # another worker was quicker
        os.kill(os.getpid(), signal.SIGKILL)


def interposed(statement: Any, batches: set[int]) -> Any:
    """The method of a connection, with a fault point before it and after it while it is in a batch."""

    async def run(connection: Any, query: str, *arguments: Any, **options: Any) -> Any:
        from hub.store.queries import SQL

        if query == SQL["lock_head"]:
            batches.add(id(connection))
        if id(connection) not in batches:
            return await statement(connection, query, *arguments, **options)
        crash_if_told("before", query)
        try:
            return await statement(connection, query, *arguments, **options)
        finally:
            if query in ("COMMIT;", "ROLLBACK;"):
                batches.discard(id(connection))
            crash_if_told("after", query)

    return run


def install() -> None:
    """Put the fault points into asyncpg, by which every statement goes."""
    from asyncpg.connection import Connection

    batches: set[int] = set()
    for name in ("execute", "fetch", "fetchrow"):
        setattr(Connection, name, interposed(getattr(Connection, name), batches))


if ORDER and "hub.worker" in sys.orig_argv:
    install()
