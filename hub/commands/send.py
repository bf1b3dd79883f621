"""`xieban send`: any message of any protocol, signed, sealed and sent; or bytes that were signed before."""

import asyncio
from typing import Annotated

import typer

from adapters.client import Sent
from hub.commands import files, sending
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import (
    DEFAULT_PATIENCE,
    As,
    Check,
    Hub,
    Json,
    Keys,
    MessageOut,
    Passphrase,
    Patience,
    Preflight,
    ReceiptOut,
    Sealed,
)
from hub.commands.partner import Partner, connected
from protocols import envelope

EXAMPLES = examples(
    "xieban protocols show case-assistance request --example > data.json",
    "xieban protocols show case-assistance request --sealed --example > sealed.json",
    "xieban send case-assistance.request --to 440306-health --data data.json --sealed sealed.json",
    "xieban send case-assistance.accept --case CASE --to 411002-health --data -",
    "xieban send --resend message.jose",
)


def send(
    hub: Hub,
    organisation: As,
    keys: Keys,
    type: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help="消息类型，如 case-assistance.request，见 protocols list。 The type."),
    ] = None,
    case: Annotated[
        str | None, typer.Option("--case", metavar="ID", help="案件编号；新案件可省略。 The case; new when left out.")
    ] = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="ORGANISATION", help="接收机构，可重复。 A recipient; repeat it."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE|-", help="开放部分 JSON，- 为标准输入。 The open part."),
    ] = None,
    sealed: Sealed = None,
    answers: Annotated[
        str | None,
        typer.Option("--answers", metavar="ID", help="所答复的消息编号。 The message that this one answers."),
    ] = None,
    resend: Annotated[
        str | None,
        typer.Option("--resend", metavar="FILE|-", help="重发此前保存的原始消息。 Send these saved bytes again."),
    ] = None,
    check: Check = True,
    preflight: Preflight = False,
    receipt: ReceiptOut = None,
    message_out: MessageOut = None,
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """签名、密封并发送一条消息。 Sign, seal and send one message; the receipt is verified.

    同样的字节重发多少次都只受理一次。 The same bytes are taken once, however often they are sent.
    """
    partner = Partner(hub, organisation, keys, passphrase_file, patience)
    if resend is not None:
        if type or case or to or data or sealed or answers:
            raise UsageFault("--resend sends bytes as they are; nothing else can be said about them")
        compact = files.content(resend).strip()
    elif type is None or not to:
        raise UsageFault("say the TYPE and at least one --to; see xieban protocols list")
    open_part, content = files.parts(data, sealed)
    subject = case or envelope.new_id()

    async def work() -> Sent | None:
        async with connected(partner) as client:
            if resend is not None:
                sent = await client.resend(compact)
                sending.keep_receipt(receipt, sent.receipt)
                return sent
            draft = await client.prepare(str(type), subject, to or [], open_part, content, answers, check=check)
            return await sending.deliver(client, draft, preflight, receipt, message_out)

    sending.report(asyncio.run(work()), json)
