"""What the hub itself has to do in cases: looked for in the background, one message of its own at a time."""

import asyncio
from datetime import UTC, datetime

import msgspec
import structlog
from asyncpg import Record

from hub.bulletins import INFORMATION, checking, issuing
from hub.identity import Identity
from hub.intake.batch import Sequencer
from hub.intake.own import Own
from hub.store import CONNECTION_LOST, Connection, Pool
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import deadlines, flow
from protocols.flow import Case
from protocols.loading import Catalogue

logger = structlog.get_logger()
EVERY = 1.0
PAGE = 100
_PASSING: tuple[type[Exception], ...] = (Fault, *CONNECTION_LOST)


async def fulfil(pool: Pool, sequencer: Sequencer, identity: Identity, catalogue: Catalogue) -> int:
    """Do everything that is to be done now; how many cases that were."""
    now = datetime.now(UTC)
    async with pool.acquire() as connection:
        rows = await connection.fetch(SQL["duties"], deadlines.local_date(now), PAGE)
        for row in rows:
            try:
                if await _done(connection, sequencer, row, identity, catalogue, now):
                    await connection.execute(SQL["duty_done"], row["case_id"], row["log_index"])
            except CONNECTION_LOST:
                raise
            except Exception as error:
                # One case that can't be dealt with keeps no other waiting; it is looked at again tomorrow.
                logger.exception("duty-failed", case=str(row["case_id"]), error=type(error).__name__)
                tomorrow = deadlines.next_day(deadlines.local_date(now))
                await connection.execute(SQL["duty_postponed"], row["case_id"], row["log_index"], tomorrow)
    return len(rows)


async def _done(
    connection: Connection, sequencer: Sequencer, row: Record, identity: Identity, catalogue: Catalogue, now: datetime
) -> bool:
    """Whether nothing is left to do; a message that is taken leaves, or ends, a duty of its own."""
    job = await _job(connection, row, identity, catalogue, now)
    if job is None:
        return True
    try:
        await sequencer.submit(job)
    except CONNECTION_LOST:
        raise
    except Fault as refusal:
        # Another process was first, or somebody moved the case meanwhile, which made a duty of its own.
        logger.info("duty-refused", case=str(row["case_id"]), code=refusal.code)
        return True
    return False


async def fulfil_for_ever(pool: Pool, sequencer: Sequencer, identity: Identity, catalogue: Catalogue) -> None:
    """Look every second, at once again while there is more; while the database is away, later."""
    while True:
        found = 0
        try:
            found = await fulfil(pool, sequencer, identity, catalogue)
        except _PASSING as error:
            logger.warning("duties-failed", error=type(error).__name__)
        if found < PAGE:
            await asyncio.sleep(EVERY)


async def _job(
    connection: Connection, row: Record, identity: Identity, catalogue: Catalogue, now: datetime
) -> Own | None:
    case = msgspec.json.decode(row["record"], type=Case)
    protocol = catalogue.protocols[case.protocol, case.version]
    if protocol.name == INFORMATION:
        return await checking.judged(connection, identity, protocol, case, now)
    owners = flow.awaited(protocol.flow, case)
    if owners == [case.opener]:
        return await issuing.settlement(connection, identity, catalogue, protocol, case.id, now)
    return await issuing.lapse(connection, identity, protocol, case.id, owners, now)
