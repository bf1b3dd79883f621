"""`xieban serve`: a hub on a data directory, in the foreground."""

import asyncio
from typing import Annotated

import typer

from hub import processes
from hub.commands.help_text import examples
from hub.commands.options import Config, Data
from hub.commands.output import ready, remark

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
    fresh = not (data / "keys").exists()

    def is_ready(url: str) -> None:
        ready(f"枢纽已就绪 · hub ready: {url}")
        if fresh:
            remark(
                f"{data} 中原先没有枢纽，已新建一个；若非所愿，请停止并核对 --data · "
                f"no hub was in {data}: this is a new one; if that is not what you meant, stop it and look at --data"
            )

    asyncio.run(processes.supervise(data.resolve(), port, workers, config, is_ready))
