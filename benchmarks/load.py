"""The load generator, a process of its own: bare HTTP over kept connections, so that little of the machine is its.

`python -m benchmarks.load PORT SENDERS RATE FILE` sends each line of FILE, a JSON array of requests that one sender
sends one after the other; a request is an array of method, path, media type, further header lines, and the body in
hex. RATE is requests a second over all senders, 0 for as many as the hub answers. What was seen is printed as JSON;
where there is a rate, a request's time runs from the moment it was due and its sender free.
"""

import asyncio
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path
from typing import cast

import uvloop

RETRY_AFTER = 1.0
SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}


class Connection(asyncio.Protocol):
    """One kept connection: whole answers, as they come."""

    transport: asyncio.Transport
    _buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected."""
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        self._buffer += data
        head, blank, rest = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(rest) < length:
            return
        self._buffer = b""
        self.answered(int(head[9:12]), rest)

    def answered(self, status: int, body: bytes) -> None:
        """A whole answer has come."""
        raise NotImplementedError


class Sender(Connection):
    """Sends a request after each answer, and one sequence of requests after the other."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._left: deque[bytes] = deque()
        self._started = self._free = 0.0

    def next(self) -> None:
        """Send the next request when it is due; close where there is none."""
        if not self._left:
            if not self._run.waiting:
                self.transport.close()
                return
            self._left.extend(self._run.waiting.popleft())
        due = self._run.due()
        now = time.perf_counter()
        self._started = max(due, self._free or now)
        if due > now:
            asyncio.get_running_loop().call_later(due - now, self._send)
        else:
            self._send()

    def _send(self) -> None:
        self.transport.write(self._left.popleft())

    def answered(self, status: int, body: bytes) -> None:
        """Note it, and go on, after a refusal as late as a 503 asks for; what hangs on the refused is not sent."""
        self._free = time.perf_counter()
        self._run.answered(status, self._free - self._started, body)
        if status >= 400:
            self._left.clear()
        if status == 503:
            self._free += RETRY_AFTER
            asyncio.get_running_loop().call_later(RETRY_AFTER, self.next)
        else:
            self.next()

    def connection_lost(self, error: Exception | None) -> None:
        """The hub closed, or everything is sent."""
        self._run.gone()


class Run:
    """All senders together."""

    def __init__(self, sequences: list[list[bytes]], senders: int, rate: float) -> None:
        self.waiting = deque(sequences)
        self._senders, self._rate = senders, rate
        self._due = time.perf_counter()
        self.statuses: Counter[int] = Counter()
        self.taken: list[float] = []
        self.refused: list[float] = []
        self.lines = 0
        self._done = asyncio.Event()

    def due(self) -> float:
        """When the next request is due, 0 for at once."""
        if not self._rate:
            return 0.0
        self._due += 1 / self._rate
        return self._due

    def answered(self, status: int, seconds: float, body: bytes) -> None:
        """Note an answer."""
        self.statuses[status] += 1
        (self.taken if status < 400 else self.refused).append(seconds)
        self.lines += body.count(b'"log":')

    def gone(self) -> None:
        """A sender has finished."""
        self._senders -= 1
        if self._senders == 0:
            self._done.set()

    async def run(self, port: int) -> float:
        """Send everything; the seconds it took."""
        loop = asyncio.get_running_loop()
        senders = [
            (await loop.create_connection(lambda: Sender(self), "127.0.0.1", port))[1] for _ in range(self._senders)
        ]
        started = self._due = time.perf_counter()
        for sender in senders:
            sender.next()
        await self._done.wait()
        return time.perf_counter() - started


def request(method: str, path: str, media: str, more: str, body: bytes) -> bytes:
    """A request, ready to be written."""
    head = f"{method} {path} HTTP/1.1\r\nHost: hub\r\nContent-Type: {media}\r\nContent-Length: {len(body)}\r\n{more}"
    return head.encode() + b"\r\n" + body


def sequences(file: Path) -> list[list[bytes]]:
    """The sequences of a file, ready to be written."""
    lines = map(json.loads, file.read_text("ascii").splitlines())
    return [[request(*words, bytes.fromhex(body)) for *words, body in line] for line in lines]  # type: ignore[call-arg]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Shares of the sorted seconds; empty where there are none."""
    ordered = sorted(seconds)
    return {name: ordered[int(share * (len(ordered) - 1))] for name, share in SHARES.items()} if ordered else {}


def main() -> None:
    """Run and print."""
    port, senders, rate, file = sys.argv[1:]
    loaded = sequences(Path(file))

    async def work() -> tuple[Run, float]:
        run = Run(loaded, int(senders), float(rate))
        return run, await run.run(int(port))

    before = time.process_time()
    run, elapsed = uvloop.run(work())
    print(
        json.dumps(
            {
                "receipts": run.lines,
                "taken": len(run.taken),
                "statuses": run.statuses,
                "elapsed": elapsed,
                "cpu": time.process_time() - before,
                "latency": percentiles(run.taken),
                "latency_refused": percentiles(run.refused),
            }
        )
    )


if __name__ == "__main__":
    main()
