"""`xieban doctor`: what is wrong here, and what mends it."""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from hub.commands.doctor import database, machine, network, partners, replica, settings
from hub.commands.doctor.finding import Report, anew, at, keys_back
from hub.commands.help_text import examples
from hub.commands.options import Config, Json
from hub.commands.output import as_json, say
from hub.config import Config as Settings
from hub.processes import last_port
from hub.store import embedded

EXAMPLES = examples(
    "xieban doctor --data /var/lib/xieban --config /etc/xieban/config.toml",
    "xieban doctor --config config.toml",
    "xieban doctor --data DIR --json | jq -r .findings[].mend",
)


def doctor(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="枢纽的数据目录，如有。 The hub's, where there is one."),
    ] = None,
    config: Config = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="serve 的端口，缺省取上次的。 Of serve, else the last one.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="不连接任何地址。 Call no address.")] = False,
    json: Json = False,
) -> None:
    """查出配置、密钥、时钟、磁盘、证书、数据库有什么不对，各给一条改正的命令。 What is wrong, and what mends it.

    枢纽运行或停止时都可用，不作任何更改。状态码 0 未发现问题，1 只有提醒，2 有错误。

    Works while the hub runs and while it does not, and changes nothing. Status 0: nothing; 1: warnings; 2: errors.
    """
    report = Report()
    asyncio.run(_examined(report, data, config, port, offline))
    if json:
        as_json({**msgspec.to_builtins(report), "status": report.status})
    else:
        _tell(report)
    raise typer.Exit(report.status)


async def _examined(report: Report, data: Path | None, file: Path | None, port: int | None, offline: bool) -> None:
    config = settings.read(report, file)
    urls: dict[str, str] = {}
    if config is not None:
        settings.check(report, config, file)
    if file is not None and settings.is_toml(file):
        urls |= partners.check(report, file)
        settings.secrets(report, file)
    machine.open_files(report)
    if data is not None:
        urls |= await _hub(report, data.resolve(), config or Settings(), port, file)
    if not offline:
        await network.addresses(report, urls)


async def _hub(report: Report, data: Path, config: Settings, port: int | None, file: Path | None) -> dict[str, str]:
    """Look at the hub of a data directory; the addresses of its neighbours."""
    if not machine.standing(report, data, file):
        return {}
    if await database.key_gone(data, config):
        report.error("hub-key-gone", f"{data}/keys 没有密钥，枢纽的日志是用它签的：从备份放回，不要新建",
                     f"{data} has lost the hub's keys, which sign its log: put them back from a backup",
                     keys_back(data, file))  # fmt: skip
        return {}
    if not (data / "keys").is_dir():
        report.error("data-directory-absent", f"{data} 没有枢纽数据", f"{data} holds no hub",
                     f"xieban serve {at(data, file)}")  # fmt: skip
        return {}
    machine.reach(report, data)
    again = f"xieban doctor {at(data, file)}"
    running = database.running(data)
    if not running:
        machine.stopped(report, data, file)
    with report.looking("backup", again):
        machine.backup(report, data, file)
    with report.looking("disk", again):
        machine.disk(report, data)
    with report.looking("hub-key", again):
        machine.hub_key(report, data)
    with report.looking("port", again):
        await network.port(report, config.server.host, port or last_port(data) or 8420, running, file)
    if config.database.url is None and not embedded.made(data) and any((data / "postgres").glob("*")):
        report.error("database-damaged", "内置数据库残缺，没有 PG_VERSION：恢复到另一个空目录",
                     f"{data / 'postgres'} is damaged, without its PG_VERSION: restore into an empty folder",
                     anew(data, file))  # fmt: skip
        return {}
    if config.database.url is None and not embedded.made(data):
        report.error("database-absent", "数据目录里没有数据库", f"{data} holds no database",
                     f"xieban serve {at(data, file)}  # 自有的给 --config · one's own: --config")  # fmt: skip
        return {}
    directory = None
    with report.looking("database", again):
        directory = await database.check(report, data, config, file, running)
    if directory is None:
        return {}
    if config.database.url is not None and config.database.replica is not None:
        with report.looking("replica", again):
            await replica.check(report, config.database.replica, config.database.url, file)
    database.ending(report, directory, data, file)
    return {one.url: f"hub {one.hub}" for one in directory.neighbours.values() if one.ended is None}


def _tell(report: Report) -> None:
    for one in report.findings:
        say(f"{'✗' if one.level == 'error' else '!'} {one.code}: {one.zh} · {one.en}\n    → {one.mend}")
    looked = ", ".join(dict.fromkeys(report.looked))
    say(f"查了 looked at: {looked}")
    if not report.findings:
        say("未发现问题 · nothing wrong")
