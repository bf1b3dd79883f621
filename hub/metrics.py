"""What is counted and timed, for Prometheus; numbers of all workers together, never an id or a name of anybody."""

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess, values

if TYPE_CHECKING:
    from hub.intake.ledger import Ledger

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that names the folder through which workers share their numbers."""

if FOLDER in os.environ:
    # The library asks for the process id at every count, to notice a fork; a worker never forks.
    _PID: Final = os.getpid()
    values.ValueClass = values.MultiProcessValue(lambda: _PID)  # type: ignore[no-untyped-call]

_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 40.0)

MESSAGES: Final = Counter("xieban_messages", "Messages sent to the hub, by what became of them", ["outcome"])
REFUSALS: Final = Counter("xieban_refusals", "Refusals, by problem code", ["code"])
CALLS: Final = Histogram(
    "xieban_call_seconds", "HTTP calls, by route and status", ["method", "route", "status"], buckets=_SECONDS
)
BATCH_SECONDS: Final = Histogram("xieban_batch_seconds", "From lock to commit and proof", buckets=_SECONDS)
BATCH_ENTRIES: Final = Histogram(
    "xieban_batch_entries", "Log entries a commit", buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)
LIMITED: Final = Counter("xieban_limited", "Refusals by the limit of one organisation, by what of", ["kind"])
READS: Final = Counter("xieban_reads", "Supervisors' reads, by the database that answered", ["database"])
QUEUE: Final = Gauge("xieban_queue_jobs", "Jobs that wait for a batch", multiprocess_mode="livesum")
POLLS: Final = Gauge("xieban_polls_waiting", "Long polls that wait", multiprocess_mode="livesum")
STARTS: Final = Counter("xieban_worker_starts", "Workers started; more than there are were started again")

_TAKEN: Final = {True: MESSAGES.labels("new"), False: MESSAGES.labels("known")}


@lru_cache(maxsize=4096)
def call(method: str, route: str, status: int) -> Histogram:
    """The seconds of the calls of one route that ended in one status."""
    return CALLS.labels(method, route, status)


def taken(new: bool) -> None:
    """Count a message that has its receipt."""
    _TAKEN[new].inc()


def batch(ledger: "Ledger") -> None:
    """Count a committed batch."""
    BATCH_ENTRIES.observe(len(ledger.leaves))


def exposition() -> bytes:
    """The numbers of every worker in the Prometheus text format, version 0.0.4."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def forget(pid: int, folder: Path) -> None:
    """Let go of what a process that is gone had waiting; what it counted stays counted."""
    multiprocess.mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
