"""The hub's memory: PostgreSQL, embedded or one's own, its tables and its statements by name."""

import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Final

import asyncpg

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[Any]
    Connection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
else:
    Pool = Any
    Connection = Any

CONNECTION_LOST: Final[tuple[type[Exception], ...]] = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # asyncpg's word for a call on a connection whose end it has half seen
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # a full disk, too many connections or files
    asyncpg.PostgresSystemError,  # a disk that fails
    asyncpg.InsufficientPrivilegeError,  # files that it may not write (EACCES, EROFS)
    asyncpg.ReadOnlySQLTransactionError,  # a standby
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""What says that the database is away, or can do nothing just now: whether a commit under way happened is unknown."""


@contextlib.asynccontextmanager
async def glimpse(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that sees one moment throughout and changes nothing; each statement is planned for its values.

    A plan for any values serves a supervisor of three organisations and one of three thousand equally badly.
    """
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
        yield connection
