"""`xieban demo`: two regions work hundreds of cases through a real hub, killed once on the way."""

import asyncio
import contextlib
import itertools
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from adapters.client import Client, Sent
from keys import jwk
from keys.jwk import DecryptionKey, SigningKey
from protocols import divisions, loading, receipt

HOME = ["411002", "411003", "411024", "411025", "411081", "411082"]
AWAY = ["440306", "440307", "441900", "320583", "410105"]
DEPARTMENT = "health"
console = Console(record=True, width=100)
Row = tuple[str, str, str, float]
"""Opener, responder, state, seconds from the first step to the last."""


class Bureau:
    """A bureau of the demo, with keys of its own."""

    def __init__(self, code: str) -> None:
        self.id = f"{code}-{DEPARTMENT}"
        self.signing: SigningKey = jwk.generate_signing()
        self.sealing: DecryptionKey = jwk.generate_encryption()

    def jwks(self) -> dict[str, Any]:
        """Its public keys."""
        return jwk.public_jwks([self.signing.public, self.sealing.public])


def run(data: Path | None, port: int, cases: int, stop_at_end: bool, picture: Path | None = None) -> None:
    """Run the demo; leaves the hub in the foreground unless `stop_at_end`."""
    with contextlib.ExitStack() as stack:
        folder = data or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="xieban-", ignore_cleanup_errors=True))
        )
        folder.mkdir(parents=True, exist_ok=True)
        console.print("[bold]协办演示 · xieban demo[/]")
        bureaus = {bureau.id: bureau for bureau in map(Bureau, HOME + AWAY)}
        count = _directory(folder, bureaus)
        hub = Hub(folder, port)
        stack.callback(hub.stop)
        hub.start()
        hub.xieban("organisations", "import", str(folder / "directory.json"), "--data", str(folder))
        console.print(f"目录 · directory: {count} 个机构 organisations")
        started = time.monotonic()
        sent, rows = asyncio.run(_work(hub, bureaus, cases))
        console.print(f"{len(sent)} 条消息，{time.monotonic() - started:.1f} 秒 · messages in seconds")
        hub.xieban("audit", "--data", str(folder))
        console.print(f"离线验证 {len(sent)} 份回执，全部有效；审计通过 · every receipt verified offline; audit passed")
        console.print(_table(rows))
        if picture is not None:
            _draw(picture)
        if not stop_at_end:
            console.print(f"枢纽运行于 · hub at http://127.0.0.1:{port}，Ctrl-C 停止\n接下来可以试 · try next:")
            console.print(f"  curl http://127.0.0.1:{port}/v1/hub\n  curl http://127.0.0.1:{port}/log/checkpoint")
            console.print(f"  .venv/bin/xieban audit --data {folder}", soft_wrap=True)
            with contextlib.suppress(KeyboardInterrupt):
                hub.process.wait()


