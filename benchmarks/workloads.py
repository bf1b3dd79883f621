"""What is measured: each workload puts its figures into a `Report`."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import processes, readers, stored, traffic
from benchmarks.processes import Hub, Request
from keys import jwk, jws, jwt
from protocols import envelope

BUREAUS = 40
PARTNERS = 10_000
SENDERS = (1, 16, 64, 256)
CROWD = 4_000
"""Senders of the overload: so many that what is offered does not wait for answers."""
OFFERED = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
"""Loads of the back-pressure curve, as shares of what single sends reach."""
READING_RATE = 300
"""Messages a second while supervisors read: six times the yearly mean of a country."""
Seen = dict[str, Any]


@dataclass
class Report:
    """What one run measured: `floor` in messages per CPU second, and the figures of each kind of workload."""

    floor: float = 0.0
    machine: Seen = field(default_factory=dict)
    throughput: dict[str, Seen] = field(default_factory=dict)
    waiting: Seen = field(default_factory=dict)
    half_load: Seen = field(default_factory=dict)
    overload: list[Seen] = field(default_factory=list)
    stored: list[Seen] = field(default_factory=list)
    soak: list[Seen] = field(default_factory=list)
    readers: Seen = field(default_factory=dict)
    country: Seen = field(default_factory=dict)

    def add(self, name: str, count: int, seen: Seen) -> None:
        """Note `count` messages that a load of the hub carried."""
        per_core = count / seen["hub_cpu"]
        self.throughput[name] = {
            "messages": count,
            "per_second": count / seen["elapsed"],
            "per_core": per_core,
            "of_floor": per_core / self.floor,
            "latency_ms": milliseconds(seen["latency"]),
            "load_cpu_share": seen["cpu"] / seen["elapsed"],
            "statuses": seen["statuses"],
        }

    @property
    def capacity(self) -> float:
        """The most messages a second that single sends reached."""
        return max(float(row["per_second"]) for name, row in self.throughput.items() if name.startswith("single"))


def milliseconds(seconds: Seen) -> Seen:
    """The same in milliseconds."""
    return {share: 1000 * value for share, value in seconds.items()}


def floor(tokens: Sequence[bytes], bureaus: Sequence[traffic.Bureau], rounds: int) -> float:
    """The floor in messages per CPU second: the median of `rounds`."""
    with tempfile.TemporaryDirectory() as folder:
        messages, keys = Path(folder, "messages"), Path(folder, "keys")
        messages.write_bytes(b"\n".join(tokens))
        keys.write_text(json.dumps(jwk.public_jwks([bureau.signing.public for bureau in bureaus])))
        command = [sys.executable, "-m", "benchmarks.floor", str(messages), str(keys)]
        said = [subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(rounds)]
    runs: list[dict[str, float]] = [json.loads(text.splitlines()[-1]) for text in said]
    return sorted(run["messages"] / run["cpu"] for run in runs)[len(runs) // 2]


def send(token: bytes) -> Request:
    """One message as a request."""
    return "POST", "/v1/messages", "application/jose", "", token


def singles(hub: Hub, tokens: Iterable[bytes], senders: int, rate: float = 0) -> Seen:
    """One message a request."""
    return processes.load(hub, ([send(token)] for token in tokens), senders, rate)


def batches(hub: Hub, tokens: Sequence[bytes], lines: int) -> Seen:
    """`lines` messages a request, by four senders."""
    bodies = [b"\n".join(tokens[at : at + lines]) for at in range(0, len(tokens), lines)]
    requests = ([("POST", "/v1/messages/batch", "application/x-ndjson", "", body)] for body in bodies)
    return processes.load(hub, requests, 4)


def polls(hub: Hub, bureaus: Sequence[traffic.Bureau], page: int) -> tuple[int, Seen]:
    """Each bureau reads its mailbox from the start, `page` messages at a time; how many messages that was."""
    requests: list[list[Request]] = []
    for bureau in bureaus:
        token = jwt.bearer(bureau.id, traffic.HUB, bureau.signing, datetime.now(UTC))
        behind = json.loads(hub.get("/v1/mailbox?after=0&limit=1", token))["behind"] + 1
        more = f"Authorization: Bearer {token}\r\n"
        for after in range(0, behind - page + 1, page):
            requests.append([("GET", f"/v1/mailbox?after={after}&limit={page}", "application/json", more, b"")])
    return len(requests) * page, processes.load(hub, requests, 4)


def throughput(hub: Hub, writer: traffic.Writer, scale: float, report: Report, note: Callable[[str], None]) -> None:
    """Single sends, batches, and reading it all."""
    singles(hub, writer.requests(int(2_000 * scale)), 64)  # warm
    for senders, count in zip(SENDERS, (1_000, 6_000, 12_000, 12_000), strict=True):
        note(f"single, {senders} senders")
        tokens = writer.requests(int(count * scale))
        report.add(f"single, {senders} senders", len(tokens), singles(hub, tokens, senders))
    for lines in (100, 1_000):
        note(f"batch of {lines}")
        tokens = writer.requests(max(4, int(20_000 * scale) // lines) * lines)
        report.add(f"batch of {lines}", len(tokens), batches(hub, tokens, lines))
    page = 500 if scale >= 1 else 50
    note(f"poll, {page} a page")
    report.add(f"poll, {page} a page", *polls(hub, writer.bureaus, page))


def half_load(hub: Hub, writer: traffic.Writer, seconds: float, report: Report) -> None:
    """Whole cases, from opening to close, at half of what single sends reach."""
    rate = report.capacity / 2
    cases = list(writer.whole_cases(int(rate * seconds / traffic.STEPS)))
    seen = processes.load(hub, ([send(token) for token in case] for case in cases), 256, rate)
    report.half_load = {
        "cases": len(cases),
        "offered": rate,
        "per_second": seen["taken"] / seen["elapsed"],
        "latency_ms": milliseconds(seen["latency"]),
        "statuses": seen["statuses"],
    }


def overload(hub: Hub, writer: traffic.Writer, seconds: float, report: Report) -> None:
    """More and more is offered, to three times what can be done; who is refused waits as long as Retry-After says."""
    for share in OFFERED:
        rate = share * report.capacity
        seen = singles(hub, writer.requests(int(rate * seconds)), CROWD, rate)
        report.overload.append(
            {
                "share": share,
                "offered": rate,
                "sent": sum(seen["statuses"].values()) / seen["elapsed"],
                "taken": seen["taken"] / seen["elapsed"],
                "statuses": seen["statuses"],
                "latency_ms": milliseconds(seen["latency"]),
                "latency_refused_ms": milliseconds(seen["latency_refused"]),
            }
        )


def waiting(hub: Hub, count: int, messages: int, report: Report) -> None:
    """`count` partners wait for their mailboxes, and messages come for some of them."""
    partners = traffic.bureaus(count, first=500_000)
    hub.enrol([partner.record() for partner in partners])
    writer = traffic.Writer(partners)
    lines = [f"message {token.hex()}" for token in writer.requests(messages)]
    lines += [f"partner {jwt.bearer(p.id, traffic.HUB, p.signing, datetime.now(UTC))}" for p in partners]
    file = hub.data / "waiting"
    file.write_text("\n".join(lines))
    before = hub.memory()
    command = [sys.executable, "-m", "benchmarks.waiting", str(hub.port), "100", str(file)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        if process.stdout.readline() != "waiting\n":
            sys.exit("the partners do not all wait; see above")
        idle, started = hub.cpu(), time.perf_counter()
        time.sleep(5)
        idle_share = (hub.cpu() - idle) / (time.perf_counter() - started)
        memory = hub.memory()
        seen = json.loads(process.communicate("\n")[0])
    seen["latency_ms"] = milliseconds(seen.pop("latency"))
    report.waiting = seen | {"kib_a_partner": (memory - before) / 1024 / count, "idle_cpu_share": idle_share}


def cost_when_stored(hub_port: int, sizes: Sequence[int], scale: float, report: Report) -> None:
    """What one more message costs where so many are stored."""
    bureaus = traffic.bureaus(BUREAUS)
    writer = traffic.Writer(bureaus)
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
            filled = time.perf_counter()
            with processes.hub(hub_port, data=Path(folder)) as hub:
                hub.enrol([bureau.record() for bureau in bureaus])
            stored.fill(Path(folder), size)
            filled = time.perf_counter() - filled
            with processes.hub(hub_port, data=Path(folder)) as hub:
                singles(hub, writer.requests(int(2_000 * scale)), 64)  # warm
                count = max(1, int(12_000 * scale) // 100) * 100
                one = singles(hub, writer.requests(count), 64)
                many = batches(hub, writer.requests(count), 100)
        report.stored.append(
            {
                "stored": size,
                "seconds_to_fill": filled,
                "single_us": 1e6 * one["hub_cpu"] / one["taken"],
                "batch_us": 1e6 * many["hub_cpu"] / many["receipts"],
                "single_p99_ms": 1000 * one["latency"]["p99"],
            }
        )


def supervisors(hub_port: int, cases: int, seconds: float, report: Report, note: Callable[[str], None]) -> None:
    """What supervisors wait for where so many cases are stored, and what intake notices of them."""
    bureaus = traffic.bureaus(BUREAUS, first=900_000)
    writer = traffic.Writer(bureaus)
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        with processes.hub(hub_port, data=Path(folder)) as hub:
            hub.enrol([bureau.record() for bureau in bureaus])
        note(f"filling: {cases:,} cases, {cases * readers.PER_CASE:,} messages")
        readers.fill(Path(folder), cases)
        note("reading")
        with processes.hub(hub_port, data=Path(folder)) as hub:
            records = [bureau.record() | {"superior": readers.VIEWERS["province"]} for bureau in bureaus]
            hub.enrol(records)
            singles(hub, writer.requests(2_000), 64)  # warm
            (case,) = writer.whole_cases(1)
            processes.load(hub, ([send(token) for token in case],), 1)
            time.sleep(3)  # the log is followed

            def sending() -> Seen:
                seen = singles(hub, writer.requests(int(READING_RATE * seconds)), 64, READING_RATE)
                return {"latency_ms": milliseconds(seen["latency"]), "statuses": seen["statuses"]}

            report.readers = {"cases": cases} | readers.measure(hub, envelope.event(body(case[0])).subject, sending)


def body(token: bytes) -> dict[str, Any]:
    """What a message says."""
    return envelope.read(jws.decode(token, typ=envelope.TYP).payload)


def soak(hub: Hub, writer: traffic.Writer, seconds: float, report: Report, note: Callable[[str], None]) -> None:
    """Whole cases at half load and mailboxes read, again and again; memory and latency as time goes by."""
    rate, started = report.capacity / 2, time.perf_counter()
    while time.perf_counter() - started < seconds:
        cases = list(writer.whole_cases(int(rate * 10 / traffic.STEPS)))
        seen = processes.load(hub, ([send(token) for token in case] for case in cases), 256, rate)
        polls(hub, writer.bureaus[:4], 500)
        minute = (time.perf_counter() - started) / 60
        row = {"minute": minute, "memory_mib": hub.memory() / 2**20, "p99_ms": 1000 * seen["latency"]["p99"]}
        report.soak.append(row | {"statuses": seen["statuses"]})
        note(f"soak: {minute:.1f} min, {row['memory_mib']:.0f} MiB, p99 {row['p99_ms']:.0f} ms")
