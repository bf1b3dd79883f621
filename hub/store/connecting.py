"""How the database is reached: by whichever of its servers takes us, and never for long by one that has gone silent."""

import asyncio
import socket
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from hub.store import CONNECTION_LOST, Connection, Pool

if TYPE_CHECKING:
    Opened = asyncpg.Connection[asyncpg.Record]
else:
    Opened = asyncpg.Connection

WITHIN: Final = 10.0
"""Seconds in which the only server of an address lets us in."""
EACH: Final = 3.0
"""The same of each server where the address names several: the next is waiting to be asked."""
STATEMENT: Final = 60.0
"""Seconds that a statement may take."""
COMMIT: Final = "COMMIT;"
"""How asyncpg says it."""
NEVER: Final = 1e9
"""Seconds after which asyncpg may cancel a commit."""
SILENT: Final = 5
"""Seconds after which a server that acknowledges no packet is held to be gone."""
REFUSED: Final[tuple[type[Exception], ...]] = (asyncpg.PostgresError, ValueError, *CONNECTION_LOST)
"""Why there is no connection, or no answer that says anything of the question (a recovery ended it); a ValueError is
about an address that can't be one."""


class CommitUnconfirmed(ConnectionError):
    """Committed by the server that was asked, and perhaps by no standby: it may be gone with that server."""


class _Watched(asyncpg.Connection):
    """A connection that ends soon after its other end has gone silent, and whose commits hold or are unknown.

    A commit that waits for a standby must not be cancelled: PostgreSQL then says that it is done, and shows it to
    everybody ("Synchronous Replication", §27.2.8). So one that takes too long, or that nobody waits for any more, is
    left to itself by closing the connection; and one that somebody else cancelled, of which there is a warning, counts
    as unknown.
    """

    __slots__ = ("_warned", "bound")

    bound: float | None
    """Seconds that a commit may take, as any other statement."""

    def __init__(self, protocol: Any, transport: Any, *rest: Any) -> None:
        super().__init__(protocol, transport, *rest)
        self._warned, self.bound = False, None
        _watch(transport.get_extra_info("socket"))

    async def execute(self, query: str, *arguments: Any, timeout: float | None = None) -> str:
        """As asyncpg does; raises CommitUnconfirmed besides."""
        if query != COMMIT:
            return str(await super().execute(query, *arguments, timeout=timeout))
        self._warned = False
        self.add_log_listener(self._noted)
        committing = asyncio.ensure_future(super().execute(query, timeout=NEVER))
        try:
            async with asyncio.timeout(self.bound):
                done = await asyncio.shield(committing)
        except (TimeoutError, asyncio.CancelledError):
            self.terminate()
            committing.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
            raise
        finally:
            self.remove_log_listener(self._noted)
        if self._warned:
            raise CommitUnconfirmed("the commit's wait for a standby was cancelled")
        return str(done)

    def _noted(self, _: Any, message: asyncpg.PostgresLogMessage) -> None:
        self._warned = True


def _watch(end: Any) -> None:
    """Ask TCP to look after the other end (tcp(7)): what is not acknowledged counts, and so does what nobody says."""
    if end.family == socket.AF_UNIX:
        return
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        ("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", SILENT - 2), ("TCP_USER_TIMEOUT", SILENT * 1000),
    ):  # fmt: skip
        if hasattr(socket, option):  # a system that lacks one keeps its own
            end.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class Servers:
    """The servers that an address names, tried in turn from the one that took us last."""

    def __init__(self, dsn: str) -> None:
        self._each = _each(dsn)
        self._last = 0

    async def connect(self, *, timeout: float = WITHIN, **options: Any) -> Opened:
        """A connection. Raises one of REFUSED."""
        start, many = self._last, len(self._each)
        failed: Exception = ValueError("the address names no server")
        for turn in range(many):
            at = (start + turn) % many
            try:
                found: _Watched = await asyncpg.connect(
                    self._each[at], timeout=min(timeout, EACH) if many > 1 else timeout,
                    **options | {"connection_class": _Watched},
                )  # fmt: skip
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InternalClientError) as error:
                failed = error
            else:
                self._last, found.bound = at, options.get("command_timeout")
                return found
        raise failed


def _each(dsn: str) -> list[str]:
    """The same address with one server at a time (libpq, "Specifying Multiple Hosts")."""
    parts = urlsplit(dsn)
    account, at, hosts = parts.netloc.rpartition("@")
    if "," in hosts:
        return [urlunsplit(parts._replace(netloc=account + at + one)) for one in hosts.split(",")]
    asked = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "," not in asked.get("host", ""):
        return [dsn]
    found = asked["host"].split(",")
    ports = asked.get("port", "").split(",")
    ports = ports * len(found) if len(ports) == 1 else ports
    return [
        urlunsplit(parts._replace(query=urlencode(asked | {"host": host} | ({"port": port} if port else {}))))
        for host, port in zip(found, ports, strict=True)
    ]


async def connect(dsn: str, *, timeout: float = WITHIN, **options: Any) -> Opened:
    """One connection, as `Servers.connect` makes them."""
    return await Servers(dsn).connect(timeout=timeout, **options)


async def _nothing(_: object) -> None:
    """What is to be done with a connection that is given back: no session state is ever set on one."""


async def pool(dsn: str, most: int, least: int = 0, timeout: float = WITHIN) -> Pool:
    """So many connections, with a bound on every statement, opened at whichever server takes us at the time."""
    servers = Servers(dsn)

    async def opened(dsn: str | None = None, **options: Any) -> Opened:
        return await servers.connect(**options)

    return await asyncpg.create_pool(
        connect=opened, connection_class=_Watched, min_size=least, max_size=most, timeout=timeout,
        command_timeout=STATEMENT, reset=_nothing,
    )  # fmt: skip


async def others(connection: Connection) -> int:
    """How many besides this one are connected to its database: a hub of any node is among them while it runs."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    )
