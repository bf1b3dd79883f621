"""The receipts of the hubs that a message passed before this one, as they came."""

from collections.abc import Sequence
from typing import Any

import msgspec
from asyncpg import Record

from hub.errors import Forbidden
from hub.log import Placed
from hub.store import Connection
from hub.store.queries import SQL
from protocols import entries
from protocols.between_hubs import Relayed, Returned
from protocols.departments import is_hub
from protocols.entries import Accepted, Carried, Entry


def passed_others(entry: Entry) -> bool:
    """Whether what the entry says went through another hub before."""
    return isinstance(entry, Relayed | Returned) or (isinstance(entry, Accepted) and entry.first is not None)


def told(entry: Entry) -> Sequence[str]:
    """Who got a message by this entry."""
    return list(getattr(entry, "recipients", ()))


async def require_part(connection: Connection, entry: Entry, case: str, own: Sequence[str]) -> None:
    """Raise Forbidden unless one of `own` was sent the message by another entry, or is a hub with part in its case."""
    if isinstance(entry, Carried):
        rows = await connection.fetch(SQL["relays"], [case])
        indexes = [r["log_index"] for r in rows if (r["source"], str(r["id"])) == (entry.source, entry.id)]
        for row in await connection.fetch(SQL["entries"], indexes):
            if not set(told(entries.decode(row["leaf"]))).isdisjoint(own):
                return
        if any(is_hub(name) for name in own) and await connection.fetch(SQL["case_party"], case, own):
            return
    raise Forbidden()


async def earlier(connection: Connection, places: Sequence[tuple[str, int]]) -> dict[int, list[dict[str, Any]]]:
    """By log index, the receipts of a case's messages from other hubs; `places` are cases with indexes."""
    if not places:
        return {}
    columns = [case for case, _ in places], [index for _, index in places]
    rows = await connection.fetch(SQL["relays_at"], *columns)
    return {row["log_index"]: msgspec.json.decode(row["receipts"]) for row in rows}


async def places(connection: Connection, key: Record) -> list[Placed]:
    """Where the log speaks of a message that was taken or carried, by its row of `message_key`, in order."""
    found = [Placed(key["log_index"], key["tree_size"])]
    for row in await connection.fetch(SQL["relays"], [key["case_id"]]):
        if (row["source"], row["id"]) == (key["source"], key["id"]) and row["log_index"] != key["log_index"]:
            found.append(Placed(row["log_index"], row["tree_size"]))
    return found
