"""`xieban witness`: a hub's log watched from outside."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import aiohttp
import typer

from adapters.witness import Follower, LogRewritten, LogSetBack
from adapters.witness.memory import Memory
from hub.commands import files
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import KEYS, Passphrase
from hub.commands.output import remark, say
from hub.commands.partner import passphrase_of
from keys.cosignature import Witness
from keys.errors import Fault
from keys.keystore import KeyStore

EXAMPLES = examples(
    "xieban witness --hub http://hub:8420 --hub-key hub.jwks --name witness.example --keys K --state witness.json",
    "xieban witness --name witness.example --keys K --vkey",
)


def witness(
    name: Annotated[str, typer.Option(metavar="NAME", help="见证方名称，如域名。 The witness's name, e.g. a domain.")],
    keys: Annotated[Path, typer.Option("--keys", envvar=KEYS, metavar="DIR", help="密钥库。 The key store.")],
    hub: Annotated[str | None, typer.Option(metavar="URL", help="枢纽地址。 The hub's address.")] = None,
    hub_key: Annotated[
        str | None,
        typer.Option("--hub-key", metavar="FILE", help="枢纽公钥（JWKS），由运行方交给。 The hub's public keys."),
    ] = None,
    state: Annotated[Path | None, typer.Option(metavar="FILE", help="记住上次所见。 What was seen last.")] = None,
    every: Annotated[float, typer.Option(min=0.1, metavar="SECONDS", help="间隔秒数。 Seconds between looks.")] = 10,
    once: Annotated[bool, typer.Option("--once", help="只看一次。 Look once.")] = False,
    vkey: Annotated[
        bool, typer.Option("--vkey", help="只输出验证公钥，供枢纽配置。 Print the verifier key only.")
    ] = False,
    set_back_to: Annotated[
        str | None,
        typer.Option(
            "--set-back-to",
            metavar="ORIGIN",
            help="枢纽丢失已联署条目而换名：核实后接受新名称。 Accept the new origin of a log that lost entries.",
        ),
    ] = None,
    passphrase_file: Passphrase = None,
) -> None:
    """从外部见证枢纽日志：只增不改才联署。 Witness a hub's log from outside: what only ever grows is cosigned.

    发现历史被改写时，保存两份互相矛盾的签名检查点并以状态码 2 退出。

    Where its history is rewritten, both signed checkpoints are kept as evidence and the command ends with status 2.
    """
    key = KeyStore(keys).signing_key(passphrase_of(passphrase_file), datetime.now(UTC))
    if vkey:
        say(Witness(name, key.public).vkey())
        return
    if hub is None or hub_key is None or state is None:
        raise UsageFault("--hub, --hub-key and --state are needed to watch a log")
    follower = Follower(name, key, hub, files.verifying_keys(Path(hub_key)), Memory(state), set_back_to)
    try:
        asyncio.run(_follow(follower, every, once))
    except (LogRewritten, LogSetBack) as found:
        remark(f"✗ {found.detail}")
        raise typer.Exit(2) from None


async def _follow(follower: Follower, every: float, once: bool) -> None:
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                seen = await follower.look(session)
                say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} 大小 size {seen.size} ✓")
            except (LogRewritten, LogSetBack):
                raise
            except Fault as fault:
                if once:
                    raise
                remark(f"… {fault.code}: {fault.detail}")
            if once:
                return
            await asyncio.sleep(every)
