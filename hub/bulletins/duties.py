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
            job = await _job(connection, row, identity, catalogue, now)
            if job is None:
                await connection.execute(SQL["duty_done"], row["case_id"], row["log_index"])
                continue
            try:
                await sequencer.submit(job)
            except CONNECTION_LOST:
                raise
            except Fault as refusal:
                # Another process was first, or somebody moved the case meanwhile, which made a duty of its own.
                logger.info("duty-refused", case=str(row["case_id"]), code=refusal.code)
                await connection.execute(SQL["duty_done"], row["case_id"], row["log_index"])
    return len(rows)


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
