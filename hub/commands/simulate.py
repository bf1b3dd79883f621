"""`xieban simulate`: a simulated country, foretold, played against a hub, and the one held against the other."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import typer

from adapters.simulation import checking, prediction
from adapters.simulation.assumptions import assumptions, costs, value
from adapters.simulation.cast import Cast, Plan
from adapters.simulation.checking import Cost, Finding, Played
from adapters.simulation.country import Country
from adapters.simulation.hours import day_of
from adapters.simulation.playing import TOLD, Play
from adapters.simulation.sizes import Prices
from adapters.simulation.tally import Tally
from hub.commands import files
from hub.commands.faults import UsageFault
from hub.commands.help_text import examples
from hub.commands.options import Hub, Json
from hub.commands.output import as_json, progress, remark, say
from hub.commands.simulation import telling, trial
from protocols.calendar import STATUTORY

app = typer.Typer(
    no_args_is_help=True,
    help="模拟全国一年的往来：预测、回放、核对。 A simulated country: foretold, played against a hub, checked.",
)
Seed = Annotated[int, typer.Option("--seed", help="随机种子，同种子同结果。 The same seed, the same country.")]
YearOf = Annotated[int, typer.Option("--year", min=2005, max=2100, help="哪一年的日历。 Whose calendar.")]
Counties = Annotated[
    int | None, typer.Option("--counties", min=2, help="往来最多的几个县，缺省为全部。 The busiest; all by default.")
]
People = Annotated[
    float, typer.Option("--people", min=1, help="离开户籍地居住的人数。 People who live away from their registration.")
]
Draws = Annotated[int, typer.Option("--draws", min=1, max=100, help="预测取几次平均。 Draws a prediction is made of.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="模拟的目录。 The simulation's folder.")]
First = Annotated[str, typer.Option("--from", metavar="DAY", help="模拟的第一天。 The first day that is played.")]
Days = Annotated[int, typer.Option("--days", min=1, max=366, help="几天。 How many days.")]
_SEED, _YEAR, _SLICE = 2026, 2026, "2026-03-02"
_DAYS, _SPEED, _PEOPLE = 28, 2_000.0, value("people")


@app.command("assumptions", epilog=examples("xieban simulate assumptions", "xieban simulate assumptions --json"))
def assumptions_(json: Json = False) -> None:
    """模型的全部假设与出处。 Everything that the model assumes, and where it comes from."""
    if json:
        as_json({"assumptions": assumptions(), "costs": costs()})
        return
    telling.assumed(assumptions().values())
    say("")
    telling.assumed(costs().values())


@app.command(
    epilog=examples(
        "xieban simulate predict",
        "xieban simulate predict --times 1 --times 10 --times 100 --picture year.svg",
        "xieban simulate predict --core-hour 0.04 --gib-month 0.05 --json",
    )
)
def predict(
    seed: Seed = _SEED,
    year: YearOf = _YEAR,
    counties: Counties = None,
    people: People = _PEOPLE,
    times: Annotated[
        list[float] | None,
        typer.Option("--times", min=0.0001, help="规模的倍数，可重复，缺省 1、10、100。 Sizes, repeatable."),
    ] = None,
    sample: Annotated[
        int, typer.Option("--sample", min=100, help="逐件推演的案件数。 Cases worked out; each stands for many.")
    ] = 40_000,
    core_hour: Annotated[
        float | None,
        typer.Option("--core-hour", min=0.0, metavar="PRICE", help="一核一小时的价格。 An hour of a core."),
    ] = None,
    gib_month: Annotated[
        float | None,
        typer.Option("--gib-month", min=0.0, metavar="PRICE", help="1 GiB 存储一个月。 A GiB for a month."),
    ] = None,
    file_gib_month: Annotated[
        float | None,
        typer.Option(
            "--file-gib-month", min=0.0, metavar="PRICE", help="附件存储，缺省同上。 Of attachments; else the same."
        ),
    ] = None,
    svg: Annotated[
        Path | None, typer.Option("--picture", metavar="FILE", help="画成 SVG。 Draw the year as a picture.")
    ] = None,
    json: Json = False,
) -> None:
    """预测一年：负荷、积压、时长、存储、机器。 A year foretold: load, backlog, turnaround, storage, machines.

    不需要枢纽。抽取一部分案件逐件推演，每件代表许多件；给出价格时计算每百万条消息的费用。

    No hub is needed. A sample of cases is worked out, each standing for many; prices say what a million messages cost.
    """
    plan, prices = _plan(seed, year, counties, people), Prices(core_hour, gib_month, file_gib_month)
    with progress("推演 · working out") as told:
        found = prediction.year(plan, sample, times or (1.0, 10.0, 100.0), prices, told)
    if svg is not None:
        files.keep(svg, telling.drawn(found.sizes[0].tally))
    if json:
        as_json(telling.year_document(found))
        return
    telling.foretold(found)


@app.command(
    epilog=examples(
        "xieban simulate organisations ./country --counties 10 --people 100000",
        "xieban organisations import ./country/organisations.json --data DIR",
    )
)
def organisations(
    folder: Folder,
    seed: Seed = _SEED,
    year: YearOf = _YEAR,
    counties: Counties = None,
    people: People = _PEOPLE,
    draw: Annotated[int, typer.Option("--draw", min=0, help="同一国家的另一次抽样。 Another run of this country.")] = 0,
    json: Json = False,
) -> None:
    """建立模拟的目录：机构文件与密钥。 Make a simulation's folder: its organisations and their keys.

    密钥由其中的 secret 文件得出，只用于模拟，不要导入办理真实案件的枢纽。

    Keys come from the file `secret` in it; they are for simulations, not for a hub with real cases.
    """
    path, number = Cast.make(folder, _plan(seed, year, counties, people, draw)).write_records()
    if json:
        as_json({"file": str(path), "organisations": number})
        return
    say(f"{number} 个机构 organisations → {path}")


@app.command(
    epilog=examples(
        "xieban simulate play ./country --hub http://127.0.0.1:8420 --from 2026-03-02 --days 28 --speed 2000",
    )
)
def play(
    folder: Folder,
    hub: Hub,
    first: First = _SLICE,
    days: Days = _DAYS,
    speed: Annotated[
        float, typer.Option("--speed", min=1.0, help="快多少倍；没有事的时间跳过。 So many times as fast.")
    ] = _SPEED,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="JWKS", help="枢纽公钥，否则相信枢纽自己。 The hub's public keys.")
    ] = None,
    draws: Draws = 5,
    json: Json = False,
) -> None:
    """对任一枢纽回放，并与预测核对。 Play some days against any hub, and hold them against the prediction.

    时间压缩，无事时跳过，跟不上时停下等待；中断后再次执行即接续。不符则状态码非零。

    Time is compressed, jumps where nothing happens and waits where the hub does not keep up; run it again to go on.
    """
    cast = Cast(folder)
    begins, ends = _span(cast.plan.year, first, days)
    keys = files.verifying_keys(key) if key is not None else None
    with _playing(begins, ends) as told:
        asyncio.run(Play(cast, hub, begins, ends, speed, keys).run(told))
    predicted = _expected(cast.plan, begins, ends, draws)
    _judge(checking.compare(predicted, draws, played := checking.measured(cast, begins, ends)), played, None, json)


@app.command(
    epilog=examples(
        "xieban simulate check",
        "xieban simulate check --minutes 10 --counties 8 --json",
        "xieban simulate check --rate 200 --days 7",
    )
)
def check(
    seed: Seed = _SEED,
    year: YearOf = _YEAR,
    counties: Annotated[int, typer.Option("--counties", min=2, help="往来最多的几个县。 The busiest counties.")] = 4,
    first: First = _SLICE,
    days: Days = _DAYS,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.05, help="大约用几分钟。 About how long it takes.")
    ] = 3.0,
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=1.0, help="本机每秒能处理的消息数；缺省先测。 What this machine does; else found out."
        ),
    ] = None,
    draws: Draws = 5,
    json: Json = False,
) -> None:
    """在本机核对预测，连同代价。 Hold the prediction against a play on this machine, its cost included.

    另起一次性的枢纽，回放本机承受得起的最大规模，逐项比较；全部相符时状态码才是零。

    A throw-away hub is played as much as this machine bears; the status is 0 only if every figure holds.
    """
    begins, ends = _span(year, first, days)
    remark("求本机承受得起的规模 · finding the size that fits this machine")
    try:
        played, cost, predicted = _checked(_plan(seed, year, counties, 1.0), begins, ends, minutes, rate, draws)
    except asyncio.CancelledError:
        remark("已停止，枢纽也已停止 · stopped, and the hub with it")
        raise typer.Exit(143) from None
    _judge(checking.compare(predicted, draws, played, cost), played, cost, json)


# What is asked ----------------------------------------------------------------------------------------


def _checked(
    plan: Plan, begins: date, ends: date, minutes: float, rate: float | None, draws: int
) -> tuple[Played, Cost, Tally]:
    part = asyncio.run(trial.fitting(plan, begins, ends, minutes * 60, rate))
    predicted = _expected(part.plan, begins, ends, draws)
    remark(f"{part.plan.counties} 县 counties · {part.plan.people:,.0f} 人 people · × {part.speed:,.0f}")
    with _playing(begins, ends) as told:
        played, cost = asyncio.run(trial.trial(part, told))
    return played, cost, predicted


def _plan(seed: int, year: int, counties: int | None, people: float, draw: int = 0) -> Plan:
    """What is simulated. Raises UsageFault."""
    if not STATUTORY.is_published(year):
        raise UsageFault(f"the holidays of {year} are not published: no Spring Festival to go by")
    return Plan(seed, year, len(Country(seed, counties).counties), people, draw)


def _span(year: int, first: str, days: int) -> tuple[date, date]:
    """The first and the last day. Raises UsageFault."""
    try:
        begins = date.fromisoformat(first)
    except ValueError:
        raise UsageFault("--from is a day such as 2026-03-02") from None
    ends = begins + timedelta(days=days - 1)
    if (begins.year, ends.year) != (year, year):
        raise UsageFault(f"the days from {begins} to {ends} are not in {year}, the year of the simulation")
    return begins, ends


def _expected(plan: Plan, first: date, last: date, draws: int) -> Tally:
    with progress("预测 · predicting") as told:
        return prediction.expected(plan, first, last, draws, told)


@contextmanager
def _playing(first: date, last: date) -> Iterator[TOLD]:
    """A bar that counts simulated days."""
    size = (last - first).days + 1
    with progress("回放 · playing") as told:
        yield lambda moment, taken, refused: told(max(0, min(size, (day_of(moment) - first).days)), size)


def _judge(findings: Sequence[Finding], played: Played, cost: Cost | None, json: bool) -> None:
    """Say every finding; the command ends with status 1 unless all hold."""
    failed = [finding for finding in findings if not finding.holds]
    if json:
        as_json(telling.findings_document(findings, played, cost) | {"holds": not failed})
    else:
        telling.compared(findings, played, cost)
    if failed:
        remark(f"不符 · does not hold: {', '.join(finding.name for finding in failed)}")
        raise typer.Exit(1)
