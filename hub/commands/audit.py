"""`xieban audit`: the whole log walked, everything stored held against it."""

import asyncio

import msgspec
import typer

from hub import audit as auditing
from hub import processes
from hub.commands.beside import existing
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, remark, say
from hub.identity import hub_key
from hub.store.moment import moment

EXAMPLES = examples("xieban audit --data /var/lib/xieban", "xieban audit --data ./hub --json | jq .findings")


def audit(data: Data, config: Config = None, json: Json = False) -> None:
    """核对全部日志、消息与收件箱。 Walk the whole log; status 0 only if everything holds.

    可在枢纽运行时执行。每个叶节点、瓦片、消息摘要、收件箱位置和案件状态都从日志重算。

    Works beside a running hub. Every leaf, tile, digest, mailbox position and case is held against the log.
    """
    settings = existing(data, config)

    async def work() -> auditing.Report:
        key = hub_key(data.resolve()).public
        async with processes.attached(data.resolve(), settings) as dsn, moment(dsn) as seen:
            report = await auditing.walk(seen.connection, key, settings.catalogue())
            await seen.require_whole(dsn)
            return report

    report = asyncio.run(work())
    if json:
        as_json({**msgspec.to_builtins(report), "holds": not report.findings})
    else:
        for finding in report.findings:
            remark(f"✗ {finding}")
        say(f"条目 entries {report.entries} · 消息 messages {report.messages} · 位置 positions {report.positions}")
        say("全部一致 · everything holds" if not report.findings else f"{len(report.findings)} 处不符 · do not hold")
    if report.findings:
        raise typer.Exit(1)
