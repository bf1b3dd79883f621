"""`xieban fetched`: whether a message was fetched, read by an auditor from the log itself."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from adapters.witness import Fetching, Reader, fetching
from hub.commands import files
from hub.commands.help_text import examples
from hub.commands.options import DEFAULT_PATIENCE, As, Hub, Json, Keys, Passphrase, Patience
from hub.commands.output import as_json, progress, say
from hub.commands.partner import Partner, connected, passphrase_of
from keys import jwt
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore
from protocols import receipt
from protocols.receipt import Proven

EXAMPLES = examples(
    "xieban fetched receipt.json --by 440306-health --key hub.jwks",
    "xieban fetched receipt.json --by 440306-health --key hub.jwks --json",
)


def fetched(
    hub: Hub,
    organisation: As,
    keys: Keys,
    file: Annotated[str, typer.Argument(metavar="RECEIPT", help="消息的回执，- 为标准输入。 The message's receipt.")],
    by: Annotated[str, typer.Option("--by", metavar="ORGANISATION", help="接收机构。 The recipient in question.")],
    key: Annotated[Path, typer.Option("--key", metavar="JWKS", help="枢纽公钥集。 The hub's public keys.")],
    passphrase_file: Passphrase = None,
    patience: Patience = DEFAULT_PATIENCE,
    json: Json = False,
) -> None:
    """接收机构取走这条消息了吗？由审计方从日志逐条核实。 Was it fetched? An auditor's answer, from the log itself.

    自消息入日志起的全部条目都读一遍，并与枢纽签名的树根核对：枢纽不能漏掉一条“已取”，也不能添上一条。

    Every entry since the message is read and held against the root that the hub signed: none can be left out.
    """
    trusted = files.verifying_keys(key)
    proven = receipt.verify(receipt.parse(files.content(file)), trusted)
    partner = Partner(hub, organisation, keys, passphrase_file, patience)
    found = asyncio.run(_ask(partner, trusted, proven, by))
    if json:
        as_json(
            {
                "recipient": found.recipient,
                "position": found.position,
                "fetched": found.fetched,
                "acknowledged": found.acknowledged,
                "expired": found.expired,
                "log": {"origin": found.checkpoint.origin, "size": found.checkpoint.size},
            }
        )
        return
    say(f"{by} 的收件箱位置 position {found.position}，日志 log {proven.checkpoint.origin}, {found.checkpoint.size}")
    say(f"已取 fetched: {found.fetched or '否 · no'}")
    say(f"已签收 acknowledged: {found.acknowledged or '否 · no'}")
    if found.expired:
        say(f"已过期 expired: {found.expired}")


async def _ask(partner: Partner, trusted: list[VerifyingKey], proven: Proven, by: str) -> Fetching:
    signing = KeyStore(partner.keys).signing_key(passphrase_of(partner.passphrase_file), datetime.now(UTC))
    async with connected(partner) as client, aiohttp.ClientSession() as session:

        def token() -> str:
            return jwt.bearer(partner.organisation, client.hub, signing, datetime.now(UTC))

        with progress("已读日志条目 · entries read") as bar:
            return await fetching(Reader(client.url, session, token), trusted, proven, by, bar)
