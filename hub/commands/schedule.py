"""`xieban schedule`: what the scheduler does and did."""

from typing import Annotated, Any

import typer

from hub.commands import beside
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, local, say, table
from hub.scheduler.jobs import JOBS
from hub.scheduler.leading import SILENT
from hub.store import Connection
from hub.store.queries import SQL

app = typer.Typer(
    no_args_is_help=True,
    help="计划任务：提醒、超期、报告上级、通报、日历。 What is due on dates: the jobs, their runs, who leads.",
)


@app.command("list", epilog=examples("xieban schedule list --data DIR"))
def list_(data: Data, config: Config = None, json: Json = False) -> None:
    """各项任务的上次运行、所办件数与下次时间。 Each job: when it ran, what it did, when it is next."""

    async def work(connection: Connection) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        lead = await connection.fetchrow(SQL["lead"])
        assert lead is not None
        return dict(lead), {row["job"]: dict(row) for row in await connection.fetch(SQL["jobs"])}

    lead, ran = beside.run(data, config, work)
    if json:
        as_json({"lead": lead, "jobs": [{"job": name, **ran.get(name, {})} for name in JOBS]})
        return
    leads = f"{lead['leader']}, {local(lead['since'])}" if lead["leader"] else "无 · nobody"
    say(f"主持进程 · leads: {leads}")
    columns = ["任务 job", "", "上次 ran", "件数 done", "下次 next", "问题 problem"]
    rows = []
    for name, job in JOBS.items():
        last = ran.get(name, {})
        times = local(last.get("started")), local(last.get("next"))
        rows.append((name, f"{job.zh} {job.en}", times[0], last.get("done"), times[1], last.get("problem")))
    table(columns, rows)


@app.command(epilog=examples("xieban schedule runs --data DIR", "xieban schedule runs overdue --json --data DIR"))
def runs(
    data: Data,
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="只看此任务。 Only this job.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="最多几条。 Most of them.")] = 50,
    config: Config = None,
    json: Json = False,
) -> None:
    """办过事或未办成的运行，新的在前。 The runs that did something, or could not; the newest first."""
    if job is not None:
        _require(job)

    async def work(connection: Connection) -> list[dict[str, Any]]:
        return [dict(row) for row in await connection.fetch(SQL["runs"], job, limit)]

    found = beside.run(data, config, work)
    if json:
        as_json(found)
        return
    columns = ["任务 job", "开始 started", "结束 ended", "件数 done", "问题 problem", "进程 by"]
    rows = [(r["job"], local(r["started"]), local(r["ended"]), r["done"], r["problem"], r["leader"]) for r in found]
    table(columns, rows)


@app.command(epilog=examples("xieban schedule run overdue --data DIR"))
def run(
    job: Annotated[str, typer.Argument(metavar="JOB", help="任务。 The job.")], data: Data, config: Config = None
) -> None:
    """请运行中的枢纽马上执行一次；重复执行无害。 Have the running hub do a job now; doing it again does no harm.

    没有枢纽在运行时，各项任务在枢纽启动时执行。 Where no hub runs, every job is done when one starts.
    """
    _require(job)

    async def work(connection: Connection) -> bool:
        lead = await connection.fetchrow(SQL["lead"])
        await connection.execute(SQL["want_job"], job)
        return lead is not None and lead["leader"] is not None and lead["now"] - lead["seen"] < SILENT

    if beside.run(data, config, work):
        say(f"已请求；结果见 xieban schedule list · asked for: {job}; see xieban schedule list")
    else:
        say(f"没有枢纽在运行，尚未执行：枢纽启动时即执行 · no hub runs: {job} is not done yet, but when one starts")


def _require(job: str) -> None:
    if job not in JOBS:
        raise UsageFault(f"there is no job {job[:40]!r}: {', '.join(JOBS)}")
