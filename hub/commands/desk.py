"""`xieban desk`: a bureau's own web application, with its keys, on its own machine."""

import asyncio
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import web

from adapters.client import Client
from adapters.client import Patience as PatienceOf
from adapters.desk.bureau import Bureau
from adapters.desk.officers import Officers
from adapters.desk.vault import Vault
from adapters.desk.web import Desk
from hub.commands import files
from hub.commands.help_text import examples
from hub.commands.options import As, Hub, Keys, Passphrase
from hub.commands.output import say
from hub.commands.partner import passphrase_of
from keys.jwk import VerifyingKey
from keys.keystore import KeyStore
from protocols.loading import catalogue

EXAMPLES = examples(
    "xieban desk --hub https://hub.example --as 411002-health --keys ~/xieban-keys --store ~/xieban-desk",
    "xieban desk --hub https://hub.example --as 411002-health --keys K --store D --key hub.jwks --port 8430",
)


def desk(
    hub: Hub,
    organisation: As,
    keys: Keys,
    store: Annotated[
        Path, typer.Option("--store", metavar="DIR", help="本机存储，全部加密。 What is kept, encrypted.")
    ],
    host: Annotated[
        str, typer.Option(help="监听地址，默认仅本机。 Where to listen: this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="端口。 The port.")] = 8430,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="JWKS", help="枢纽公钥集，由运行方当面交付。 The hub's keys, handed over."),
    ] = None,
    passphrase_file: Passphrase = None,
) -> None:
    """办案台：在浏览器里收件、起草、签发；私钥和密封内容只在本机。 A bureau's desk in the browser.

    枢纽不在线时可以阅读和起草；签发的消息在恢复后自动发出，只发一次。密钥库与本机存储用同一口令。

    While the hub is away one reads and drafts; what is signed goes out when it is back, once.
    """
    passphrase = passphrase_of(passphrase_file)
    opened = KeyStore(keys)
    signing, unsealing = opened.signing_key(passphrase, datetime.now(UTC)), opened.decryption_keys(passphrase)
    trusted: list[VerifyingKey] | None = files.verifying_keys(key) if key is not None else None

    def connect() -> Client:
        return Client(hub, organisation, signing, unsealing, hub_keys=trusted, patience=PatienceOf(within=5))

    vault = Vault.open(store / "desk.db", passphrase)
    try:
        asyncio.run(_serve(Desk(Bureau(vault, organisation, catalogue(), connect), Officers(vault)), host, port))
    finally:
        vault.close()


async def _serve(made: Desk, host: str, port: int) -> None:
    runner = web.AppRunner(made.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    address = f"http://{host}:{port}"
    say(f"办案台已就绪 · the desk is ready: {address}")
    if made.setup is not None:
        say(f"初次使用，请打开 · first use, open: {address}/setup/{made.setup}")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()
