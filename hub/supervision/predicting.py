"""Which open cases will probably be late: a plain share of the past of the same two organisations.

Half-way to a case's due date the hub looks at the last year's cases of the same opener, responder and protocol that
were unanswered for longer than this one is by now: how many of them were late. Half of them or more, and this one will
probably be late too. Fewer than five such cases, and nothing is foretold. What was foretold is kept and held against
what came of it, so that the share of hits is one of real predictions.
"""

from collections.abc import Awaitable, Callable
from datetime import date

import msgspec

from hub.store import Connection, Pool
from hub.store.queries import SQL

LEAST = 5
"""So many earlier cases are needed for a prediction."""
PAGE = 500


class Record(msgspec.Struct, frozen=True):
    """What was foretold and what came of it: of `foretold_late` cases so many `came_late`; of all `settled`, `late`."""

    foretold_late: int
    came_late: int
    foretold_in_time: int
    came_in_time: int
    late: int
    settled: int


async def predict(pool: Pool, hold: Callable[[Connection], Awaitable[None]], today: date, page: int = PAGE) -> int:
    """Settle what is known by now, and foretell what half its time has passed for; how many cases were foretold."""
    async with pool.acquire() as connection, connection.transaction():
        await hold(connection)
        await connection.execute(SQL["settle_predictions"], today)
        await connection.execute(SQL["forget_predictions"])
    done, after = 0, (None, None)
    while True:
        async with pool.acquire() as connection, connection.transaction():
            await hold(connection)
            row = await connection.fetchrow(SQL["predict"], today, page, LEAST, *after)
        if row is None:
            return done
        done, after = done + row["made"], (row["due"], row["case_id"])


async def record(connection: Connection, since: date) -> Record:
    """How all predictions of this hub came out that were made since the beginning of a month."""
    row = await connection.fetchrow(SQL["prediction_record"], since)
    assert row is not None
    return Record(**dict(row))
