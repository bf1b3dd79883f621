"""What the scheduler does and did: who leads, each job's last run and its next, the runs that did something."""

from hub.console.pages import Page, Section, Visit
from hub.console.tables import Cell, Table
from hub.console.words import T
from hub.scheduler.jobs import JOBS
from hub.store import glimpse
from hub.store.queries import SQL
from protocols.deadlines import written

SHOWN = 100


async def view(visit: Visit) -> Page:
    """`/console/schedule`."""
    async with glimpse(visit.hub.pool) as connection:
        lead = await connection.fetchrow(SQL["lead"])
        ran = {row["job"]: row for row in await connection.fetch(SQL["jobs"])}
        done = await connection.fetch(SQL["runs"], None, SHOWN)
    assert lead is not None
    jobs: list[list[Cell]] = []
    for name, job in JOBS.items():
        row = ran.get(name)
        times = (None, None, None, None) if row is None else (row["started"], row["done"], row["next"], row["problem"])
        jobs.append([T(job.zh, job.en), written(times[0]), times[1], written(times[2]), times[3]])
    runs: list[list[Cell]] = [
        [
            T(JOBS[row["job"]].zh, JOBS[row["job"]].en) if row["job"] in JOBS else row["job"],
            written(row["started"]),
            written(row["ended"]),
            row["done"],
            row["problem"],
        ]
        for row in done
    ]
    leads = T("此刻没有进程主持。", "Nobody leads at this moment.")
    if lead["leader"]:
        since, seen = written(lead["since"]), written(lead["seen"])
        leads = T(
            f"由 {lead['leader']} 自 {since} 起主持，最近一次在 {seen}。",
            f"{lead['leader']} leads since {since}, seen {seen}.",
        )
    columns = (
        T("任务", "Job"),
        T("上次运行", "Last run"),
        T("办理件数", "Done"),
        T("下次", "Next"),
        T("问题", "Problem"),
    )
    ended = T("开始", "Started"), T("结束", "Ended")
    return Page(
        [
            Section(text=[leads], table=Table("jobs", T("各项任务", "The jobs"), columns, jobs)),
            Section(
                T("运行记录", "Runs"),
                table=Table(
                    "runs",
                    T("办过事或未办成的运行", "Runs that did something, or could not"),
                    (columns[0], *ended, columns[2], columns[4]),
                    runs,
                ),
            ),
        ]
    )
