"""`xieban serve`: a hub on a data directory, in the foreground."""

import asyncio
from typing import Annotated

import typer

from hub import processes
from hub.commands.help_text import examples
from hub.commands.options import Config, Data
from hub.commands.output import ready

EXAMPLES = examples(
    "xieban serve --data /var/lib/xieban",
    "xieban serve --data ./hub --port 8420 --workers 4 --config config.toml",
    "curl http://127.0.0.1:8420/v1/hub",
)


def serve(
    data: Data,
    port: Annotated[int, typer.Option(min=1, max=65535, help="端口。 The port to listen on.")] = 8420,
    workers: Annotated[int, typer.Option(min=1, max=256, help="工作进程数。 Worker processes on that port.")] = 1,
    config: Config = None,
) -> None:
    """启动枢纽，直到被停止。 Run a hub until it is stopped.

    首次启动时建立数据库与枢纽密钥；Ctrl-C 或 SIGTERM 停止，已受理的消息先办完。

    The first start makes the database and the hub's key. Ctrl-C or SIGTERM stops it, after what it accepted is done.
    """
    asyncio.run(
        processes.supervise(data.resolve(), port, workers, config, lambda url: ready(f"枢纽已就绪 · hub ready: {url}"))
    )
