"""`xieban poll`: the mailbox read, opened, followed and signed for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters.client import Client, Cursor, Item
from hub.commands import files, sending
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import DEFAULT_PATIENCE, As, Hub, Json, Keys, Passphrase, Patience
from hub.commands.output import as_json, as_line, pretty, remark, say
from hub.commands.partner import Partner, connected
from keys.errors import BadSeal
from protocols import entries
from protocols import receipt as receipts

EXAMPLES = examples(
    "xieban poll --open --acknowledge",
    "xieban poll --after 42 --json | jq .items",
    "xieban poll --follow --cursor ~/xieban.cursor --open --json",
    "xieban poll --after 42 --prove-end end.jose",
    "xieban poll --save inbox && xieban verify inbox/1.receipt.json --message inbox/1.jose --key hub.jwks",
)
SEALED = ("sealed", "sealed_digest")


def poll(
    hub: Hub,
    organisation: As,
    keys: Keys,
    after: Annotated[
        int | None, typer.Option("--after", min=0, metavar="N", help="从此位置之后读，默认 0。 Read on after here.")
    ] = None,
    cursor: Annotated[
        Path | None,
        typer.Option(
            "--cursor", metavar="FILE", help="读到哪里记在此文件，下次接着读。 Keep the position in this file."
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="一直等待新消息，枢纽重启也不中断。 Wait for more, for ever.")
    ] = False,
    acknowledge: Annotated[
        bool, typer.Option("--acknowledge", help="以本机构密钥签收。 Sign for what was read with your own key.")
    ] = False,
    open: Annotated[bool, typer.Option("--open", help="打开密封内容。 Open what is sealed.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=500, help="一次最多几条。 Most items at once.")] = 100,
    wait: Annotated[int, typer.Option(min=0, max=30, help="没有消息时等几秒。 Seconds to wait for something.")] = 0,
    of: Annotated[
        str | None,
        typer.Option(
            "--of",
            metavar="ORGANISATION",
            help="读所承继或所代理机构的收件箱。 The mailbox of who you succeeded, or of who lets you sign.",
        ),
    ] = None,
    prove_end: Annotated[
        Path | None,
        typer.Option(
            "--prove-end",
            metavar="FILE",
            help="存下枢纽签名的“到此为止”，见 verify-end。 Keep the hub's signed word where the mailbox ends.",
        ),
    ] = None,
    save: Annotated[
        Path | None,
        typer.Option("--save", metavar="DIR", help="保存原始消息与回执。 Keep each message and its receipt in files."),
    ] = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """读收件箱；每条消息的签名和回执都先验证。 Read the mailbox; every signature and receipt is verified first.

    --json 输出 {items,next,behind}；与 --follow 并用时每条消息一行。

    With --json: {items,next,behind}; with --follow a line for each message. Ctrl-C ends --follow.
    """
    if after is not None and cursor is not None:
        raise UsageFault("--after and --cursor both say where to begin; give one")
    if follow and (of or prove_end):
        raise UsageFault("--of and --prove-end are for one page: not with --follow")
    partner = Partner(hub, organisation, keys, passphrase_file, patience)
    reader = Reader(open, acknowledge, save)
    start: int | Cursor = Cursor(cursor) if cursor else after or 0
    if save is not None:
        save.mkdir(parents=True, exist_ok=True)

    async def work() -> None:
        async with connected(partner, opening=open) as client:
            if follow:
                await _follow(client, reader, start, limit, json)
            else:
                await _page(client, reader, start, Asked(limit, wait, of, prove_end), json)

    try:
        asyncio.run(work())
    except KeyboardInterrupt:
        if not follow:
            raise
        raise typer.Exit(130) from None


@dataclass(frozen=True, slots=True)
class Asked:
    """What page is asked for; see `Client.poll`."""

    limit: int
    wait: int
    of: str | None
    prove_end: Path | None


class Reader:
    """What is done with each message: opened, saved, shown, and at the end signed for."""

    def __init__(self, opening: bool, acknowledging: bool, save: Path | None) -> None:
        self.opening, self.acknowledging, self.save = opening, acknowledging, save

    def read(self, client: Client, item: Item) -> dict[str, Any]:
        """The message as shown. Raises BadSeal: what can't be opened is not signed for."""
        if self.save is not None:
            files.keep(self.save / f"{item.position}.jose", item.compact)
            sending.keep_receipt(self.save / f"{item.position}.receipt.json", item.receipt)
        shown = described(item)
        if self.opening and shown["sealed"]:
            try:
                shown["content"] = client.unseal(item)
            except BadSeal as fault:
                raise BadSeal(fault.detail, position=item.position) from None
        return shown


async def _page(client: Client, reader: Reader, start: int | Cursor, asked: Asked, json: bool) -> None:
    mailbox = asked.of or client.organisation
    after = start.load(client.hub, mailbox) if isinstance(start, Cursor) else start
    proving = asked.prove_end is not None
    page = await client.poll(after, limit=asked.limit, wait=asked.wait, of=asked.of, prove_end=proving)
    if asked.prove_end is not None and page.end is not None:
        files.keep(asked.prove_end, page.end.token.encode())
        remark(f"收件箱到 {page.end.position} 为止 · the mailbox ends there, signed: {asked.prove_end}")
    shown = [reader.read(client, item) for item in page.items]
    if json:
        as_json({"items": shown, "next": page.next, "behind": page.behind})
    else:
        for one in shown:
            _print(one)
        remark(f"读到 · read up to {page.next}，其后还有 · left beyond it: {page.behind}")
    if reader.acknowledging and page.items:
        await client.acknowledge(page.items[-1])
        remark(f"已签收至 · signed for up to {page.items[-1].position}")
    if isinstance(start, Cursor):
        start.save(client.hub, mailbox, page.next)


async def _follow(client: Client, reader: Reader, start: int | Cursor, limit: int, json: bool) -> None:
    items: AsyncIterator[Item] = client.follow(start, limit=limit)
    async for item in items:
        shown = reader.read(client, item)
        as_line(shown) if json else _print(shown)
        if reader.acknowledging:
            await client.acknowledge(item)


def described(item: Item) -> dict[str, Any]:
    """A message received, for a machine; the open part without the sealed one."""
    event = item.event
    accepted = entries.decode(receipts.leaf(item.receipt.log))
    return {
        "position": item.position,
        "id": event.id,
        "case": event.subject,
        "type": event.type,
        "source": event.source,
        "gateway": item.gateway,
        "recipients": list(event.recipients),
        "answers": event.causationid,
        "accepted": item.receipt.accepted,
        "due": getattr(accepted, "due", None),
        "data": {name: value for name, value in event.data.items() if name not in SEALED},
        "sealed": "sealed" in event.data,
    }


def _signed_by(shown: dict[str, Any]) -> str:
    return f"（{shown['gateway']} 代签 signed）" if shown["gateway"] else ""


def _print(shown: dict[str, Any]) -> None:
    say(f"#{shown['position']} {shown['accepted']} {shown['type']}  来自 from {shown['source']}{_signed_by(shown)}")
    say(f"案件 case {shown['case']}  消息 message {shown['id']}  期限 due {shown['due'] or '—'}")
    say(pretty(shown["data"]))
    if "content" in shown:
        say(f"密封内容 · sealed content\n{pretty(shown['content'])}")
    elif shown["sealed"]:
        say("另有密封内容，加 --open 打开 · there is a sealed part: add --open")
    say("")
