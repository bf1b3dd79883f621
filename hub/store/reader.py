"""Where supervisors' reads go: to a replica while it keeps up with the primary, else to the primary."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeVar

import structlog

from hub import metrics
from hub.store import Connection, Pool, connecting, glimpse
from hub.store.queries import SQL

_T = TypeVar("_T")
logger = structlog.get_logger()

BEHIND: Final = 3.0
"""Seconds that a replica may be behind, or silent, and still be read."""
EVERY: Final = 0.5
WITHIN: Final = 2.0
"""Seconds in which a replica answers that is there."""
REMEMBERED: Final = 1200
"""Marks of the primary that a replica may have yet to reach."""


class Mark(NamedTuple):
    """How far a database is: the log's origin and size, and how many entries the figures have followed."""

    origin: str
    size: int
    through: int

    def has(self, other: "Mark") -> bool:
        """Whether all is there that `other` has, of the same log."""
        return self.origin == other.origin and self.size >= other.size and self.through >= other.through


async def mark(connection: Connection) -> Mark:
    """How far this database is."""
    row = await connection.fetchrow(SQL["mark"])
    assert row is not None
    return Mark(*row)


class Reader:
    """Reads of what may be seconds old. Without a replica, or while it is away or behind, the primary answers."""

    def __init__(self, primary: Pool, dsn: str | None = None, replica: Pool | None = None) -> None:
        self._primary, self._dsn, self._replica = primary, dsn, replica
        self._ahead: deque[tuple[float, Mark]] = deque(maxlen=REMEMBERED)
        self._current = float("-inf")
        self._gone = asyncio.Event()
        self._abandoned: set[asyncio.Task[Any]] = set()

    @property
    def replicated(self) -> bool:
        """Whether there is to be a replica at all."""
        return self._replica is not None

    def behind(self) -> float:
        """Seconds since the moment up to which the replica is known to have everything; inf before it was seen."""
        return asyncio.get_running_loop().time() - self._current

    @property
    def followed(self) -> bool:
        """Whether the replica is read now."""
        return self._replica is not None and self.behind() <= BEHIND and not self._gone.is_set()

    async def read(self, work: Callable[[Connection], Awaitable[_T]]) -> _T:
        """What `work` finds, seeing one moment (`hub.store.glimpse`); done again by the primary where a replica fails.

        So `work` changes nothing but what it returns.
        """
        if self._replica is not None and self.followed:
            asked = asyncio.create_task(_seen(self._replica, work))
            gone = asyncio.create_task(self._gone.wait())
            try:
                await asyncio.wait([asked, gone], return_when=asyncio.FIRST_COMPLETED)
                if asked.done() and not isinstance(asked.exception(), connecting.REFUSED):
                    metrics.READS.labels("replica").inc()
                    return asked.result()
            finally:
                gone.cancel()
                self._abandon(asked)
        metrics.READS.labels("primary").inc()
        return await _seen(self._primary, work)

    def _abandon(self, asked: asyncio.Task[Any]) -> None:
        """Not waited for: giving a connection back waits for a server that may be frozen."""
        if not asked.done():
            asked.cancel()
            self._abandoned.add(asked)
            asked.add_done_callback(self._abandoned.discard)

    async def watch_for_ever(self) -> None:
        """Look how far the replica is, as long as there is one."""
        clock, connection = asyncio.get_running_loop().time, None
        while self._dsn is not None:
            try:
                async with self._primary.acquire() as primary:
                    self._ahead.append((clock(), await mark(primary)))
                connection = connection or await connecting.connect(self._dsn, timeout=WITHIN, command_timeout=WITHIN)
                self._reached(await mark(connection))
            except connecting.REFUSED as error:
                if connection is not None:
                    connection.terminate()
                connection = None
                if not self._gone.is_set():
                    logger.warning("replica-away", why=str(error)[:200])
                self._gone.set()
            await asyncio.sleep(EVERY)

    def close(self) -> None:
        """Let go of the replica, answering or not."""
        if self._replica is not None:
            self._replica.terminate()

    def _reached(self, there: Mark) -> None:
        self._gone.clear()
        while self._ahead and there.has(self._ahead[0][1]):
            self._current, _ = self._ahead.popleft()


async def _seen(pool: Pool, work: Callable[[Connection], Awaitable[_T]]) -> _T:
    async with glimpse(pool) as connection:
        return await work(connection)


async def reader(primary: Pool, dsn: str | None, most: int) -> Reader:
    """A reader with `most` connections to the replica, if any; it need not be there yet."""
    if dsn is None:
        return Reader(primary)
    return Reader(primary, dsn, await connecting.pool(dsn, most, timeout=WITHIN))
