"""`xieban log`: the transparency log where others can read it without asking the hub."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hub import exporting
from hub.commands import beside
from hub.commands.help_text import examples
from hub.commands.options import Config, Data
from hub.commands.output import remark, say
from hub.config import Config as Settings
from hub.store import CONNECTION_LOST
from keys.errors import Fault

app = typer.Typer(no_args_is_help=True)


@app.callback()
def log() -> None:
    """透明日志，供外部读取。 The transparency log, for others to read."""


@app.command(
    epilog=examples(
        "xieban log export --to /srv/log --data DIR", "xieban log export --to /srv/log --follow --every 5 --data DIR"
    )
)
def export(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="写到哪个目录。 The folder that is served.")],
    data: Data,
    follow: Annotated[bool, typer.Option("--follow", help="持续导出。 Go on, until it is ended.")] = False,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="间隔秒数。 Seconds between looks.")] = 1,
    config: Config = None,
) -> None:
    """把日志的哈希瓦片和检查点写成文件，任何静态网站或对象存储都能发布。 The log's tiles and checkpoint as files.

    只写新增的部分，瓦片先于检查点；条目内容不在其中。可在枢纽运行时执行，目录中已有另一段历史时拒绝。

    What is new is written, tiles before the checkpoint; entries are not among them. Works beside a running hub.
    A folder that holds another history is refused.
    """
    settings = beside.existing(data, config)
    with exporting.held(to):
        asyncio.run(_follow(data, settings, to, every) if follow else _once(data, settings, to))


async def _once(data: Path, settings: Settings, to: Path) -> None:
    async with beside.database(data, settings) as connection:
        _said(await exporting.export(connection, to))


async def _follow(data: Path, settings: Settings, to: Path, every: float) -> None:
    """A database that is away is waited for; what contradicts the folder ends it."""
    while True:
        try:
            async with beside.database(data, settings) as connection:
                while True:
                    if (done := await exporting.export(connection, to)).size > done.before:
                        _said(done)
                    await asyncio.sleep(every)
        except CONNECTION_LOST as error:
            remark(f"… {error}")
        except Fault as fault:
            if fault.code != "database-unavailable":
                raise
            remark(f"… {fault.code}: {fault.detail}")
        await asyncio.sleep(every)


def _said(done: exporting.Exported) -> None:
    grown = f"条目 entries {done.before} → {done.size} · 新瓦片 new tiles {done.tiles}"
    say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {grown}")
