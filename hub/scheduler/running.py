"""The scheduler of a process: it runs the jobs while this process leads, and writes down what each run did."""

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from hub.arrangements import entering
from hub.scheduler.jobs import JOBS, Means
from hub.scheduler.leading import BEAT, LeadLost, Turn
from hub.store import CONNECTION_LOST
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import deadlines

logger = structlog.get_logger()
_PASSING: tuple[type[BaseException], ...] = (LeadLost, asyncio.CancelledError, *CONNECTION_LOST)
OUTAGE = timedelta(minutes=10)
"""A hub that nobody led for so long was away, and says so in its log."""


class Scheduler:
    """The jobs of a process that leads: in it from the moment it leads until another does."""

    def __init__(self, means: Means) -> None:
        self._means = means
        self._running: AsyncIOScheduler | None = None

    async def run(self) -> None:
        """Claim the lead again and again; run what is due while it is ours, until cancelled."""
        try:
            while True:
                try:
                    await self._beat()
                except CONNECTION_LOST:
                    self._stop()  # nobody is told that we live: another may lead by now
                except Fault as fault:
                    logger.warning("scheduler-beat-failed", why=fault.detail)
                await asyncio.sleep(BEAT)
        finally:
            self._stop()
            with contextlib.suppress(*CONNECTION_LOST):
                async with self._means.pool.acquire() as connection:
                    await self._means.lead.leave(connection)

    async def _beat(self) -> None:
        async with self._means.pool.acquire() as connection:
            turn = await self._means.lead.take(connection)
            if turn is None:
                self._stop()
                return
            await self._declare(turn)
            wanted = [] if turn.new else [row["job"] for row in await connection.fetch(SQL["jobs_wanted"])]
        if self._running is None:
            logger.info("scheduler-leads", leader=self._means.lead.name)
            await self._start()
        for name in wanted:
            if self._running is not None and self._running.get_job(name) is not None:
                self._running.modify_job(name, next_run_time=datetime.now(UTC))

    async def _declare(self, turn: Turn) -> None:
        """The hub's own absence, or its database's, is entered in its log before anything else is done."""
        if turn.seen is None or turn.now - turn.seen < OUTAGE:
            return
        async with self._means.pool.acquire() as connection:
            index = await entering.declare(connection, self._means.identity, turn.seen, turn.now)
        logger.warning("outage", begins=turn.seen.isoformat(), until=turn.now.isoformat(), entry=index)

    async def _start(self) -> None:
        """Every job runs once at once, which makes up for whatever was missed, and then on its dates."""
        self._running = AsyncIOScheduler(timezone=deadlines.SHANGHAI)
        for name, job in JOBS.items():
            self._running.add_job(
                self._do, job.trigger, [name], id=name, next_run_time=datetime.now(UTC), coalesce=True,
                max_instances=1, misfire_grace_time=None,
            )  # fmt: skip
        self._running.start()

    def _stop(self) -> None:
        if self._running is not None:
            self._running.shutdown(wait=False)
            self._running = None

    async def _do(self, name: str) -> None:
        """One run of a job; what goes wrong is written down, and tried again the next time."""
        means, started, done, problem = self._means, datetime.now(UTC), 0, None
        try:
            done = await JOBS[name].work(means)
        except _PASSING:
            return  # whoever leads next begins it again
        except Exception as error:
            code = error.code if isinstance(error, Fault) else type(error).__name__
            problem = f"{code}: {error.detail if isinstance(error, Fault) else error}"[:500]
            logger.exception("job-failed", job=name)
        if done:
            logger.info("job-done", job=name, done=done)
        with contextlib.suppress(*CONNECTION_LOST):
            async with means.pool.acquire() as connection:
                ran = name, means.lead.name, started, datetime.now(UTC), done, problem, self._next(name)
                await connection.execute(SQL["job_ran"], *ran)

    def _next(self, name: str) -> datetime | None:
        job = self._running.get_job(name) if self._running is not None else None
        return job.next_run_time if job is not None else None
