"""PostgreSQL over TCP as an operator runs it: a primary, and a standby that holds every commit before it counts."""

import contextlib
import os
import pwd
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hub.store import embedded
from tests.conftest import free_port

PROGRAMS = embedded._programs()
WITHIN = 60.0
SETTINGS = ("listen_addresses=127.0.0.1", "fsync=on", "synchronous_commit=on", "max_connections=200",
            "shared_buffers=64MB", "wal_level=replica", "hot_standby=on", "wal_keep_size=256MB")  # fmt: skip


def owner() -> dict[str, Any]:
    """As whom PostgreSQL runs: it refuses root."""
    user = embedded._user()
    return {} if user is None else {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@dataclass
class Database:
    """One server with a folder of its own."""

    folder: Path
    name: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    programs: Path = PROGRAMS
    settings: tuple[str, ...] = ()
    """What it is started with besides SETTINGS."""

    def initialise(self) -> None:
        """An empty cluster."""
        self._program("initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--encoding=UTF8",
                      "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C")  # fmt: skip

    def copy(self, primary: "Database") -> None:
        """A standby of `primary`, by a base backup."""
        source = f"host=127.0.0.1 port={primary.port} user=postgres application_name={self.name}"
        self._program("pg_basebackup", "-D", self._data, "-R", "-X", "stream", "--checkpoint=fast", "-d", source)

    def base_backup(self, name: str) -> None:
        """A base backup in the folder `name`, without the log that it needs: that is in the archive."""
        source = f"host=127.0.0.1 port={self.port} user=postgres"
        folder = str(self.folder / name)
        self._program(
            "pg_basebackup", "-D", folder, "-X", "none", "--checkpoint=fast", "--no-verify-checksums", "-d", source
        )

    def recover(self, restore_command: str, moment: str) -> None:
        """Start this base backup, and play the archive up to a moment."""
        (self.folder / self.name / "recovery.signal").touch()
        self.start(restore_command, f"recovery_target_time={moment}", "recovery_target_action=promote")
        self.query("SELECT 1 / (NOT pg_is_in_recovery())::int")

    def start(self, *settings: str) -> None:
        """Start it, and wait until it takes connections."""
        words = [
            word for setting in (*SETTINGS, *self.settings, f"port={self.port}", *settings) for word in ("-c", setting)
        ]
        with open(self.folder / f"{self.name}.log", "ab") as output:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self._data, "-k", str(self.folder), *words],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True, **owner(),
            )  # fmt: skip
        self.query("SELECT 1")

    def query(self, statement: str) -> str:
        """What psql prints, once the server answers."""
        until = time.monotonic() + WITHIN
        while True:
            done = subprocess.run(
                [self.programs / "psql", "-XAtU", "postgres", "-h", "127.0.0.1", "-p", str(self.port), "-c", statement],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            if done.returncode == 0:
                return done.stdout.strip()
            assert time.monotonic() < until, done.stderr + (self.folder / f"{self.name}.log").read_text()
            time.sleep(0.1)

    def kill(self) -> None:
        """The machine is gone: SIGKILL to the server and everything that belongs to it."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """While it lasts no process of the server moves; its connections stay open."""
        assert self.process is not None
        postmaster = self.process.pid
        os.kill(postmaster, signal.SIGSTOP)  # which starts no other meanwhile
        children = [int(id) for id in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
        for child in children:
            os.kill(child, signal.SIGSTOP)
        try:
            yield
        finally:
            for one in (*children, postmaster):
                os.kill(one, signal.SIGCONT)

    def promote(self) -> None:
        """Make the standby the primary, which then waits for no standby."""
        self.query("ALTER SYSTEM SET synchronous_standby_names = ''")
        self.query("SELECT pg_reload_conf()")
        self.query("SELECT pg_promote()")

    def stop(self) -> None:
        """Stop it at once, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            self.process.wait(30)

    @property
    def _data(self) -> str:
        return str(self.folder / self.name)

    def _program(self, name: str, *words: str) -> None:
        done = subprocess.run(
            [self.programs / name, *words], capture_output=True, text=True, cwd="/", check=False, **owner()
        )
        assert done.returncode == 0, done.stderr


@contextlib.contextmanager
def place() -> Iterator[Path]:
    """A folder for servers, which PostgreSQL's user may write to."""
    with tempfile.TemporaryDirectory(prefix="databases-", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            os.chown(folder, pwd.getpwnam(embedded.SYSTEM_USER).pw_uid, -1)
        yield Path(folder)


@contextlib.contextmanager
def pair(synchronous: bool = True) -> Iterator[tuple[Database, Database]]:
    """A primary, and a standby; where it is `synchronous`, nothing is committed without its word."""
    with place() as folder:
        primary, standby = Database(folder, "first"), Database(folder, "second")
        try:
            primary.initialise()
            primary.start()
            standby.copy(primary)
            standby.start()
            if synchronous:
                primary.query("ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (second)'")
                primary.query("SELECT pg_reload_conf()")
            yield primary, standby
        finally:
            standby.stop()
            primary.stop()


def dsn(*databases: Database) -> str:
    """Whichever of them takes writes (libpq's target_session_attrs)."""
    hosts = ",".join(f"127.0.0.1:{one.port}" for one in databases)
    return f"postgresql://postgres@{hosts}/postgres?target_session_attrs=read-write"
