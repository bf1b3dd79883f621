"""Partners that wait: many long polls at once, and how soon a message reaches the one it is for.

`python -m benchmarks.waiting PORT RATE FILE`: each line of FILE is `partner` with a bearer token, or `message` with a
message in hex that is for one of the partners. It says `waiting` once every partner waits and goes on at a line of
input: the messages are sent, RATE a second; a message's time runs from its sending to the answer of the poll.
"""

import asyncio
import functools
import json
import re
import sys
import time
from pathlib import Path

import uvloop

from benchmarks.load import Connection, percentiles, request

WAIT = 30
LINGER = 5.0
"""Seconds after the last message in which the last polls are answered."""


class Partner(Connection):
    """One partner: polls, and polls on."""

    def __init__(self, run: "Run", token: str) -> None:
        self._run = run
        self._header = f"Authorization: Bearer {token}\r\n"
        self.after = 0

    def poll(self) -> None:
        """Wait for what comes after the cursor."""
        path = f"/v1/mailbox?after={self.after}&wait={WAIT}"
        self.transport.write(request("GET", path, "application/json", self._header, b""))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Connected: poll."""
        super().connection_made(transport)
        self.poll()

    def answered(self, status: int, body: bytes) -> None:
        """Note what came, and poll on."""
        if status != 200:
            self._run.failed += 1
            return
        page = json.loads(body)
        self.after = page["next"]
        for item in page["items"]:
            self._run.arrived(item["receipt"]["message"])
        self.poll()


class Sender(Connection):
    """Sends the messages and remembers when."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self.free = asyncio.Event()
        self.free.set()

    async def send(self, message: bytes) -> None:
        """Send one, after the answer to the one before."""
        await self.free.wait()
        self.free.clear()
        self._sent = time.perf_counter()
        self.transport.write(request("POST", "/v1/messages", "application/jose", "", message))

    def answered(self, status: int, body: bytes) -> None:
        """Taken."""
        if status == 201:
            self._run.sent(json.loads(body)["message"], self._sent)
        else:
            self._run.failed += 1
        self.free.set()


class Run:
    """All of them together."""

    def __init__(self) -> None:
        self.failed = 0
        self.seconds: list[float] = []
        self._sent: dict[str, float] = {}
        self._arrived: dict[str, float] = {}

    def sent(self, message: str, at: float) -> None:
        """A message was sent at `at`; it may have arrived before its receipt came back."""
        self._sent[message] = at
        if message in self._arrived:
            self.seconds.append(self._arrived[message] - at)

    def arrived(self, message: str) -> None:
        """A poll brought this message."""
        now = self._arrived[message] = time.perf_counter()
        if message in self._sent:
            self.seconds.append(now - self._sent[message])

    async def run(self, port: int, rate: float, tokens: list[str], messages: list[bytes]) -> dict[str, object]:
        """Let everybody wait, send everything; what was seen."""
        loop = asyncio.get_running_loop()
        started = time.perf_counter()
        for token in tokens:
            await loop.create_connection(functools.partial(Partner, self, token), "127.0.0.1", port)
        while await _waiting(port) < len(tokens):
            await asyncio.sleep(0.2)
        everybody = time.perf_counter() - started
        print("waiting", flush=True)
        sys.stdin.readline()
        _, sender = await loop.create_connection(lambda: Sender(self), "127.0.0.1", port)
        due = time.perf_counter()
        for message in messages:
            due += 1 / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            await sender.send(message)
        until = time.perf_counter() + LINGER
        while len(self.seconds) < len(messages) and time.perf_counter() < until:
            await asyncio.sleep(0.05)
        return {
            "partners": len(tokens),
            "seconds_until_all_wait": everybody,
            "sent": len(self._sent),
            "arrived": len(self.seconds),
            "failed": self.failed,
            "latency": percentiles(self.seconds),
        }


async def _waiting(port: int) -> int:
    """How many polls wait, by the hub's own word."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("GET", "/metrics", "text/plain", "Connection: close\r\n", b""))
    text = (await reader.read()).decode()
    writer.close()
    found = re.search(r"^xieban_polls_waiting(?:\{[^}]*\})? ([0-9.]+)$", text, re.MULTILINE)
    return int(float(found[1])) if found else 0


def main() -> None:
    """Run and print."""
    port, rate, file = sys.argv[1:]
    lines = [line.split(" ") for line in Path(file).read_text("ascii").splitlines()]
    tokens = [words[1] for words in lines if words[0] == "partner"]
    messages = [bytes.fromhex(words[1]) for words in lines if words[0] == "message"]
    print(json.dumps(uvloop.run(Run().run(int(port), float(rate), tokens, messages))))


if __name__ == "__main__":
    main()
