"""What was said in cases that ended long ago is erased month by month; what proves that it was said stays."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import msgspec

from hub import entering
from hub.erasure.erasing import release
from hub.identity import Identity
from hub.store import Connection, Pool
from hub.store.partitions import month as partition
from hub.store.queries import SQL
from protocols.entries import Erased
from protocols.loading import Catalogue

_PATIENCE = "SET LOCAL lock_timeout = '3s'"
"""Intake waits meanwhile: where a long look at the messages is under way, it is tried again another time."""


class Month(msgspec.Struct, frozen=True):
    """A month that is past its time: how many messages lie there, and how many of them are, or were, erased."""

    month: date
    messages: int
    bytes: int
    erased: int
    entry: int | None = None


async def due(connection: Connection, catalogue: Catalogue, months: int, now: datetime | None = None) -> list[Month]:
    """What is to be erased by now, oldest first; nothing is erased. `months` of 0 keep everything."""
    if months == 0:
        return []
    rows = await connection.fetch(SQL["months_with_messages"], before(months, now), *_ended(catalogue))
    return [Month(row["month"], row["messages"], row["bytes"], row["ended"]) for row in rows if row["ended"]]


async def run(
    pool: Pool, identity: Identity, catalogue: Catalogue, months: int, now: datetime | None = None
) -> list[Month]:
    """Erase what is due, each month in a transaction of its own with its entry."""
    async with pool.acquire() as connection:
        wanted = await due(connection, catalogue, months, now)
        return [await erase_month(connection, identity, catalogue, one, before(months, now)) for one in wanted]


def before(months: int, now: datetime | None = None) -> datetime:
    """The first moment that is kept: the beginning of the month that lies so many months back."""
    now = now or datetime.now(UTC)
    years, months = divmod(now.year * 12 + now.month - 1 - months, 12)
    return datetime(years, months + 1, 1, tzinfo=UTC)


async def erase_month(
    connection: Connection, identity: Identity, catalogue: Catalogue, found: Month, limit: datetime
) -> Month:
    """Erase a month but for the cases that are not ended, or moved after `limit`. The partition goes as a whole."""
    name, first, end = partition(found.month.year, found.month.month)
    bounds = datetime.fromisoformat(first), datetime.fromisoformat(end)
    judged = (*bounds, limit, *_ended(catalogue))
    async with connection.transaction():
        await connection.execute(_PATIENCE)
        ledger = await entering.opened(connection)
        kept = await connection.fetch(SQL["kept_of_month"], *judged)
        uses = await connection.fetch(SQL["erase_month_uses"], *judged)
        if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
            await connection.execute(f"DROP TABLE {name}")
        await connection.execute(SQL["erase_of_default"], *bounds)
        await connection.execute(SQL["put_back"], *_columns(kept))
        entry = ledger.append(Erased(ledger.at, "retention", month=f"{found.month:%Y-%m}", kept=len(kept)))
        await entering.store_alone(connection, identity, ledger)
        await connection.execute(SQL["add_erasure"], entry, None, found.month, len(kept), ledger.now)
        await release(connection, uses)
    return msgspec.structs.replace(found, erased=found.messages - len(kept), entry=entry)


def _ended(catalogue: Catalogue) -> tuple[list[str], list[str], list[str]]:
    """The states in which a case is ended, by protocol and version."""
    found = [
        (name, version, state)
        for (name, version), protocol in catalogue.protocols.items()
        for state, said in protocol.flow.states.items()
        if said.final
    ]
    return tuple(list(column) for column in zip(*found, strict=True))  # type: ignore[return-value]


def _columns(rows: Sequence[Any]) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * 4
