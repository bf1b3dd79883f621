"""`xieban calendar`: what the hub counts due dates by."""

import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from hub.arrangements import entering
from hub.commands import beside
from hub.commands.faults import InputUnreadable, UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Config, Data, Json
from hub.commands.output import as_json, say, table
from hub.identity import establish, hub_key
from hub.store import Connection
from hub.store.queries import SQL
from protocols import calendar, entries
from protocols.entries import CalendarPublished

app = typer.Typer(
    no_args_is_help=True, help="期限日历：节假日安排与停止服务。 What due dates are counted by: holidays and outages."
)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    year: int
    holidays: list[date]
    workdays: list[date] = []


@app.command(
    epilog=examples(
        "xieban calendar publish 2027 --data DIR",
        "xieban calendar publish 2027 --file 2027.toml --data DIR",
        'printf "year = 2027\\nholidays = [2027-01-01, 2027-02-08]\\nworkdays = [2027-02-20]\\n" > 2027.toml',
    )
)
def publish(
    year: Annotated[int, typer.Argument(min=2004, max=2199, metavar="YEAR", help="年份。 The year.")],
    data: Data,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="TOML：year、holidays 放假日、workdays 调休日。 The arrangement, where this version lacks it.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """公布某年的节假日安排，写入日志；暂定的期限随即重算，从不提前。 Enter a year's arrangement in the log.

    不给 --file 时取软件所带的安排；枢纽每天自动公布所带的新年份。同一年再次公布，以后者为准。

    Without --file the one that the software knows, which a running hub publishes by itself. A later one replaces it.
    """
    settings, (holidays, workdays) = beside.existing(data, config), _arrangement(year, file)

    async def work(connection: Connection) -> int | None:
        identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
        return await entering.publish(connection, identity, year, holidays, workdays)

    index = beside.run(data, config, work)
    if index is None:
        say(f"{year} 年的安排日志中已有，未作更改 · {year} is arranged like this already")
    else:
        say(f"{year} 年的安排已公布，日志 entry {index}；运行中的枢纽随即重算 · a running hub counts again at once")


@app.command(
    epilog=examples("xieban calendar outage --from 2026-11-27T09:00+08:00 --until 2026-11-27T21:30+08:00 --data DIR")
)
def outage(
    data: Data,
    begins: Annotated[str, typer.Option("--from", metavar="MOMENT", help="开始，带时区。 When it began, with offset.")],
    until: Annotated[str, typer.Option("--until", metavar="MOMENT", help="恢复，带时区。 When it was over.")],
    config: Config = None,
) -> None:
    """声明枢纽在一段时间不能访问；其间到期的期限顺延。 Enter that the hub could not be reached; due dates move on.

    枢纽自身停止运行的时段会自动记入；这里用于网络中断等枢纽不能自知的情形。

    What a hub knows of itself it enters by itself: this is for a network that was down.
    """
    settings, (first, last) = beside.existing(data, config), (_moment("--from", begins), _moment("--until", until))
    if not first < last <= datetime.now(UTC):
        raise UsageFault("--from is before --until, and both have passed")

    async def work(connection: Connection) -> int:
        identity = await establish(connection, settings.hub.id, hub_key(data.resolve()))
        return await entering.declare(connection, identity, first, last)

    say(f"已记入日志 entry {beside.run(data, config, work)} · entered in the log; a running hub moves what fell due")


@app.command("list", epilog=examples("xieban calendar list --data DIR"))
def listing(data: Data, config: Config = None, json: Json = False) -> None:
    """列出日志中的节假日安排与停止服务。 What the log says of holidays and outages."""

    async def work(connection: Connection) -> list[dict[str, Any]]:
        rows = await connection.fetch(SQL["arrangements"])
        return [{"index": row["log_index"], **entries.as_object(row["leaf"])} for row in rows]

    found = beside.run(data, config, work)
    if json:
        as_json({"through": calendar.THROUGH, "entries": found})
        return
    say(f"至 {calendar.THROUGH} 年的安排自始即知 · known from the start through {calendar.THROUGH}")
    kinds = {"calendar": "节假日 holidays", "outage": "停止服务 outage"}
    table(
        ["日志 entry", "种类 kind", "内容 what", "记录 at"],
        [(one["index"], kinds[one["kind"]], _what(one), one["at"]) for one in found],
    )


def _what(entry: dict[str, Any]) -> str:
    if entry["kind"] == CalendarPublished.__struct_config__.tag:
        return f"{entry['year']}: {len(entry['holidays'])} 天放假 rest, {len(entry['workdays'])} 天调休 worked"
    days = "、".join(entry["days"])
    return f"{entry['from']} – {entry['until']}" + (f": {days} → {entry['to']}" if days else "")


def _arrangement(year: int, file: Path | None) -> tuple[set[date], set[date]]:
    if file is None:
        known = calendar.shipped().get(year)
        if known is None:
            raise UsageFault(f"this version does not know {year}: give --file, or upgrade")
        return set(known[0]), set(known[1])
    try:
        read = msgspec.convert(tomllib.loads(file.read_text("utf-8")), _File)
    except (OSError, ValueError) as error:
        raise InputUnreadable(f"{file}: {error}") from None
    if read.year != year:
        raise InputUnreadable(f"{file} is of {read.year}")
    return set(read.holidays), set(read.workdays)


def _moment(option: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageFault(f"{option} is a moment, e.g. 2026-11-27T09:00+08:00") from None
    if moment.tzinfo is None:
        raise UsageFault(f"{option} needs its offset, e.g. +08:00")
    return moment
