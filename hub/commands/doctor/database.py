"""The database: reachable, new enough, migrated, set so that it loses nothing, in time, and this hub's."""

import asyncio
import fcntl
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from hub import organisations, processes, published, vitals
from hub.commands.doctor import cluster, log, standby
from hub.commands.doctor.finding import Report, at, edited, keys_back, psql, quoted
from hub.config import Config
from hub.identity import PUBLISHED, holds_keys
from hub.organisations import Directory
from hub.store import Connection, connecting, embedded, migrate
from hub.store.queries import SQL
from keys import checkpoint
from keys.errors import BadCheckpoint, Fault, KeyStoreFault
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore
from protocols import deadlines

OLDEST = 150000
"""PostgreSQL 15."""
CLOCK = 2.0
"""Seconds that clocks may be apart."""
SILENT = 30.0
SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}
"""What a promise that nothing is lost stands on (PostgreSQL, "Reliability and the Write-Ahead Log")."""
ALSO_SAFE = {"remote_apply", "remote_write", "local"}
"""Further values of synchronous_commit that outlive a crash of this server."""

Said = Callable[..., str]
"""The command that says statements to the database."""


def running(data: Path) -> bool:
    """Whether a hub holds the data directory now."""
    try:
        with open(data / "lock") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


async def key_gone(data: Path, config: Config) -> bool:
    """Whether a hub has a log and no key: something was published from here, or the database has one."""
    if holds_keys(data):
        return False
    if any((data / PUBLISHED).glob("*")):
        return True
    if config.database.url is None and not embedded.made(data):
        return False
    try:
        async with processes.database(data, config, "error") as dsn, processes.connected(dsn) as connection:
            return await published.filled(connection)
    except Fault:
        return config.database.url is None  # a database that does not start was somebody's


async def check(report: Report, data: Path, config: Config, file: Path | None, running: bool) -> Directory | None:
    """Everything about the database, whose hub is `running`; the directory in it, where it could be read."""
    report.looked.append("database")
    log = data / "postgres.log"
    before = log.stat().st_size if log.exists() else 0
    try:
        if config.database.url is not None:
            return await _connected(report, config.database.url, data, config, file, running)
        async with embedded.attached(data) as dsn:
            return await _connected(report, dsn, data, config, file, running)
    except Fault as fault:
        why = _last_words(log, before)
        report.error(fault.code, "内置数据库没有启动", f"the embedded database does not start: {why}",
                     f"tail -n 20 {quoted(log)}")  # fmt: skip
    return None


def _last_words(log: Path, before: int) -> str:
    """What the log says since it had so many bytes: what an earlier run ended with is no reason now."""
    try:
        said = log.read_bytes()[before:].decode("utf-8", "replace").splitlines()
    except OSError:
        return "no postgres.log"
    said = [line for line in said if "starting up" not in line]  # which is what it says to whoever asks too early
    return next((line for line in reversed(said) if "FATAL" in line or "PANIC" in line), said[-1] if said else "")


async def _connected(
    report: Report, dsn: str, data: Path, config: Config, file: Path | None, running: bool
) -> Directory | None:
    said = _embedded_psql(data) if config.database.url is None else psql
    try:
        connection = await connecting.connect(dsn, timeout=5)
    except connecting.REFUSED as error:
        report.error("database-unavailable", "数据库连不上", f"the database does not let us in: {error}",
                     said("SELECT 1"))  # fmt: skip
        return None
    try:
        async with asyncio.timeout(30):
            await _settings(report, connection, said)
            await standby.check(report, dsn, connection, said, file)
            await _clock(report, connection)
            if not await log.filled(report, connection, data, file) or not await _migrations(
                report, connection, data, file
            ):
                return None
            await cluster.check(report, connection, data, file)
            await _identity(report, connection, data, config, file)
            await log.current(report, connection, data, file)
            await _scheduler(report, connection, said, at(data, file), running)
            return await organisations.load(connection)
    finally:
        await connection.close()


def _embedded_psql(data: Path) -> Said:
    program = f"{quoted(embedded.program('psql'))} {quoted(embedded.dsn(data))}"
    return lambda *statements: " ".join([program, *(f"-c {quoted(one)}" for one in statements)])


async def _settings(report: Report, connection: Connection, said: Said) -> None:
    version = int(await connection.fetchval("SHOW server_version_num"))
    if version < OLDEST:
        report.error("database-old", f"PostgreSQL {version // 10000} 太旧", f"PostgreSQL {version // 10000} is too old",
                     "apt install postgresql  # 15 或更新 · 15 or newer")  # fmt: skip
    for name, wanted in SAFE.items():
        value = str(await connection.fetchval(f"SHOW {name}"))
        if value != wanted and not (name == "synchronous_commit" and value in ALSO_SAFE):
            report.error("database-unsafe", f"数据库 {name} = {value}，断电会丢数据",
                         f"with {name} = {value} a crash loses what was acknowledged",
                         said(f"ALTER SYSTEM SET {name} = {wanted}",
                              f"ALTER DATABASE {await _name(connection)} RESET {name}",
                              "SELECT pg_reload_conf()"))  # fmt: skip
    if await connection.fetchval("SHOW data_checksums") != "on":
        report.warning("database-unchecked", "数据库没有页校验和", "the database has no checksums: decay goes unseen",
                       "pg_checksums --enable -D PGDATA  # 停库后 · while it is stopped")  # fmt: skip


