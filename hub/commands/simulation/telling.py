"""What is said of a simulation: assumptions, a year foretold, a play beside its prediction; for people and machines."""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from adapters.simulation.assumptions import SOURCES, Assumption, assumptions, costs
from adapters.simulation.checking import Cost, Finding, Played
from adapters.simulation.prediction import Year
from adapters.simulation.sizes import Machine
from adapters.simulation.tally import Tally
from hub.commands.output import say, table
from hub.console import charts


def assumed(listed: Iterable[Assumption]) -> None:
    """Numbers with their sources, in a table."""
    columns = ["名称 name", "数值 value", "单位 unit", "出处 source", "含义 meaning"]
    table(columns, [(a.name, f"{a.value:,.10g}", a.unit, SOURCES[a.source], f"{a.zh} {a.en}") for a in listed])


def compared(findings: Sequence[Finding], played: Played, cost: Cost | None) -> None:
    """The findings in a table, of the many of one kind only some, and all that do not hold."""
    shown = [finding for finding in findings if not finding.holds or _telling(finding)]
    rows = [
        (f.name, *(_number(n) for n in (f.predicted, f.measured, f.allowed)), "✓" if f.holds else "✗") for f in shown
    ]
    table(["", "预测 predicted", "实测 measured", "容差 ±", ""], rows)
    say(f"共 {len(findings)} 项，符合 {sum(f.holds for f in findings)} 项 · so many hold; all of them by --json")
    rate = played.tally.messages / played.seconds
    say(
        f"{played.tally.messages:,.0f} 条 messages · {played.seconds:,.0f} s · {rate:,.0f}/s · 回执 receipts"
        f" p50 {played.took[0] * 1e3:,.0f} ms, p99 {played.took[1] * 1e3:,.0f} ms"
    )
    for line in played.refused[:10]:
        say(f"  ✗ {line}")
    if cost is not None:
        say("每百万条 · per million: " + " · ".join(f"{number:,.1f} {unit}" for unit, number in _million(played, cost)))


def _telling(finding: Finding) -> bool:
    by_type, by_day = "." in finding.name, finding.name.startswith("open, day")
    return not by_type and (not by_day or int(finding.name.rpartition(" ")[2]) % 7 == 0)


def _number(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:,.2f}"


def _million(played: Played, cost: Cost) -> list[tuple[str, float]]:
    times = 1e6 / max(1.0, played.tally.messages)
    gib = times / (1 << 30)
    sizes = {"stored": cost.stored, "WAL": cost.written, "attachments": cost.attached}
    return [("CPU s", cost.cpu * times), *((f"GiB {name}", size * gib) for name, size in sizes.items())]


def findings_document(findings: Sequence[Finding], played: Played, cost: Cost | None) -> dict[str, Any]:
    """All of it for a machine."""
    return {
        "findings": [
            {"name": f.name, "predicted": f.predicted, "measured": f.measured, "allowed": f.allowed, "holds": f.holds}
            for f in findings
        ],
        "messages": played.tally.messages,
        "seconds": played.seconds,
        "refused": played.refused,
        "receipt_seconds": {"p50": played.took[0], "p99": played.took[1]},
        "per_million": dict(_million(played, cost)) if cost is not None else None,
    }


def year_document(found: Year) -> dict[str, Any]:
    """A year foretold, for a machine."""
    return {
        "plan": found.plan,
        "sampled": found.sampled,
        "assumptions": {name: a.value for name, a in {**assumptions(), **costs()}.items()},
        "sizes": [
            {
                "machine": size.machine,
                "turnaround_days": {f"p{share * 100:.0f}": days for share, days in size.tally.quantiles().items()},
                "messages": dict(size.tally.types),
                "by_day": size.tally.by_day(),
                "open": size.tally.backlog,
                "unread": size.tally.unread,
            }
            for size in found.sizes
        ],
    }


_ROWS: Sequence[tuple[str, str, str]] = (
    ("一年的消息 messages a year", "messages_year", ",.0f"),
    ("全年平均 average, /s", "average", ",.1f"),
    ("最忙的一小时 busiest hour, /s", "busiest_hour", ",.0f"),
    ("高峰 peak, /s", "peak", ",.0f"),
    ("处理器核 cores", "cores", ",.1f"),
    ("其中工作进程 workers", "workers", ",d"),
    ("枢纽（各有日志） hubs, a log each", "hubs", ",d"),
    ("内存 memory, GiB", "memory_gib", ",.0f"),
    ("一年入库 stored a year, TiB", "stored_tib_year", ",.1f"),
    ("保存年限内 kept, TiB", "stored_tib", ",.1f"),
    ("高峰写日志 log at the peak, MiB/s", "log_mib_second", ",.1f"),
    ("附件，一年 attachments a year, TiB", "attached_tib_year", ",.0f"),
    ("附件，保存年限内 attachments kept, TiB", "attached_tib", ",.0f"),
    ("高峰收发附件 attachments at the peak, MiB/s", "attached_mib_second", ",.0f"),
    ("每百万条 CPU a million, s", "cpu_seconds_million", ",.0f"),
    ("每百万条入库 stored a million, GiB", "stored_gib_million", ",.1f"),
    ("每百万条附件 attachments a million, GiB", "attached_gib_million", ",.0f"),
    ("每百万条费用 price a million", "price_million", ",.2f"),
)


def foretold(found: Year) -> None:
    """A year foretold, for people."""
    first, plan = found.sizes[0], found.plan
    where = f"{plan.year} · {plan.counties:,} 县 counties · {plan.people:,.0f} 人 people"
    say(f"{where} · 推演 worked out {found.sampled:,} 件 cases\n")
    machines = [size.machine for size in found.sizes]
    rows = [(title, *(_cell(machine, name, form) for machine in machines)) for title, name, form in _ROWS]
    table(["模拟 simulated", *(f"{machine.times:g}×" for machine in machines)], rows)
    say("\n办理时长（日） turnaround, days: " + _quantiles(first.tally))
    backlog, unread = first.tally.backlog, first.tally.unread
    say(f"未办结 open at the end of a day: 最多 most {max(backlog):,.0f} · 年末 at the year's end {backlog[-1]:,.0f}")
    say(f"未读 unread at the end of a day: 最多 most {max(unread):,.0f}")
    busiest = max(range(first.tally.days), key=first.tally.by_day().__getitem__)
    say(f"最忙的一天 busiest day: {first.tally.first + timedelta(days=busiest)}")
    say("假设与出处 assumptions and their sources: xieban simulate assumptions")


def drawn(tally: Tally) -> bytes:
    """The year week by week, as a picture."""
    weeks = range(0, tally.days - 6, 7)
    begins = [tally.first + timedelta(days=day) for day in weeks]
    labels = [f"{day.month}月" if day.day <= 7 else "" for day in begins]
    series = {
        "消息/周 messages a week": [sum(tally.by_day()[day : day + 7]) for day in weeks],
        "未办结 open cases": [tally.backlog[day + 6] for day in weeks],
        "未读 unread messages": [tally.unread[day + 6] for day in weeks],
    }
    return charts.lines(labels, {name: [n / 1e6 for n in row] for name, row in series.items()}, "10⁶")


def _quantiles(tally: Tally) -> str:
    return " · ".join(f"p{share * 100:.0f} {days:.1f}" for share, days in tally.quantiles().items())


def _cell(machine: Machine, name: str, form: str) -> str:
    number = getattr(machine, name)
    return "—" if number is None else format(number, form)
