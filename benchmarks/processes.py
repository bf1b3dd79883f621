"""The hub under test, and the CPU seconds that a tree of processes has used."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.usage import cpu_seconds, tree

Request = tuple[str, str, str, str, bytes]
"""Method, path, media type, further header lines, body."""


def _command(pid: int) -> bytes:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    return b""


def _resident(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@dataclass
class Hub:
    """A running hub."""

    data: Path
    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """CPU seconds of hub and PostgreSQL so far."""
        return cpu_seconds(self.process.pid)

    def memory(self) -> int:
        """Bytes that the hub's processes hold, without PostgreSQL's."""
        return sum(_resident(pid) for pid in tree(self.process.pid) if b"postgres" not in _command(pid))

    def enrol(self, records: Sequence[dict[str, Any]]) -> None:
        """Import organisations."""
        file = self.data / "organisations.json"
        file.write_text(json.dumps(list(records)))
        xieban("organisations", "import", str(file), "--data", str(self.data))

    def get(self, path: str, token: str | None = None) -> bytes:
        """A call, open or with a bearer token."""
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=30) as response:
            return bytes(response.read())


def xieban(*arguments: str) -> None:
    """Run a command of the hub."""
    subprocess.run([sys.executable, "-m", "hub.commands", *arguments], check=True, stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def hub(port: int, workers: int = 1, data: Path | None = None) -> Iterator[Hub]:
    """A hub on the embedded database, on a directory of its own or `data`."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as folder:
        where = data or Path(folder)
        command = [sys.executable, "-m", "hub.commands", "serve", "--data", str(where), "--port", str(port)]
        with open(where / "hub.log", "ab") as log:
            process = subprocess.Popen([*command, "--workers", str(workers)], stdout=log, stderr=log)
        running = Hub(where, port, process)
        try:
            _await(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def _await(running: Hub) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            running.get("/readyz")
            return
        except OSError:
            if running.process.poll() is not None or time.monotonic() > until:
                raise SystemExit((running.data / "hub.log").read_text()[-2000:]) from None
            time.sleep(0.1)


def load(running: Hub, sequences: Iterable[Sequence[Request]], senders: int, rate: float = 0) -> dict[str, Any]:
    """What the load generator saw of these requests, and the CPU seconds they cost the hub."""
    file = running.data / "requests"
    with open(file, "w") as out:
        for sequence in sequences:
            out.write(json.dumps([[*words, body.hex()] for *words, body in sequence]) + "\n")
    before = running.cpu()
    command = [sys.executable, "-m", "benchmarks.load", str(running.port), str(senders), str(rate), str(file)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    file.unlink()
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen | {"hub_cpu": running.cpu() - before}
