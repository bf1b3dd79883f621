"""The months of `message`: a partition each, made before its month begins, so that retention can drop it whole."""

from datetime import datetime

from hub.store import Connection

AHEAD = 2
"""How many months ahead there are partitions."""
_LOCK = 7_030_001


async def prepare(connection: Connection) -> list[str]:
    """Make the partitions of this month and of those ahead that are missing; their names.

    A message for which there is none still finds its place, in the default partition.
    """
    made = []
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        now: datetime = await connection.fetchval("SELECT clock_timestamp() AT TIME ZONE 'UTC'")
        for ahead in range(AHEAD + 1):
            name, first, end = month(now.year, now.month + ahead)
            if await connection.fetchval("SELECT to_regclass($1) IS NULL", name):
                bounds = f"FROM ('{first}') TO ('{end}')"
                await connection.execute(f"CREATE TABLE {name} PARTITION OF message FOR VALUES {bounds}")
                made.append(name)
    return made


def month(year: int, month: int) -> tuple[str, str, str]:
    """The partition of a month (13: January of the next year): its name, first moment and end (excluded), in UTC."""
    first = _first(year, month)
    return f"message_{first[:4]}_{first[5:7]}", first, _first(year, month + 1)


def _first(year: int, month: int) -> str:
    years, months = divmod(month - 1, 12)
    return f"{year + years:04d}-{months + 1:02d}-01 00:00:00+00"