async def _name(connection: Connection) -> str:
    return str(await connection.fetchval("SELECT quote_ident(current_database())"))


async def _clock(report: Report, connection: Connection) -> None:
    before = datetime.now(UTC)
    theirs = await connection.fetchval("SELECT clock_timestamp()")
    off = vitals.offset(before, theirs, datetime.now(UTC))
    if abs(off) > CLOCK:
        report.error("clock-off", f"本机时钟与数据库相差 {off:+.1f} 秒",
                     f"this clock is {off:+.1f} s ahead of the database's",
                     "timedatectl set-ntp true  # 两台机器 · on both machines")  # fmt: skip


async def _migrations(report: Report, connection: Connection, data: Path, file: Path | None) -> bool:
    """Whether the tables are those of this version."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        report.warning("database-empty", "数据库还是空的", "the database is empty yet",
                       f"xieban serve {at(data, file)}")  # fmt: skip
        return False
    done = {row["name"]: row["sha256"] for row in await connection.fetch("SELECT name, sha256 FROM migration")}
    shipped = {
        file.stem: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(migrate.FOLDER.glob("*.sql"))
    }
    newer = sorted(done.keys() - shipped.keys())
    other = sorted(name for name, digest in done.items() if shipped.get(name, digest) != digest)
    missing = sorted(shipped.keys() - done.keys())
    if newer or other:
        report.error("migration-mismatch", f"数据库是另一版本的：{(newer + other)[-1]}",
                     f"the database is of another version: {(newer + other)[-1]}",
                     "pip install --upgrade xieban")  # fmt: skip
    elif missing:
        report.warning("migration-missing", f"数据库还缺 {len(missing)} 步升级",
                       f"the database lacks {', '.join(missing)}",
                       f"xieban store migrate {at(data, file)}")  # fmt: skip
    return not (newer or other or missing)


async def _identity(report: Report, connection: Connection, data: Path, config: Config, file: Path | None) -> None:
    head = await connection.fetchrow(SQL["head"])
    if head is None:
        return
    if head["hub"] != config.hub.id:
        report.error("another-hub", f"数据库属于 {head['hub']}，配置说是 {config.hub.id}",
                     f"the database is that of {head['hub']}, the configuration says {config.hub.id}",
                     edited(file, f'[hub] id = "{head["hub"]}"'))  # fmt: skip
    try:
        keys = [key for key in KeyStore(data / "keys").public_keys() if isinstance(key, VerifyingKey)]
        checkpoint.verify_checkpoint(head["note"], keys, head["origin"])
    except BadCheckpoint:
        away = f"mv {quoted(data / 'keys')} {quoted(data / 'keys.other')}"
        report.error("another-key", "日志是用另一把密钥签的", "the log is signed with a key that is not here",
                     f"{away} && {keys_back(data, file)}")  # fmt: skip
    except KeyStoreFault:
        return  # said of the keys already


async def _scheduler(report: Report, connection: Connection, said: Said, where: str, running: bool) -> None:
    row = await connection.fetchrow(SQL["vitals"])
    if row is None:
        return
    silent = (row["now"] - row["seen"]).total_seconds() if row["seen"] is not None else 0.0
    if running and silent > SILENT:
        report.error(
            "scheduler-silent",
            f"定时任务 {silent:.0f} 秒无人领导",
            f"no leader for {silent:.0f} s",
            said("SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'"),
        )
    if row["failing"]:
        report.warning("job-failing", f"{row['failing']} 项定时任务出错", f"{row['failing']} jobs go wrong",
                       f"xieban schedule list {where}")  # fmt: skip


def ending(report: Report, directory: Directory, data: Path, file: Path | None) -> None:
    """What runs out soon: keys, delegations, neighbours, the calendar."""
    report.looked.append("ending")
    now, where = datetime.now(UTC), at(data, file)
    soon = vitals.soon(directory, now)
    for id in soon.keys:
        report.warning("key-ending", f"{id} 的密钥 14 天内到期", f"the last key of {id} ends within 14 days",
                       f"xieban keys new --keys DIR --organisation {id} > new.json  # 在该机构，再 · there; then: "
                       f"xieban organisations import new.json {where}")  # fmt: skip
    for given in soon.delegations:
        scope = " ".join(f"--scope {quoted(one)}" for one in given.scope)
        report.warning("delegation-ending", f"{given.organisation} 给 {given.gateway} 的委托 14 天内到期",
                       f"{given.gateway} signs for {given.organisation} until {given.ends:%Y-%m-%d}",
                       f"xieban delegations give {given.gateway} {scope} --as {given.organisation}"
                       "  # 由该机构 · by that organisation")  # fmt: skip
    for one in soon.neighbours:
        report.warning("neighbour-ending", f"邻接枢纽 {one.hub} 的担保 14 天内到期",
                       f"{one.hub} is a neighbour until {one.expires:%Y-%m-%d}",
                       f"xieban hubs admit new.chain --url {quoted(one.url)} {where}"
                       "  # 信任锚的新担保 · the anchor's new word")  # fmt: skip
    days, year = vitals.known_days(directory.calendar, now), deadlines.local_date(now).year
    if days < 31:
        report.warning("calendar-missing", f"节假日安排只知到 {days} 天后", f"holidays are known for {days} days ahead",
                       f"xieban calendar publish {year + 1} --file {year + 1}.toml {where}")  # fmt: skip
