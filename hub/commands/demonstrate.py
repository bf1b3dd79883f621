"""`xieban demo`: its options; what it shows is in `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from hub.commands import demo
from hub.commands.help_text import examples

EXAMPLES = examples("xieban demo", "xieban demo --exit --cases 50 --data ./demo")


def demonstrate(
    data: Annotated[
        Path | None, typer.Option("--data", metavar="DIR", help="数据目录，默认临时。 Where to keep it, else nowhere.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="端口。 The hub's port.")] = 8420,
    cases: Annotated[int, typer.Option(min=1, max=100_000, help="案件数。 How many cases.")] = 300,
    exit: Annotated[bool, typer.Option("--exit", help="结束后退出。 Stop at the end.")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="把输出存为 SVG。 Save the output as a picture.")
    ] = None,
) -> None:
    """演示：两地机构经枢纽协办数百件案件。 Two regions work hundreds of cases through a real hub.

    途中强行终止并重启枢纽一次；逐份离线验证回执；最后枢纽留在前台，可继续试用。

    The hub is killed and restarted once on the way; every receipt is verified; the hub stays for you to try.
    """
    demo.run(data.resolve() if data else None, port, cases, exit, picture)
