"""`xieban desk`: a bureau's own web application, with its keys, on its own machine."""

import asyncio
import ssl
from pathlib import Path
from typing import Annotated

import typer
from aiohttp import web

from adapters.client.certificate import certified, of_environment
from adapters.desk.desk import Desk
from adapters.desk.pages.app import application
from hub import ending, journal
from hub.commands.help_text import examples
from hub.commands.known import known
from hub.commands.options import PROTOCOLS
from hub.commands.output import remark, say

EXAMPLES = examples(
    "xieban desk",
    "xieban desk --store /srv/xieban-desk --port 8430",
    "xieban desk --store /srv/xieban-desk --host 0.0.0.0 --name desk.weidu.example",
)
DEFAULT = Path("~/xieban-desk")


def desk(
    store: Annotated[
        Path, typer.Option("--store", metavar="DIR", help="本机存储，全部加密。 What is kept, encrypted.")
    ] = DEFAULT,
    host: Annotated[
        str, typer.Option(help="监听地址，默认仅本机。 Where to listen: this machine alone.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="端口。 The port.")] = 8430,
    name: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="同事在浏览器里输入的主机名，可重复。 What others call this machine."),
    ] = None,
    certificate: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TLS 证书链与私钥（PEM），供同事访问时加密。 TLS: the chain and its key."),
    ] = None,
    protocols: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            envvar=PROTOCOLS,
            help="本地新增协议的文件夹。 Protocols besides those that come with xieban.",
        ),
    ] = None,
) -> None:
    """办案台：在浏览器里收件、起草、签发；私钥和密封内容只在本机。 A bureau's desk in the browser.

    第一次启动时打开所显示的网址，按步骤设置；以后登录即解锁，无人操作则锁定。

    The first time open the address that is shown and follow its steps; from then on logging in unlocks it.

    枢纽不在线时可以阅读和起草；签发的消息在恢复后自动发出，只发一次。

    While the hub is away one reads and drafts; what is signed goes out when it is back, once.
    """
    journal.configure()
    of_environment()  # one that can't be used is said now, not at the first message
    made = Desk(store.expanduser(), known(protocols))
    try:
        asyncio.run(_serve(made, host, port, frozenset(name or ()), _tls(certificate)))
    finally:
        made.close()


def _tls(certificate: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    return certified(ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), certificate)


async def _serve(made: Desk, host: str, port: int, names: frozenset[str], tls: ssl.SSLContext | None) -> None:
    runner = web.AppRunner(application(made, names), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, ssl_context=tls).start()
    except OSError as error:
        await runner.cleanup()
        from hub.processes import unbound

        raise unbound(host, port, error, "--host") from None
    if tls is None and host not in ("127.0.0.1", "::1", "localhost"):
        remark("口令将不加密地经过网络，请用 --certificate · passwords cross the network in the clear: --certificate")
    address = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    say(f"办案台已就绪 · the desk is ready: {address}")
    if made.new:
        say(f"初次使用，请打开 · first use, open: {address}/first/{made.first}")
    stop = ending.signalled()
    await stop.wait()
    await runner.cleanup()
