"""`xieban store`: the schema of the hub's database, forward to this version and back to an earlier release."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from hub import published, version
from hub.commands import beside
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, remark, say, table
from hub.store import Connection, distributing
from hub.store import migrate as migrations
from hub.store.distributing import Progress, Step
from hub.store.migrate import Release, Schema

_T = TypeVar("_T")

app = typer.Typer(
    no_args_is_help=True,
    help="数据库结构：查看、升级、退回、分布。 The database's schema: look, go forward, go back, spread over nodes.",
)


@app.command(epilog=examples("xieban store status --data DIR", "xieban store status --json --data DIR"))
def status(data: Data, config: Config = None, json: Json = False) -> None:
    """数据库结构到了哪个发布版、还缺什么。 Which release the schema has reached, and what it lacks."""
    found: Schema = _on_tables(data, config, migrations.schema)
    if json:
        as_json(found)
        return
    say(f"发布版 release {found.release or '—'} · 已有 applied {len(found.applied)} · 缺 missing {len(found.missing)}")
    for name in found.missing:
        say(f"  {name}")
    if found.missing:
        remark("升级 · to go forward: xieban store migrate")
    else:
        say(f"正是本版本 {version()} 的结构 · it is that of this version, {version()}")


@app.command(epilog=examples("xieban store migrate --data DIR"))
def migrate(data: Data, config: Config = None) -> None:
    """升级到本版本的结构；中断或失败时一切如前。 Go forward to this version; one that is interrupted changes nothing.

    枢纽启动时也会自动升级；数据多时先用本命令，可见进度。升级前请停止所有节点。

    A hub that starts does the same; here each step is said. Stop every node first.
    """

    async def work(connection: Connection) -> list[str]:
        return await migrations.migrate(connection, told=_said)

    if not _on_tables(data, config, work):
        say("已是本版本的结构 · up to date already")


@app.command(epilog=examples("xieban store downgrade --to 0.1.0b1 --data DIR"))
def downgrade(
    to: Annotated[str, typer.Option("--to", metavar="VERSION", help="退回的发布版。 The release to go back to.")],
    data: Data,
    config: Config = None,
) -> None:
    """退回较早发布版的结构，再安装那个版本；会丢失内容时拒绝。 Go back to an earlier release, which is installed next.

    用较新的版本执行，先停止所有节点。凡旧版不认识的内容已经存在，则拒绝，一切如前。

    Run it with the newer version, every node stopped. Refused, and nothing changed, where anything would be lost.
    """
    release = _release(to)

    async def work(connection: Connection) -> list[str]:
        await migrations.require_alone(connection)
        return await migrations.downgrade(connection, release, told=_said)

    if not _on_tables(data, config, work):
        say(f"已是 {to} 的结构 · the schema is that of {to} already")


@app.command(
    epilog=examples(
        "xieban store distribute --data DIR --config config.toml",
        "xieban store distribute --run --data DIR --config config.toml",
    )
)
def distribute(
    data: Data,
    run: Annotated[bool, typer.Option("--run", help="现在就分布。 Spread the tables now.")] = False,
    shards: Annotated[
        int | None,
        typer.Option("--shards", min=1, max=4096, help="每组表的分片数。 Shards of each group of tables; 4 a worker."),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """把大表分布到 Citus 集群的各节点；不加 --run 只列计划。 Spread the large tables over a Citus cluster.

    枢纽可照常运行。中断或失败后再次执行即可，已分布的表保持不变。

    Without --run it only says what would be done. The hub may run meanwhile; one that was interrupted is run again.
    """

    async def work(connection: Connection) -> list[Step]:
        steps = await distributing.plan(connection, shards)
        if run:
            await distributing.distribute(connection, steps, _spread)
            return await distributing.plan(connection, shards)
        return steps

    steps = _on_tables(data, config, work)
    if json:
        as_json(steps)
        return
    columns = ["表 table", "按列 by", "同置 beside", "此处字节 bytes here", "分片 shards", "已分布 spread"]
    table(columns, [(s.table, s.column, s.beside or "—", s.bytes, s.shards, "是 yes" if s.done else "") for s in steps])


@app.command(epilog=examples("xieban store rebalance --data DIR --config config.toml"))
def rebalance(data: Data, config: Config = None) -> None:
    """在 Citus 各节点间均衡分片；枢纽可照常运行。 Move shards until the workers hold equal parts, online.

    中断本命令不影响均衡本身，再次执行即继续查看进度。

    Interrupting this command does not stop the work; run it again to follow it.
    """

    async def work(connection: Connection) -> Progress | None:
        return await distributing.rebalance(connection, _moved)

    over = _on_tables(data, config, work, any_schema=False)
    say("无需移动 · nothing to move" if over is None else f"已完成 · done: {over.done}/{over.moves}")


def _on_tables(
    data: Path, config: Path | None, work: Callable[[Connection], Awaitable[_T]], any_schema: bool = True
) -> _T:
    """What `work` does on a database that has a hub's tables: to make them is for a hub that starts.

    Raises DatabaseElsewhere, and as `beside.run`.
    """

    async def made(connection: Connection) -> _T:
        await published.require_made(connection)
        return await work(connection)

    return beside.run(data, config, made, any_schema)


def _spread(step: Step, seconds: float) -> None:
    remark(f"{step.table}  {seconds:.1f} s")


def _moved(now: Progress) -> None:
    say(f"{now.state}  {now.done}/{now.moves}")


def _release(version: str) -> Release:
    known = {release.version: release for release in migrations.releases()}
    if version not in known:
        raise UsageFault(f"there is no release {version[:40]!r}: {', '.join(known)}")
    return known[version]


def _said(name: str, seconds: float) -> None:
    say(f"{name}  {seconds:.1f} s")
