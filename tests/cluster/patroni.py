"""Three database servers as `deploy/patroni` makes them: each a network namespace with etcd, Patroni and PostgreSQL."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network
from pathlib import Path
from typing import Any

from tests.faults import network
from tests.faults.network import ip

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "patroni"
SECRET = "correct-horse"
NAMES = ("db-1", "db-2", "db-3")
BINARIES = Path("/usr/lib/postgresql/15/bin")
PREFIX = 28
WITHIN = 120.0
LIVES = {"running", "streaming"}
"""States of a member that serves (Patroni's REST API)."""


def missing() -> str | None:
    """Why there can be no such servers here."""
    if reason := network.missing():
        return reason
    absent = [name for name in ("patroni", "etcd", "etcdctl") if shutil.which(name) is None]
    if not (BINARIES / "postgres").exists():
        absent.append("postgresql-15")
    return f"not installed: {', '.join(absent)} (make failover)" if absent else None


class Server:
    """One machine: `address` is where the others and the hub reach it."""

    def __init__(self, name: str, number: int, bridge: str, address: str, folder: Path) -> None:
        self.name, self.address = name, address
        self.folder = folder / name
        self.folder.mkdir()
        self._namespace, self._cable = f"{bridge}-{number}", f"{bridge}v{number}"
        self._programs: list[subprocess.Popen[bytes]] = []
        ip("netns", "add", self._namespace)
        ip("-n", self._namespace, "link", "set", "lo", "up")
        ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", self._namespace)
        ip("link", "set", self._cable, "master", bridge, "up")
        ip("-n", self._namespace, "address", "add", f"{self.address}/{PREFIX}", "dev", "eth0")
        ip("-n", self._namespace, "link", "set", "eth0", "up")

    def start(self) -> None:
        """Switch it on: etcd and Patroni, which begins PostgreSQL."""
        lines = (self.folder / "etcd.env").read_text("utf-8").splitlines()
        self._run("etcd", environment=dict(line.split("=", 1) for line in lines if not line.startswith("#")))
        self._run("patroni", str(self.folder / "patroni.yml"))

    def _run(self, *command: str, environment: dict[str, str] | None = None) -> None:
        """As the user of PostgreSQL, which refuses root, and on this machine's network."""
        entered = f"ip netns exec {self._namespace} setpriv --reuid=postgres --regid=postgres --clear-groups"
        around = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"} | (environment or {})
        with open(self.folder / f"{command[0]}.log", "ab") as output:
            self._programs.append(
                subprocess.Popen([*entered.split(), *command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                 cwd=self.folder, env=around)
            )  # fmt: skip

    def inside(self) -> list[int]:
        """The processes on this machine."""
        done = subprocess.run(["ip", "netns", "pids", self._namespace], capture_output=True, text=True, check=True)
        return [int(pid) for pid in done.stdout.split()]

    def kill(self) -> None:
        """The power fails: nothing of it is left, nor begun meanwhile."""
        while left := self.inside():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        for program in self._programs:
            program.wait()
        self._programs = []

    def kill_postgres(self) -> None:
        """The server dies with everything that belongs to it, and Patroni does not."""
        postmaster = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def unplug(self) -> None:
        """From now on packets are lost, in both directions, and nobody is told."""
        ip("link", "set", self._cable, "down")

    def plug(self) -> None:
        """Packets get through again."""
        ip("link", "set", self._cable, "up")

    def remove(self) -> None:
        """Take it away with all that runs on it."""
        self.kill()
        subprocess.run(["ip", "link", "delete", self._cable], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "delete", self._namespace], check=False, capture_output=True)


class Cluster:
    """Three servers, one of them the primary, and one without whose word nothing is committed."""

    def __init__(self, servers: list[Server]) -> None:
        self.servers = servers

    @property
    def dsn(self) -> str:
        """What docs/scaling.md has config.toml say."""
        hosts = ",".join(f"{one.address}:5432" for one in self.servers)
        return f"postgresql://xieban:{SECRET}@{hosts}/xieban?target_session_attrs=read-write"

    def members(self) -> dict[str, dict[str, Any]]:
        """What Patroni says of each, by whichever answers; nothing where none does."""
        for one in self.servers:
            with contextlib.suppress(OSError, ValueError):
                with urllib.request.urlopen(f"http://{one.address}:8008/cluster", timeout=2) as answer:
                    found = json.load(answer)["members"]
                return {member["name"]: member for member in found}
        return {}

    def with_role(self, *roles: str) -> list[Server]:
        """The servers that have one of these roles and serve."""
        named = {name for name, one in self.members().items() if one["role"] in roles and one["state"] in LIVES}
        return [one for one in self.servers if one.name in named]

    def primary(self) -> Server:
        """The one that takes writes."""
        (found,) = self.with_role("leader")
        return found

    def settled(self) -> None:
        """Wait until there are a primary, a synchronous standby and a third that follows them."""
        until = time.monotonic() + WITHIN
        while not (
            len(self.with_role("leader")) == len(self.with_role("sync_standby")) == len(self.with_role("replica")) == 1
        ):
            assert time.monotonic() < until, f"{self.members()}\n{self.logs()}"
            time.sleep(0.5)

    def logs(self) -> str:
        """The end of what each wrote."""
        files = [file for one in self.servers for file in sorted(one.folder.glob("*.log"))]
        return "\n".join(f"== {file}\n{file.read_text()[-30000:]}" for file in files)

    def query(self, statement: str, database: str = "postgres") -> str:
        """What the primary answers its superuser."""
        command = [str(BINARIES / "psql"), "-XAt", "-h", self.primary().address, "-U", "postgres", "-d", database, "-c"]
        around = {"PGPASSWORD": SECRET}
        done = subprocess.run([*command, statement], env=around, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def switch_over(self) -> None:
        """Hand over to the synchronous standby in good order, as for an upgrade of the machine."""
        file = str(self.servers[0].folder / "patroni.yml")
        done = subprocess.run(
            ["patronictl", "-c", file, "switchover", "--force"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def filled(text: str, server: Server, all: list[Server]) -> str:
    """A file of `deploy/patroni` for one server."""
    for place, value in {
        "ADDRESS": server.address, "THIS": server.name, "PASSWORD": SECRET,
        "NETWORK": str(IPv4Interface(f"{server.address}/{PREFIX}").network),
        "/var/lib/postgresql/15/xieban": str(server.folder / "data"),
        "/var/lib/etcd/xieban": str(server.folder / "etcd"),
        "/run/postgresql": str(server.folder),
        **{f"DB{number + 1}": one.address for number, one in enumerate(all)},
    }.items():  # fmt: skip
        text = text.replace(place, value)
    return text


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Three servers on a network of their own, with the hub's role and an empty database."""
    # 198.51.100.0/24 is nobody's (RFC 5737): sixteen of its addresses.
    bridge, space = f"xb{os.getpid()}", IPv4Network(f"198.51.100.{os.getpid() % 16 * 16}/{PREFIX}")
    ip("link", "add", bridge, "type", "bridge")
    servers: list[Server] = []
    with tempfile.TemporaryDirectory(prefix="patroni-", ignore_cleanup_errors=True) as folder:
        try:
            ip("address", "add", f"{space[1]}/{PREFIX}", "dev", bridge)
            ip("link", "set", bridge, "up")
            os.chmod(folder, 0o755)
            for number, name in enumerate(NAMES):
                servers.append(Server(name, number, bridge, str(space[number + 2]), Path(folder)))
            for one in servers:
                for source, target in (("patroni.yml", "patroni.yml"), ("etcd", "etcd.env")):
                    (one.folder / target).write_text(filled((DEPLOY / source).read_text("utf-8"), one, servers))
                os.chown(one.folder, pwd.getpwnam("postgres").pw_uid, -1)
                one.start()
            found = Cluster(servers)
            found.settled()
            found.query(f"CREATE ROLE xieban LOGIN PASSWORD '{SECRET}'")
            found.query("CREATE DATABASE xieban OWNER xieban")
            yield found
        finally:
            for one in servers:
                one.remove()
            subprocess.run(["ip", "link", "delete", bridge], check=False, capture_output=True)
