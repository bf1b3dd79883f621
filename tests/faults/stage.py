"""A hub of two nodes on one database, each partner's way and the second node's way to the database through proxies.

The second node has a network namespace of its own, where that can be had.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import RunningHub, running_hub
from tests.faults import interposing, network
from tests.faults.interposing import Interposed
from tests.faults.network import Machine
from tests.faults.proxy import Proxy

CRASHING = Path(__file__).with_name("crashing")
SIZE = "2g"


@dataclass(slots=True)
class Stage:
    """`first` has the embedded database and two workers, `second` reaches it through `database`.

    `doors` are the ways of the partners to both; `interposed` is absent where it can't be compiled.
    """

    first: RunningHub
    second: RunningHub
    database: Proxy
    doors: list[Proxy]
    interposed: Interposed | None
    machine: Machine | None
    """Where the second node runs by itself; absent where there are no network namespaces."""
    own_disk: bool
    """Whether the data directory is a file system of its own."""

    @property
    def crash_order(self) -> Path:
        """The file that tells a worker where to die (crashing/sitecustomize.py)."""
        return Path(self.first.environment["XIEBAN_CRASH"])

    def postmaster(self) -> int:
        """The database's first process. Raises OSError, ValueError where there is none."""
        return int((self.first.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def children(pid: int) -> list[int]:
    """The processes that `pid` has started and that still run."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def workers(hub: RunningHub) -> list[int]:
    """The hub's workers."""
    return [pid for pid in children(hub.process.pid) if b"hub.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def mounted(folder: Path) -> bool:
    """Give the folder a file system of its own, where one may."""
    if os.geteuid() != 0:
        return False
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE},mode=0755", "xieban-faults", str(folder)]
    return subprocess.run(mount, capture_output=True, check=False).returncode == 0


@contextlib.asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """The two nodes, running; stopped and cleared away at the end."""
    with tempfile.TemporaryDirectory(prefix="stage-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        first, second = folder / "first", folder / "second"
        first.mkdir()
        second.mkdir()
        own_disk = mounted(first)
        try:
            async with _nodes(folder, first, second, own_disk) as stage:
                yield stage
        finally:
            if own_disk:
                subprocess.run(["umount", "--lazy", str(first)], check=False)


@contextlib.asynccontextmanager
async def _nodes(folder: Path, first: Path, second: Path, own_disk: bool) -> AsyncIterator[Stage]:
    interposed = None if interposing.missing() else Interposed(folder)
    machine = None if network.missing() else Machine()
    environment = {"PYTHONPATH": f"{CRASHING}:{os.getcwd()}", "XIEBAN_CRASH": str(folder / "crash")}
    preloaded = interposed.environment if interposed else {}
    async with contextlib.AsyncExitStack() as held:
        if machine is not None:
            held.callback(machine.remove)
        hub = running_hub("--workers", "2", data=first, environment=environment | preloaded)
        one = await asyncio.to_thread(held.enter_context, hub)
        here, there = (machine.database.here, machine.partners.there) if machine else ("127.0.0.1", "127.0.0.1")
        database = await Proxy(first / "postgres" / ".s.PGSQL.5432", here).start()
        held.push_async_callback(database.stop)
        shutil.copytree(first / "keys", second / "keys")
        for secret in first.glob("passphrase*"):
            shutil.copy2(secret, second / secret.name)
        url = f"postgresql://postgres@{here}:{database.port}/postgres"
        listening = "0.0.0.0" if machine else there
        (second / "config.toml").write_text(f'[database]\nurl = "{url}"\n[server]\nhost = "{listening}"\n')
        hub = running_hub(
            *("--config", str(second / "config.toml")),
            data=second,
            bare=True,
            environment=environment,
            host=there,
            within=machine.command if machine else (),
        )
        two = await asyncio.to_thread(held.enter_context, hub)
        doors = [await Proxy((node.host, node.port)).start() for node in (one, two)]
        for door in doors:
            held.push_async_callback(door.stop)
        yield Stage(one, two, database, doors, interposed, machine, own_disk)
