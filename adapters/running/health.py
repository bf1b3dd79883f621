"""How an adapter does, read from its store: whether it runs, what waits and was rejected; for people and Prometheus."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from adapters.running.dead_letters import DeadLetters
from adapters.running.store import Backoff, Store

ALIVE: Final = 10.0
"""Seconds after which one that gave no sign of life does not run."""


class Waiting(msgspec.Struct, frozen=True):
    """A way that is left alone for so many seconds more."""

    way: str
    failures: int
    seconds: float
    why: str


class Health(msgspec.Struct, frozen=True):
    """The state of one adapter now. `down` is what waits in mailboxes, `up` what was offered and is not taken yet."""

    name: str
    kind: str
    running: bool
    down: int
    up: int
    taken: int
    refused: int
    dead: int
    waiting: tuple[Waiting, ...]
    spoke: dict[str, float]
    """Seconds since each way last worked."""

    @property
    def well(self) -> bool:
        """Whether it runs and nothing waits for a side that is away."""
        return self.running and not self.waiting


def look(name: str, kind: str, store: Store) -> Health:
    """How the adapter of this store does."""
    now, counted = time.time(), store.counted()
    alive = store.noted("alive") or 0.0
    return Health(
        name=name,
        kind=kind,
        running=now - alive < ALIVE,
        down=sum(int(value) for value in store.notes("behind/").values()),
        up=counted.get("new", 0) + counted.get("signed", 0),
        taken=counted.get("taken", 0) + counted.get("settled", 0),
        refused=counted.get("refused", 0),
        dead=DeadLetters(store.folder / "dead").count(),
        waiting=tuple(_waiting(one, now) for one in store.waiting()),
        spoke={way.removeprefix("spoke/"): round(now - at, 1) for way, at in store.notes("spoke/").items()},
    )


def metrics(seen: Health, ends: Sequence[datetime] = ()) -> bytes:
    """The same for Prometheus; `ends` are the moments at which its key and certificates end."""
    registry = CollectorRegistry()
    named: list[tuple[str, str, float]] = [
        ("xieban_adapter_running", "Whether the adapter runs", seen.running),
        ("xieban_adapter_behind", "Messages that wait in mailboxes for the partner", seen.down),
        ("xieban_adapter_offers_open", "Offers of the partner that the hub has not judged yet", seen.up),
        ("xieban_adapter_offers_taken", "Offers that the hub took", seen.taken),
        ("xieban_adapter_dead_letters", "Dead letters that somebody should look at", seen.dead),
        ("xieban_adapter_ways_waiting", "Ways that failed last and are left alone", len(seen.waiting)),
    ]
    if ends:
        left = (min(ends) - datetime.now(UTC)).total_seconds()
        named.append(("xieban_adapter_ends_seconds", "Until the first of its key and certificates ends", left))
    for name, text, value in named:
        Gauge(name, text, ["adapter"], registry=registry).labels(seen.name).set(float(value))
    return generate_latest(registry)


def _waiting(one: Backoff, now: float) -> Waiting:
    return Waiting(one.way, one.failures, round(max(0.0, one.until - now), 1), one.why)
