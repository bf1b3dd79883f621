"""`xieban delegations`: let a gateway sign, see who may, and take it back."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from adapters.client import Client
from adapters.client import Patience as PatienceOf
from hub.commands.help_text import examples
from hub.commands.options import DEFAULT_PATIENCE, As, Hub, Json, Keys, Passphrase, Patience
from hub.commands.output import as_json, say, table
from hub.commands.partner import Partner, connected
from keys import jwk
from protocols import delegation
from protocols.delegation import MAILBOX, Delegation
from protocols.entries import Delegated, DelegationEnded
from protocols.receipt import Proven

app = typer.Typer(
    no_args_is_help=True,
    help="委托：让网关在限定的范围和期限内代为签名。 Delegations: a gateway signs, within a scope and time.",
)


@app.command(
    epilog=examples(
        "xieban delegations give 411000-supervision --scope 'case-assistance.*' --scope mailbox --days 365",
        "xieban delegations give 411000-supervision --scope case-assistance.answer --days 30",
    )
)
def give(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="代签的机构。 The organisation that may sign.")],
    hub: Hub,
    organisation: As,
    keys: Keys,
    scope: Annotated[
        list[str],
        typer.Option(
            metavar="TYPE",
            help="消息种类、整个协议（协议.*）或 mailbox（收取与签收），可重复。"
            " A message type, a whole protocol (<protocol>.*), or mailbox for reading and acknowledging.",
        ),
    ],
    days: Annotated[int, typer.Option(min=1, max=delegation.LONGEST.days, help="天数。 For how many days.")] = 365,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """委托网关代本机构签名。 Let a gateway sign for this organisation with the gateway's own keys.

    回执、案件经过和证据都写明由谁代签；委托书本身由本机构签名，载入公开日志。

    Receipts, timelines and evidence say who signed. The delegation is signed by this organisation and logged.
    """
    begins = datetime.now(UTC)
    ends = begins + timedelta(days=days)

    async def work() -> str:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            return await client.delegate(gateway, scope, begins, ends)

    id = asyncio.run(work())
    if json:
        as_json({"id": id, "organisation": organisation, "gateway": gateway, "scope": scope, "until": ends.isoformat()})
    else:
        say(f"已委托 · {gateway} signs for {organisation} until {ends:%Y-%m-%d}: {' '.join(scope)}\n编号 id {id}")


@app.command(epilog=examples("xieban delegations end 019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7"))
def end(
    id: Annotated[str, typer.Argument(metavar="ID", help="委托编号。 The delegation's id.")],
    hub: Hub,
    organisation: As,
    keys: Keys,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """终止一项委托，立即生效。 Take a delegation back, at once; what was signed under it stays valid."""

    async def work() -> None:
        async with connected(Partner(hub, organisation, keys, passphrase_file, patience)) as client:
            await client.end_delegation(id)

    asyncio.run(work())
    if json:
        as_json({"id": id, "ended": True})
    else:
        say(f"已终止 · ended: {id}")


@app.command("list", epilog=examples("xieban delegations list 411002-health --hub https://hub.example"))
def list_(
    organisation: Annotated[str, typer.Argument(metavar="ID", help="机构。 The organisation.")],
    hub: Hub,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """谁可以代一个机构签名。 Who may sign for an organisation; every line is proven by the log."""

    async def work() -> Sequence[Proven]:
        async with Client(hub, organisation, jwk.generate_signing(), patience=PatienceOf(within=patience)) as client:
            return await client.key_events(organisation)

    rows = _rows(asyncio.run(work()))
    if json:
        as_json({"items": rows})
        return
    columns = ("编号 id", "网关 gateway", "范围 scope", "起 from", "止 until", "日志 entry")
    table(columns, ((r["id"], r["gateway"], " ".join(r["scope"]), r["from"], r["until"], r["entry"]) for r in rows))


def _rows(proven: Sequence[Proven]) -> list[dict[str, Any]]:
    ended = {one.entry.id: one.entry.at for one in proven if isinstance(one.entry, DelegationEnded)}
    rows = []
    for one in proven:
        if not isinstance(one.entry, Delegated):
            continue
        _, said = delegation.read(one.entry.statement)
        if isinstance(said, Delegation):
            until = ended.get(said.id) or said.ends.isoformat()
            rows.append(
                {
                    "id": said.id,
                    "gateway": said.gateway,
                    "scope": list(said.scope),
                    "reads": MAILBOX in said.scope,
                    "from": said.begins.isoformat(),
                    "until": until,
                    "ended": said.id in ended,
                    "entry": one.index,
                }
            )
    return rows
