"""How the hub stands when it is asked, for alarms: database, disk, clock, scheduler, log, and what runs out soon.

Read at each scrape and kept for a moment, so that intake pays nothing for it and nobody is served yesterday's state.
"""

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from hub.neighbours import Neighbour
from hub.organisations import Directory, Organisation
from hub.service import Hub
from hub.store import CONNECTION_LOST
from hub.store.queries import SQL
from hub.store.reader import Reader
from keys.jwk import EncryptionKey, VerifyingKey
from protocols import deadlines
from protocols.calendar import Calendar
from protocols.delegation import Delegation

KEPT: Final = 0.25
"""Seconds for which what was read is told again."""
WITHIN: Final = 3.0
"""Seconds after which a database that does not answer counts as away."""
SOON: Final = timedelta(days=14)
"""What ends so soon is to be renewed now."""
_AWAY: tuple[type[BaseException], ...] = (asyncpg.PostgresError, *CONNECTION_LOST)
FAR: Final = 800
"""Days beyond which nobody counts how long the calendar is known."""


class Vital(NamedTuple):
    """A number with its name and what it says."""

    name: str
    about: str
    value: float


class Vitals:
    """The state of the hub as this process sees it."""

    def __init__(self, hub: Hub, data: Path) -> None:
        self._hub, self._data = hub, data
        self._alone = asyncio.Lock()
        self._read: bytes = b""
        self._until = 0.0
        self._asking: asyncio.Task[list[Vital]] | None = None

    async def exposition(self) -> bytes:
        """The state in the Prometheus text format; what can't be known while the database is away is left out."""
        clock = asyncio.get_running_loop().time
        async with self._alone:
            if clock() >= self._until:
                self._read, self._until = text([*_disk(self._data), *await self._of_database()]), clock() + KEPT
        return self._read

    async def _of_database(self) -> list[Vital]:
        # Not a timeout around it: giving a connection back waits for a server that is frozen. One asks at a time.
        asking = self._asking or asyncio.create_task(self._known())
        await asyncio.wait([asking], timeout=WITHIN)
        self._asking = None if asking.done() else asking
        found = asking.result() if asking.done() else []
        up = Vital("xieban_database_up", "Whether the database answers", bool(found))
        return [up, *found, *_replica(self._hub.reader)]

    async def _known(self) -> list[Vital]:
        """What the database knows; nothing while it is away."""
        try:
            return [*await self._asked(), *ending(await self._hub.directory(fresh=True), datetime.now(UTC))]
        except _AWAY:
            return []

    async def _asked(self) -> list[Vital]:
        async with self._hub.pool.acquire() as connection:
            before = datetime.now(UTC)
            row = await connection.fetchrow(SQL["vitals"])
            after = datetime.now(UTC)
            assert row is not None
            cosigned = {one["witness"]: one["size"] for one in await connection.fetch(SQL["cosigned_heads"])}
        silent = (row["now"] - row["seen"]).total_seconds() if row["seen"] is not None else 0.0
        ahead = offset(before, row["now"], after)
        found = [
            Vital("xieban_log_size", "Entries in the log", row["size"]),
            Vital("xieban_follower_entries", "Entries that the figures have followed", row["through"]),
            Vital("xieban_scheduler_silent_seconds", "Since a leading scheduler last said that it lives", silent),
            Vital("xieban_scheduler_jobs_failing", "Jobs whose last run went wrong", row["failing"]),
            Vital("xieban_clock_offset_seconds", "This clock ahead of the database's", ahead),
        ]
        if self._hub.witnesses:
            least = min(cosigned.get(witness.name, 0) for witness in self._hub.witnesses)
            found.append(Vital("xieban_witness_entries", "Entries that every configured witness has cosigned", least))
        return found


class Soon(NamedTuple):
    """What runs out SOON: the ids of organisations, once for each kind of key; delegations; neighbours."""

    keys: list[str]
    delegations: list[Delegation]
    neighbours: list[Neighbour]


def soon(directory: Directory, now: datetime) -> Soon:
    """What of the directory runs out SOON."""
    ours = [one for one in directory.organisations.values() if one.home is None and one.successor is None]
    keys = [one.id for one in ours for kind in (VerifyingKey, EncryptionKey) if _soon(_last_day(one, kind), now)]
    standing = [given for one in ours for given in one.delegations if given.in_force(now) and given.ended is None]
    delegations = [given.statement for given in standing if _soon(given.statement.ends, now)]
    beside = [one for one in directory.neighbours.values() if one.in_force(now) and _soon(one.expires, now)]
    return Soon(keys, delegations, beside)


def ending(directory: Directory, now: datetime) -> list[Vital]:
    """How much runs out SOON: keys, delegations, neighbours' admissions; and how far the calendar is known."""
    keys, delegations, beside = soon(directory, now)
    return [
        Vital(
            "xieban_keys_ending",
            "Organisations' last keys of a kind that end within 14 days",
            len(keys),
        ),
        Vital("xieban_delegations_ending", "Delegations that end within 14 days", len(delegations)),
        Vital("xieban_neighbours_ending", "Neighbouring hubs admitted for 14 days more at most", len(beside)),
        Vital("xieban_calendar_known_days", "Days ahead whose holidays are known", known_days(directory.calendar, now)),
    ]


def known_days(calendar: Calendar, now: datetime) -> int:
    """For how many days from today on the holidays are published."""
    today = deadlines.local_date(now)
    year = today.year
    while calendar.is_published(year) and year - today.year < FAR // 365:
        year += 1
    return max(0, (date(year, 1, 1) - today).days)


def _last_day(organisation: Organisation, kind: type) -> datetime | None:
    """When the last key of a kind ends; None where there is none, or one that does not end."""
    if not any(key.ends for key in organisation.keys):
        return None
    counted = [key.parsed.expires for key in organisation.keys if isinstance(key.parsed, kind) and key.removed is None]
    return max((end for end in counted if end is not None), default=None) if None not in counted else None


def _soon(end: datetime | None, now: datetime) -> bool:
    return end is not None and now <= end < now + SOON


def _disk(data: Path) -> Iterator[Vital]:
    try:
        usage = shutil.disk_usage(data)
    except OSError:
        return
    yield Vital("xieban_disk_free_bytes", "Free where the data directory is", usage.free)
    yield Vital("xieban_disk_size_bytes", "Size of the disk where the data directory is", usage.total)


def _replica(reader: Reader) -> Iterator[Vital]:
    if reader.replicated:
        yield Vital("xieban_replica_used", "Whether supervisors' reads go to the replica", reader.followed)
        yield Vital(
            "xieban_replica_behind_seconds", "Since the replica is known to have had everything", reader.behind()
        )


def offset(before: datetime, theirs: datetime, after: datetime) -> float:
    """How far our clock is ahead of theirs in seconds, by no more than the moment between asking and answer allows."""
    if before <= theirs <= after:
        return 0.0
    return (before - theirs if theirs < before else after - theirs).total_seconds()


def text(vitals: Iterable[Vital]) -> bytes:
    """In the Prometheus text format."""
    registry = CollectorRegistry()
    for vital in vitals:
        Gauge(vital.name, vital.about, registry=registry).set(float(vital.value))
    return generate_latest(registry)
