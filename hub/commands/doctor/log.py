"""The log in the database, held against what was published from this data directory."""

from pathlib import Path

from hub import published
from hub.commands.doctor.finding import Report, at, edited
from hub.published import DatabaseElsewhere, Kept
from hub.store import Connection
from keys.errors import KeyStoreFault
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore


async def filled(report: Report, connection: Connection, data: Path, file: Path | None) -> bool:
    """Whether there is a log, where one was published."""
    try:
        await published.require_filled(connection, _kept(data))
    except DatabaseElsewhere as fault:
        report.error(fault.code, "数据库是空的，枢纽的日志在别的数据库里", fault.detail,
                     edited(file, "[database] url = …  改回 as it was; 迁移 to move: docs/backup.md"))  # fmt: skip
        return False
    return True


async def current(report: Report, connection: Connection, data: Path, file: Path | None) -> None:
    """Whether it has all that was published; an older one has lost something."""
    lost = await published.lost(connection, _kept(data))
    if lost is None:
        return
    report.error("log-not-current", f"数据库比已发布的日志旧，缺 {lost.checkpoint.size} 条时的检查点",
                 f"the database's log lacks the checkpoint of {lost.checkpoint.size} entries that was published",
                 f"xieban restore --not-current {at(data, file)}"
                 "  # 仅当没有更新的数据库 · only if there is no newer one")  # fmt: skip


def _kept(data: Path) -> list[Kept]:
    try:
        keys = [key for key in KeyStore(data / "keys").public_keys() if isinstance(key, VerifyingKey)]
    except KeyStoreFault:
        return []  # said of the keys already
    return published.kept(data, keys)