class Hub:
    """The demo's hub: a real `xieban serve`."""

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port
        self.url = f"http://127.0.0.1:{port}"

    def start(self) -> None:
        """Start it and wait for the line that says it is ready."""
        command = [sys.executable, "-m", "hub.commands", "serve", "--data", str(self.data), "--port", str(self.port)]
        log = open(self.data / "hub.log", "ab")  # noqa: SIM115
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, start_new_session=True)
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            console.print((self.data / "hub.log").read_text()[-800:])
            raise SystemExit(1)

    def kill(self) -> None:
        """SIGKILL: no warning, nothing saved."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(60)

    def xieban(self, *arguments: str) -> None:
        """Run another command beside it."""
        subprocess.run([sys.executable, "-m", "hub.commands", *arguments], check=True, stdout=subprocess.DEVNULL)


def _directory(folder: Path, bureaus: dict[str, Bureau]) -> int:
    """Every county-level division with a health bureau, a supervisor in each prefecture and province."""
    codes = [(division.code, DEPARTMENT, "bureau", division.parent) for division in divisions.county_level()]
    above = sorted({code for row in codes for code in divisions.ancestors(row[0])}, key=str)
    upper = [division if hasattr(division, "code") else divisions.division(str(division)) for division in above]
    codes += [(division.code, "supervision", "supervisor", division.parent) for division in upper]
    records = []
    for code, department, role, parent in codes:
        id, name = f"{code}-{department}", divisions.division(code).name
        word = {"health": ("卫生健康委员会", "Health Commission"), "supervision": ("督导办", "Supervision")}[department]
        bureau = bureaus.get(id)
        record = {
            "id": id,
            "name": {"zh": name + word[0], "en": f"{code} {word[1]}"},
            "superior": f"{parent}-supervision" if parent else None,
            "roles": [role],
            "jwks": bureau.jwks() if bureau else {"keys": []},
        }
        records.append(record)
    (folder / "directory.json").write_text(json.dumps(records, ensure_ascii=False), "utf-8")
    return len(records)


async def _work(
    hub: Hub, bureaus: dict[str, Bureau], cases: int
) -> tuple[list[Sent], list[tuple[str, str, str, float]]]:
    chance = random.Random(2026)
    home, away = [f"{code}-{DEPARTMENT}" for code in HOME], [f"{code}-{DEPARTMENT}" for code in AWAY]
    pairs = [(chance.choice(home), chance.choice(away)) for _ in range(cases)]
    pairs = [pair if number % 2 else pair[::-1] for number, pair in enumerate(pairs)]
    sent: list[Sent] = []
    rows: list[Row] = []
    async with contextlib.AsyncExitStack() as stack:
        clients = {
            id: await stack.enter_async_context(Client(hub.url, id, b.signing, [b.sealing]))
            for id, b in bureaus.items()
        }
        with Progress(console=console, disable=not console.is_terminal) as progress:
            task = progress.add_task("案件 · cases", total=cases)
            gate, done = asyncio.Semaphore(12), itertools.count(1)

            async def one(number: int, opener: str, responder: str) -> None:
                async with gate:
                    state, seconds = await _case(clients, opener, responder, number, sent)
                rows.append((opener, responder, state, seconds))
                progress.advance(task)
                if next(done) == cases // 2:
                    console.print("强行终止枢纽并重启 · the hub is killed (SIGKILL) and started again")
                    await asyncio.to_thread(hub.kill)
                    await asyncio.to_thread(hub.start)

            await asyncio.gather(*(one(number, *pair) for number, pair in enumerate(pairs)))
        await _collect(clients)
        keys = clients[home[0]].hub_keys
    for message in sent:
        receipt.verify(message.receipt, keys, compact=message.compact)
    return sent, rows


async def _case(
    clients: dict[str, Client], opener: str, responder: str, number: int, sent: list[Sent]
) -> tuple[str, float]:
    """One case from its request to its end."""
    here, there = clients[opener], clients[responder]
    story = {"narrative": f"第{number + 1}号：请协助查明当事人在贵地的从业情况。"}
    first = await here.open_case(responder, _example("request"), story)
    sent.append(first)
    steps = [
        [(there, "decline")],
        [(there, "accept"), (there, "ask"), (here, "answer"), (there, "answer"), (here, "close")],
        [(there, "accept"), (there, "progress"), (there, "answer"), (here, "close")],
        [(there, "forward")],
    ][(0 if number % 10 == 0 else 3 if number % 10 == 5 else 1 + number % 2)]
    for client, message in steps:
        data, to = _example(message), [responder if client is here else opener]
        if message == "forward":
            newcomer = next(id for id in clients if id not in (opener, responder))
            data, to = data | {"to": newcomer}, [opener, newcomer]
        sent.append(await client.send(f"case-assistance.{message}", first.case, to, data, {"note": "情况见附件。"}))
    view = await here.case(first.case)
    moments = [datetime.fromisoformat(step["accepted"]) for step in view["timeline"]]
    return view["state"], (moments[-1] - moments[0]).total_seconds()


async def _collect(clients: dict[str, Client]) -> None:
    """Every bureau reads its mailbox to the end, opens what is sealed, and signs for it."""
    for client in clients.values():
        after, last = 0, None
        while True:
            page = await client.poll(after, limit=200)
            for last in page.items:
                client.unseal(last)
            after = page.next
            if not page.behind:
                break
        if last is not None:
            await client.acknowledge(last)


def _example(message: str) -> dict[str, Any]:
    protocol = loading.catalogue().protocols["case-assistance", "1.0"]
    return dict(protocol.messages[message].schema.document["examples"][0])


def _table(rows: list[Row]) -> Table:
    table = Table(title="办理时长 · turnaround by pair of regions")
    for name in ("发起 opener", "协办 responder", "案件 cases", "状态 states", "平均秒 mean s"):
        table.add_column(name)
    grouped: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for opener, responder, state, seconds in rows:
        pair = divisions.division(opener[:6]).name, divisions.division(responder[:6]).name
        grouped[pair].append((state, seconds))
    for pair, cases in sorted(grouped.items()):
        states = "，".join(f"{state} {n}" for state, n in sorted(Counter(s for s, _ in cases).items()))
        table.add_row(*pair, str(len(cases)), states, f"{sum(s for _, s in cases) / len(cases):.2f}")
    return table


def _draw(picture: Path) -> None:
    """The demo's output as SVG, without the web fonts that it would fetch."""
    drawn = console.export_svg(title="xieban demo", clear=False)
    picture.write_text(re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL), "utf-8")
