"""`xieban notices`: what the hub tells an organisation of deadlines."""

import asyncio
from typing import Annotated

import typer

from adapters.client import Notices
from hub.commands.help_text import examples
from hub.commands.options import DEFAULT_PATIENCE, As, Hub, Json, Keys, Passphrase, Patience
from hub.commands.output import as_json, say, table
from hub.commands.partner import Partner, connected

EXAMPLES = examples("xieban notices", "xieban notices --after 42 --json | jq '.items[] | select(.kind == \"overdue\")'")


def notices(
    hub: Hub,
    organisation: As,
    keys: Keys,
    after: Annotated[int, typer.Option(min=0, metavar="N", help="从此编号之后读。 Read on after here.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=500, help="最多几条。 Most items.")] = 100,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """期限提醒：即将到期、已超期、下级超期、期限变更、通报未报。 Due soon, overdue, escalated, moved, missing.

    提醒只为方便，不是证明；所说的期限与经过都在日志中。

    Notices are a convenience and prove nothing: what they speak of is in the log.
    """
    partner = Partner(hub, organisation, keys, passphrase_file, patience)

    async def read() -> Notices:
        async with connected(partner) as client:
            return await client.notices(after, limit)

    found = asyncio.run(read())
    if json:
        as_json(found)
        return
    table(
        ["编号 id", "提醒 notice", "案件 case", "期限 due", "涉及 about", "时间 made"],
        [(n.id, f"{n.title.zh} {n.title.en}", n.case, n.due, " ".join(n.about), n.made) for n in found.items],
    )
    say(f"下次从此继续 · read on with --after {found.next}")
