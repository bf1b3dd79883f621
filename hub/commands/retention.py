"""`xieban retention`: what is past the time for which content is kept, and erasing it now."""

from typing import Annotated

import asyncpg
import typer

from hub.commands import beside
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, say, table
from hub.erasure import retention as keeping
from hub.erasure.retention import Month
from hub.identity import establish, hub_key
from hub.store import Connection

EXAMPLES = examples("xieban retention --data DIR", "xieban retention --run --data DIR --config config.toml")


def retention(
    data: Data,
    run: Annotated[bool, typer.Option("--run", help="现在就删除。 Erase it now.")] = False,
    months: Annotated[
        int | None, typer.Option("--months", min=1, max=1200, help="按此保留月数，而非配置。 Instead of config.toml's.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """到期应删除的月份；枢纽每天自动删除。 The months whose content is past its time; erased daily by the hub.

    保留月数在 config.toml 的 [retention] 中；未办结的案件和期内有变动的案件整件保留。

    [retention] months says how long; cases that are not ended, or moved since, are kept whole.
    """
    settings = beside.existing(data, config)
    kept = settings.retention.months if months is None else months
    if kept == 0:
        said = "content is kept for ever: set [retention] months in config.toml, or give --months"
        raise UsageFault(said, check="for-ever")

    async def work(connection: Connection) -> list[Month]:
        catalogue = settings.catalogue()
        found = await keeping.due(connection, catalogue, kept)
        if not run:
            return found
        identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
        limit, done = keeping.before(kept), []
        for one in found:
            try:
                done.append(await keeping.erase_month(connection, identity, catalogue, one, limit))
            except asyncpg.LockNotAvailableError:
                said = f"{one.month:%Y-%m}: somebody reads the messages just now; try again later"
                raise UsageFault(said, check="busy") from None
        return done

    found = beside.run(data, config, work)
    if json:
        as_json(found)
        return
    if not found:
        say("没有到期的内容 · nothing is past its time")
        return
    columns = ["月份 month", "消息 messages", "字节 bytes", "已删 erased" if run else "应删 to erase", "条目 entry"]
    table(columns, [(f"{one.month:%Y-%m}", one.messages, one.bytes, one.erased, one.entry) for one in found])
