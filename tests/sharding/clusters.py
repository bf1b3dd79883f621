"""A Citus cluster on this machine: a coordinator and workers, each of which can be killed and can have a standby."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.cluster.databases import Database, place

SETTINGS = ("shared_preload_libraries=citus", "wal_level=logical", "max_prepared_transactions=100",
            "max_replication_slots=40", "max_wal_senders=40", "citus.enable_statistics_collection=off",
            "output_plugin_libraries=pgoutput,citus", "jit=off")  # fmt: skip


@dataclass
class Cluster:
    """Its servers; `dsn` is the hub's database on the coordinator."""

    folder: Path
    programs: Path
    coordinator: Database = field(init=False)
    workers: list[Database] = field(init=False)
    standbys: list[Database] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.coordinator = self._server("coordinator")
        self.workers = [self._server(f"worker-{number}") for number in (1, 2)]

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.coordinator.port}/postgres"

    @property
    def servers(self) -> list[Database]:
        return [self.coordinator, *self.workers, *self.standbys]

    def start(self) -> None:
        """All of it, as docs/scaling.md says."""
        for one in self.servers:
            one.initialise()
            one.start()
            one.query("CREATE EXTENSION citus")
        self.coordinator.query(f"SELECT citus_set_coordinator_host('127.0.0.1', {self.coordinator.port})")
        for worker in self.workers:
            self.add(worker)

    def add(self, worker: Database) -> None:
        """A node that takes shards."""
        self.coordinator.query(f"SELECT citus_add_node('127.0.0.1', {worker.port})")

    def standby(self, worker: Database) -> Database:
        """A synchronous standby of a worker: nothing is committed there, or prepared, without its word."""
        found = self._server(f"{worker.name}-standby")
        self.standbys.append(found)
        found.copy(worker)
        found.start()
        worker.query(f"ALTER SYSTEM SET synchronous_standby_names = 'FIRST 1 (\"{found.name}\")'")
        worker.query("SELECT pg_reload_conf()")
        return found

    def replace(self, worker: Database, standby: Database) -> None:
        """The standby takes the place of the worker, which is gone."""
        standby.promote()
        node = self.coordinator.query(f"SELECT nodeid FROM pg_dist_node WHERE nodeport = {worker.port}")
        self.coordinator.query(f"SELECT citus_update_node({node}, '127.0.0.1', {standby.port})")

    def stop(self) -> None:
        for one in reversed(self.servers):
            one.stop()

    def _server(self, name: str) -> Database:
        return Database(self.folder, name, programs=self.programs, settings=SETTINGS)


@contextlib.contextmanager
def cluster(programs: Path) -> Iterator[Cluster]:
    """A cluster of the programs in a folder, in which PostgreSQL has the extension Citus."""
    with place() as folder:
        found = Cluster(folder, programs)
        try:
            found.start()
            yield found
        finally:
            found.stop()
