"""`xieban verify` and `xieban verify-end`: a receipt, or where a mailbox ended, proven with the hub's key alone."""

from pathlib import Path
from typing import Annotated

import typer

from hub.commands import files
from hub.commands.help_text import examples
from hub.commands.options import Json
from hub.commands.output import as_json, say
from protocols import envelope, mailbox_end, receipt
from protocols.between_hubs import Relayed
from protocols.entries import Accepted

EXAMPLES = examples(
    "curl -s https://hub.example/.well-known/jwks.json > hub.jwks",
    "xieban send TYPE --to ID --receipt receipt.json --message-out message.jose",
    "xieban verify receipt.json --message message.jose --key hub.jwks",
)

END_EXAMPLES = examples(
    "xieban poll --after 42 --prove-end end.jose",
    "xieban verify-end end.jose --key hub.jwks",
    "xieban verify-end end.jose --key hub.jwks --against receipt.json",
)


def verify(
    file: Annotated[str, typer.Argument(metavar="RECEIPT", help="回执 JSON，- 为标准输入。 The receipt.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="JWKS", help="枢纽公钥集。 The hub's public keys, kept from earlier.")
    ],
    message: Annotated[
        str | None,
        typer.Option("--message", metavar="FILE|-", help="原始消息（紧凑 JWS）。 The message, byte for byte."),
    ] = None,
    json: Json = False,
) -> None:
    """离线验证回执，不需要枢纽。 Verify a receipt offline; needs no hub.

    证明：枢纽在何时受理了这条消息（逐字节），并已载入其公开日志；回执、消息或公钥不符时退出状态为 1。

    Proves when the hub accepted this very message and that it stands in its log; status 1 when anything does not fit.
    """
    given = receipt.parse(files.content(file))
    compact = files.content(message).strip() if message else None
    proven = receipt.verify(given, files.verifying_keys(key), compact=compact, kinds=(Accepted, Relayed))
    entry = proven.entry
    assert isinstance(entry, Accepted | Relayed)
    if json:
        as_json(
            {
                "valid": True,
                "message": entry.id,
                "message_checked": compact is not None,
                "source": entry.source,
                "gateway": entry.gateway,
                "type": entry.type,
                "case": entry.subject,
                "recipients": entry.recipients,
                "accepted": entry.at,
                "due": entry.due,
                "log": {"origin": proven.checkpoint.origin, "index": proven.index, "size": proven.checkpoint.size},
            }
        )
        return
    say(f"有效 · valid: entry {proven.index} of {proven.checkpoint.origin}, tree size {proven.checkpoint.size}")
    say(f"{entry.at} {entry.source} → {' '.join(entry.recipients)}: {entry.type}, 案件 case {entry.subject}")
    if compact is None:
        say("未核对原始消息，请加 --message · the message itself was not looked at: add --message")


def verify_end(
    file: Annotated[str, typer.Argument(metavar="FILE", help="poll --prove-end 所存。 What --prove-end kept.")],
    key: Annotated[
        Path, typer.Option("--key", metavar="JWKS", help="枢纽公钥集。 The hub's public keys, kept from earlier.")
    ],
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="RECEIPT", help="与此回执相互矛盾吗。 Is there a receipt that says else?"),
    ] = None,
    json: Json = False,
) -> None:
    """离线验证“此收件箱到此为止”。 Verify offline the hub's word that a mailbox ended here.

    加 --against 时，若枢纽以回执称已投递此后位置的消息，即为自相矛盾，退出状态为 1。

    With --against: a receipt of that time for a later position is the hub contradicting itself, status 1.
    """
    keys = files.verifying_keys(key)
    end = mailbox_end.verify(files.content(file).strip().decode("ascii", "replace"), keys)
    contradicted = False
    if against is not None:
        given = receipt.parse(files.content(against))
        contradicted = end.contradicts(receipt.verify(given, keys))
    if json:
        as_json(
            {
                "valid": True,
                "recipient": end.recipient,
                "position": end.position,
                "at": envelope.rfc3339(end.at),
                "log": {"origin": end.checkpoint.origin, "size": end.checkpoint.size},
                "contradicted": contradicted if against is not None else None,
            }
        )
    else:
        say(f"{end.recipient} 的收件箱到 {end.position} 为止 · ended there at {envelope.rfc3339(end.at)}")
        say(f"日志 log {end.checkpoint.origin}, tree size {end.checkpoint.size}")
        if against is not None:
            say(
                "✗ 枢纽自相矛盾：回执称已投递 · the hub contradicts itself: its receipt says it was delivered"
                if contradicted
                else "与回执不矛盾 · the receipt does not contradict it"
            )
    if contradicted:
        raise typer.Exit(1)
