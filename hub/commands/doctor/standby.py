"""A database of several servers: the hub finds the one that takes writes, and a takeover loses nothing."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hub.commands.doctor.finding import Report, edited
from hub.store import Connection

WRITABLE = {"read-write", "primary"}
"""Values of target_session_attrs with which a standby is passed over (PostgreSQL, libpq, §"Connection parameters")."""
WAITING = {"on", "remote_apply", "remote_write"}
"""Values of synchronous_commit that wait for a standby."""

VAIN = timedelta(seconds=5)
"""For so long a commit waits for a standby that is there."""
AWAITED = """
    SELECT count(*) FROM pg_stat_activity
    WHERE wait_event = 'SyncRep' AND state_change < clock_timestamp() - $1::interval
"""


async def check(report: Report, dsn: str, connection: Connection, said: Callable[..., str], file: Path | None) -> None:
    """Whether commits wait in vain; and of several servers, what a takeover needs. `said` has psql say it."""
    if await connection.fetchval(AWAITED, VAIN):
        report.error("standby-absent", "提交在等同步备机，没有备机应答：什么都不受理",
                     "commits wait for a synchronous standby and none answers: nothing is taken",
                     said("SELECT application_name, state, sync_state FROM pg_stat_replication"))  # fmt: skip
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
