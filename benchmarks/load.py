"""The load generator, a process of its own: bare HTTP over kept connections, so that little of the machine is its.

`python -m benchmarks.load PORT SENDERS RATE FILE` sends each line of FILE as one request (a JSON array of method,
path, media type, further header lines, and the body in hex) and prints what it saw as JSON. RATE is requests a
second over all senders, 0 for as many as the hub answers.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import cast

import uvloop


class Sender(asyncio.Protocol):
    """One connection: a request after each answer."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._buffer = b""
        self._started = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: begin."""
        self._transport = cast(asyncio.Transport, transport)
        self._next()

    def _next(self) -> None:
        delay = self._run.pause()
        if delay > 0:
            asyncio.get_running_loop().call_later(delay, self._send)
        else:
            self._send()

    def _send(self) -> None:
        if not self._run.waiting:
            self._transport.close()
            return
        self._started = time.perf_counter()
        self._transport.write(self._run.waiting.popleft())

    def data_received(self, data: bytes) -> None:
        """Part of an answer; when it is whole, the next request."""
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self._run.answered(int(head[9:12]), time.perf_counter() - self._started, rest)
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        """The hub closed, or everything is sent."""
        self._run.gone()


class Run:
    """All senders together."""

    def __init__(self, requests: list[bytes], senders: int, rate: float) -> None:
        self.waiting = deque(requests)
        self._senders, self._rate = senders, rate
        self._due = time.perf_counter()
        self.statuses: Counter[int] = Counter()
        self.seconds: list[float] = []
        self.lines = 0
        self._done = asyncio.Event()

    def pause(self) -> float:
        """How long to wait before the next request, so that the rate is kept."""
        if not self._rate:
            return 0.0
        self._due = max(self._due + 1 / self._rate, time.perf_counter() - 1.0)
        return self._due - time.perf_counter()

    def answered(self, status: int, seconds: float, body: bytes) -> None:
        """Note an answer."""
        self.statuses[status] += 1
        self.seconds.append(seconds)
        self.lines += body.count(b'"log":')

    def gone(self) -> None:
        """A sender has finished."""
        self._senders -= 1
        if self._senders == 0:
            self._done.set()

    async def run(self, port: int) -> float:
        """Send everything; the seconds it took."""
        started = time.perf_counter()
        loop = asyncio.get_running_loop()
        for _ in range(self._senders):
            await loop.create_connection(lambda: Sender(self), "127.0.0.1", port)
        await self._done.wait()
        return time.perf_counter() - started


def requests(file: Path) -> list[bytes]:
    """The requests of a file, ready to be written."""
    found = []
    for line in file.read_text("ascii").splitlines():
        method, path, media, more, body = json.loads(line)
        raw = bytes.fromhex(body)
        head = f"{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Type: {media}\r\nContent-Length: {len(raw)}\r\n{more}"
        found.append(head.encode() + b"\r\n" + raw)
    return found


def main() -> None:
    """Run and print."""
    port, senders, rate, file = sys.argv[1:]
    loaded = requests(Path(file))

    async def work() -> tuple[Run, float]:
        run = Run(loaded, int(senders), float(rate))
        return run, await run.run(int(port))

    before = time.process_time()
    run, elapsed = uvloop.run(work())
    seconds = sorted(run.seconds)
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    print(
        json.dumps(
            {
                "answers": len(seconds),
                "receipts": run.lines,
                "statuses": dict(run.statuses),
                "elapsed": elapsed,
                "cpu": time.process_time() - before,
                "latency": {name: seconds[int(share * (len(seconds) - 1))] for name, share in shares.items()},
            }
        )
    )


if __name__ == "__main__":
    main()
