"""The arrangements as the log has them now: read as one value, the same while nothing is added."""

from collections.abc import Callable, Iterable
from functools import lru_cache

from hub.store import Connection
from hub.store.queries import SQL
from protocols import entries
from protocols.arrangements import Arrangements


async def loaded(connection: Connection, size: int | None = None) -> Arrangements:
    """The arrangements by the first `size` entries of the log, or all."""
    rows = await connection.fetch(SQL["arrangements"])
    return known((row["log_index"], row["leaf"]) for row in rows if size is None or row["log_index"] < size)


async def as_of(connection: Connection) -> Callable[[int], Arrangements]:
    """What the arrangements were at each index of the log."""
    rows = [(row["log_index"], row["leaf"]) for row in await connection.fetch(SQL["arrangements"])]
    return lambda index: known(one for one in rows if one[0] < index)


def known(leaves: Iterable[tuple[int, bytes]]) -> Arrangements:
    """The arrangements that these entries make; the same value for the same entries."""
    return _known(tuple(leaves))


@lru_cache(maxsize=8)
def _known(leaves: tuple[tuple[int, bytes], ...]) -> Arrangements:
    return Arrangements((index, entries.decode(leaf)) for index, leaf in leaves)
