"""`xieban people`: who may look at the console."""

from datetime import timedelta
from typing import Annotated

import typer

from hub import organisations
from hub.commands import beside
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, remark, say, table
from hub.console import people
from hub.store import Connection
from hub.store.queries import SQL

app = typer.Typer(
    no_args_is_help=True,
    help="督导台账户：邀请、停用、一次性链接。 People of the console: invite, shut out, links.",
)
LINK = timedelta(days=1)
Name = Annotated[str, typer.Argument(metavar="NAME", help="账户名，如 zhang.wei。 The account's name.")]
Url = Annotated[
    str, typer.Option("--url", metavar="URL", help="浏览器访问枢纽的地址。 The hub's address for browsers.")
]


@app.command(
    epilog=examples(
        "xieban people invite zhang.wei --organisation 410000-supervision --full-name 张伟 --data DIR",
        "xieban people invite li.na --organisation 410000-supervision --full-name 李娜 --role manager --data DIR",
    )
)
def invite(
    name: Name,
    data: Data,
    organisation: Annotated[str, typer.Option(metavar="ID", help="所属督导机构。 Its supervising organisation.")],
    full_name: Annotated[str, typer.Option(metavar="NAME", help="姓名。 The person's name.")],
    role: Annotated[str, typer.Option(help="viewer 只看；manager 还能看账户。 What it may.")] = "viewer",
    url: Url = "http://127.0.0.1:8420",
    config: Config = None,
) -> None:
    """新建账户，输出一次性邀请链接（七日内有效）。 Make an account; prints its invitation, good once and for 7 days."""

    async def work(connection: Connection) -> str:
        directory = await organisations.load(connection)
        return await people.invite(connection, directory, name, organisation, full_name, role)

    say(f"{url.rstrip('/')}/console/join/{beside.run(data, config, work)}")


@app.command(epilog=examples("xieban people renew zhang.wei --data DIR"))
def renew(name: Name, data: Data, url: Url = "http://127.0.0.1:8420", config: Config = None) -> None:
    """口令忘了、手机丢了：旧的立即失效，输出新的邀请链接。 For a lost password or telephone: a new invitation.

    口令、动态码、通行密钥和已有的登录全部作废；案件和记录不变。

    The password, the one-time codes, the passkeys and whatever is logged in by them end at once.
    """
    token = beside.run(data, config, lambda connection: people.start_over(connection, name))
    say(f"{url.rstrip('/')}/console/join/{token}")


@app.command(epilog=examples("xieban people link zhang.wei --data DIR"))
def link(name: Name, data: Data, url: Url = "http://127.0.0.1:8420", config: Config = None) -> None:
    """输出一次性登录链接（一日内有效），当面交给本人。 Print a log-in link, good once and for a day."""
    token = beside.run(data, config, lambda connection: people.link(connection, name, people.ENTER, LINK))
    say(f"{url.rstrip('/')}/console/enter/{token}")


@app.command("list", epilog=examples("xieban people list --data DIR"))
def list_(data: Data, config: Config = None, json: Json = False) -> None:
    """列出账户。 List the accounts."""

    async def work(connection: Connection) -> list[dict[str, object]]:
        return [dict(row) for row in await connection.fetch(SQL["all_people"])]

    rows = beside.run(data, config, work)
    if json:
        as_json(rows)
        return
    columns = ("账户 name", "机构 organisation", "姓名 full name", "角色 role", "已加入 joined", "停用 shut out")
    table(columns, (list(row.values()) for row in rows))


@app.command(epilog=examples("xieban people shut-out zhang.wei --data DIR"))
def shut_out(name: Name, data: Data, config: Config = None) -> None:
    """停用账户，其登录立即失效。 Shut an account out; whoever is logged in by it no longer is."""
    beside.run(data, config, lambda connection: people.shut_out(connection, name, disabled=True))
    remark(f"{name} 已停用 · is shut out")


@app.command(epilog=examples("xieban people let-in zhang.wei --data DIR"))
def let_in(name: Name, data: Data, config: Config = None) -> None:
    """恢复账户。 Let an account in again."""
    beside.run(data, config, lambda connection: people.shut_out(connection, name, disabled=False))
    remark(f"{name} 已恢复 · is let in")
