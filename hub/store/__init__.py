"""The hub's memory: PostgreSQL, embedded or one's own, its tables and its statements by name."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[Any]
    Connection = asyncpg.Connection[Any] | PoolConnectionProxy[Any]
else:
    Pool = Any
    Connection = Any
