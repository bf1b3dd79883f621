"""A real hub on the embedded database, started as its users start it."""

import asyncio
import contextlib
import functools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import asyncpg
import pytest

from hub.store import embedded, migrate

# A shell that starts the tests in the background has SIGINT ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

XIEBAN = [sys.executable, "-c", "from hub.commands import main; main()"]


@dataclass
class RunningHub:
    """A hub process, its address and its data."""

    data: Path
    port: int
    options: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    """What its processes find in their environment besides."""
    host: str = "127.0.0.1"
    """Where it is reached."""
    within: tuple[str, ...] = ()
    """What begins its command line: a program that runs it somewhere else."""
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> None:
        """Start the hub again on the same data and wait until it is ready."""
        _await_gone(self)
        self.process = _spawn(self)
        _await_ready(self)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `xieban` with `arguments`, on this hub's data directory."""
        return subprocess.run([*XIEBAN, *arguments], capture_output=True, text=True, timeout=110, check=False)

    def enrol(self, records: list[dict[str, object]]) -> None:
        """Import organisations into the running hub."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(records, file)
            file.flush()
            configured = [word for pair in pairwise(self.options) if pair[0] == "--config" for word in pair]
            done = self.run("organisations", "import", "--reinstate", file.name, "--data", str(self.data), *configured)
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """Stop it as an operator does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(40)


def free_port() -> int:
    """A port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def _made() -> "tempfile.TemporaryDirectory[str]":
    """A data directory with a new database in it and this version's schema, made once a process, to be copied."""
    folder = tempfile.TemporaryDirectory(prefix="made-", ignore_cleanup_errors=True)

    async def make() -> None:
        async with embedded.attached(Path(folder.name)) as dsn:
            connection = await asyncpg.connect(dsn)
            await migrate.migrate(connection)
            await connection.close()

    with ThreadPoolExecutor(1) as apart:  # whoever wants a hub may be in a loop of his own
        apart.submit(asyncio.run, make()).result()
    return folder


def _lay_database(data: Path) -> None:
    """A second less for each hub that starts for the first time; one that makes its database itself is `bare`."""
    if not (data / "postgres").exists():
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", Path(_made().name) / "postgres", data], check=True)


def _spawn(hub: RunningHub) -> subprocess.Popen[bytes]:
    output = open(hub.data / "hub.log", "ab")  # noqa: SIM115
    command = [*hub.within, *XIEBAN, "serve", "--data", str(hub.data), "--port", str(hub.port), *hub.options]
    environment = os.environ | {"PYTHONPATH": os.getcwd()} | hub.environment
    return subprocess.Popen(command, stdout=output, stderr=output, env=environment)


def _await_gone(hub: RunningHub) -> None:
    """The workers of a hub that was killed end by themselves; until then they would answer for the next one."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex((hub.host, hub.port)) != 0:
                return
        time.sleep(0.02)


def _await_ready(hub: RunningHub) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(hub.url + "/readyz", timeout=2):
                return
        except OSError:
            assert hub.process.poll() is None, (hub.data / "hub.log").read_text()
            time.sleep(0.1)
    raise AssertionError((hub.data / "hub.log").read_text())


@contextlib.contextmanager
def running_hub(
    *options: str,
    data: Path | None = None,
    environment: dict[str, str] | None = None,
    host: str = "127.0.0.1",
    within: tuple[str, ...] = (),
    bare: bool = False,
) -> Iterator[RunningHub]:
    """A hub with further options of `serve`, on a directory of its own or `data`; stopped at the end.

    `within` begins its command line where it is to run elsewhere; it is reached at `host` then. A new one is given its
    database, unless it is `bare` and makes it, or has one elsewhere.
    """
    with tempfile.TemporaryDirectory(prefix="hub-", ignore_cleanup_errors=True) as folder:
        where = data or Path(folder)
        if not bare:
            _lay_database(where)
        running = RunningHub(where, free_port(), options, environment or {}, host, within)
        running.process = _spawn(running)
        try:
            _await_ready(running)
            yield running
        finally:
            running.stop()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The length of the long campaigns; their short forms run with all other tests."""
    parser.addoption("--fault-rounds", type=int, default=0, help="how often each fault is injected; 0: a few of them")
    parser.addoption("--citus", metavar="DSN", help="an empty database on the coordinator of two Citus workers")
    parser.addoption("--citus-programs", metavar="DIR", help="PostgreSQL's programs with Citus: a cluster is started")
    parser.addoption("--cluster", action="store_true", help="nodes and databases are killed under load, or set back")
    parser.addoption("--container", metavar="IMAGE", help="build and run a container with podman, on this base image")
    parser.addoption("--fault", help="this fault alone, by its name in tests/faults/injections.py")
    parser.addoption("--fault-report", help="the file for the campaign's figures, as JSON")
    parser.addoption("--attachment-mib", type=int, default=64, help="size of the large attachment, in MiB")
    parser.addoption("--fault-seed", type=int, default=2026, help="seed of the order and the moments of faults")
    parser.addoption("--backup-long", action="store_true", help="a hub is moved to another PostgreSQL and back")
    parser.addoption("--fuzz-inputs", type=int, default=60, help="new inputs for each reader that is fuzzed")
    parser.addoption("--fuzz-long", action="store_true", help="each planted fault is looked for by a campaign")
    parser.addoption("--operation-long", action="store_true", help="break what takes a while to break, too")
    parser.addoption(
        "--simulation-long", action="store_true", help="a simulated country, as large as the machine bears"
    )
    parser.addoption("--conformance-long", action="store_true", help="adapters play every scenario of the kit")
    parser.addoption("--guides-long", action="store_true", help="go through every guide, not the partner's alone")
    parser.addoption("--systemd", action="store_true", help="start the units under a systemd, in namespaces; root")
    parser.addoption("--wheel-installed", action="store_true", help="install the wheel elsewhere, and play the demo")


@pytest.fixture
def all_guides(request: pytest.FixtureRequest) -> None:
    """For guides whose commands are, for the greater part, run by the tests of the pages they lead to."""
    if not request.config.getoption("--guides-long"):
        pytest.skip("with --guides-long")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> None:
    """For what only the long form breaks."""
    if not request.config.getoption("--operation-long"):
        pytest.skip("with --operation-long")


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    """A hub of the module's own."""
    with running_hub() as running:
        yield running
