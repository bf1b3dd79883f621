"""A database of several servers: the hub finds the one that takes writes, and a takeover loses nothing."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hub.commands.doctor.finding import Report, edited
from hub.store import Connection

WRITABLE = {"read-write", "primary"}
"""Values of target_session_attrs with which a standby is passed over (PostgreSQL, libpq, §"Connection parameters")."""
WAITING = {"on", "remote_apply", "remote_write"}
"""Values of synchronous_commit that wait for a standby."""


async def check(report: Report, dsn: str, connection: Connection, said: Callable[..., str], file: Path | None) -> None:
    """Of one server there is nothing to say; of several, what a takeover needs. `said` has psql say it."""
    asked = parse_qs(urlsplit(dsn).query)
    if "," not in urlsplit(dsn).netloc + "".join(asked.get("host", [])):
        return
    if not WRITABLE & set(asked.get("target_session_attrs", [])):
        report.error("standby-not-passed-over", "[database] url 列出多台，却没有说要可写的那台",
                     "[database] url names several servers and does not say that it wants the one that takes writes",
                     edited(file, "[database] url = …?target_session_attrs=read-write"))  # fmt: skip
    names = await connection.fetchval("SHOW synchronous_standby_names")
    if not names or await connection.fetchval("SHOW synchronous_commit") not in WAITING:
        report.warning("standby-asynchronous", "提交不等待备机：主机丢失时，备机可能缺最后的消息",
                       "commits wait for no standby: one that takes over may lack the last messages",
                       said("ALTER SYSTEM SET synchronous_standby_names = 'ANY 1 (*)'",
                            "SELECT pg_reload_conf()"))  # fmt: skip
