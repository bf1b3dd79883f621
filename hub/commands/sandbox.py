"""`xieban sandbox`: a throw-away hub with counterparts that play a script, for a partner that develops alone."""

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters import sandbox as sandboxes
from adapters.sandbox import Belongings, Sandbox, Settings
from hub import ending, journal
from hub.commands import files
from hub.commands.help_text import examples
from hub.commands.options import Json
from hub.commands.output import as_line, remark, say, table

EXAMPLES = examples(
    "xieban sandbox",
    "xieban sandbox --organisation 411002-health --jwks public.jwks --port 8440",
    "xieban sandbox --json 2> sandbox.log | jq .counterparts",
)


def sandbox(
    organisation: Annotated[
        str, typer.Option("--organisation", metavar="ID", help="接入方的机构编号。 The partner's id.")
    ] = "411002-health",
    jwks: Annotated[
        Path | None,
        typer.Option("--jwks", metavar="FILE", help="它的公钥；不给则代为生成。 Its public keys, else made."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="密钥和枢纽公钥放在哪里。 Where the keys go.")
    ] = Path("sandbox"),
    host: Annotated[str, typer.Option("--host", help="监听地址。 Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="端口，0 为任意。 Its port; 0: any.")] = 8440,
    delay: Annotated[
        float, typer.Option("--delay", metavar="SECONDS", min=0.0, help="迟答、慢答多久。 How late late answers are.")
    ] = 20.0,
    json: Json = False,
) -> None:
    """沙箱：一次性的枢纽和按脚本行事的对端，接入方可独自开发。 A hub and counterparts to develop against, alone.

    向不同的对端发起案件协查，就会得到不同的对待；办了什么写在标准错误上。Ctrl-C 停止，枢纽和案件随之消失，密钥留下。

    Whom you send a request decides what happens; what they do is told on standard error. Ctrl-C ends it: the hub and
    its cases are gone, the keys stay.
    """
    journal.configure()
    kept = Belongings(out)
    with kept.held(), tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as folder:
        public = files.object_in(str(jwks)) if jwks is not None else kept.made()
        settings = Settings(organisation, public, Path(folder), host, port, delay)
        asyncio.run(_run(settings, kept, jwks is None, json))


async def _run(settings: Settings, kept: Belongings, made: bool, json: bool) -> None:
    stop = ending.signalled()
    async with sandboxes.sandbox(settings, remark) as running:
        files.keep(kept.hub_jwks, running.hub_jwks.encode())
        (as_line if json else _tell)(_said(settings, running, kept, made))
        await stop.wait()


def _said(settings: Settings, running: Sandbox, kept: Belongings, made: bool) -> dict[str, Any]:
    keys = {
        "keys": str(kept.keys),
        "passphrase_file": str(kept.passphrase_file),
        "private_jwks": str(kept.private_jwks),
    }
    where = {"hub": running.url, "organisation": settings.partner, "hub_jwks": str(kept.hub_jwks)}
    return where | (keys if made else {}) | {"counterparts": running.counterparts}


def _tell(said: dict[str, Any]) -> None:
    say(f"沙箱已就绪 · sandbox ready: {said['hub']}")
    say(f"你是 · you are: {said['organisation']}")
    say(f"枢纽公钥 · the hub's keys: {said['hub_jwks']}")
    if "keys" in said:
        say(f"密钥 · your keys: {said['private_jwks']}, {said['keys']} (--passphrase-file {said['passphrase_file']})")
    say(f"停止 · to end it: Ctrl-C, kill {os.getpid()}")
    table(
        ("机构 whom", "脚本 script", "它做什么 what it does"),
        [(one.id, one.plays, f"{one.does.zh}。 {one.does.en}.") for one in said["counterparts"]],
    )
