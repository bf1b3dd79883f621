"""The group commit: what waits is taken together, in one transaction, under the log's lock.

One lock orders everything: the row `log_head` is locked first and by every writer, so no two
batches, in whatever process, can wait for each other, and the tree can't fork
(docs/decisions/0002-one-lock.md).
"""

import asyncio
import contextlib
import math
import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

import asyncpg
import structlog

from hub import metrics, organisations
from hub.errors import Internal, Overloaded, Unavailable
from hub.identity import Identity
from hub.intake.ledger import Counter, Job, Ledger, Relay
from hub.intake.prove import Outcome, prove
from hub.intake.queueing import FairQueue
from hub.intake.store import store
from hub.organisations import Directory
from hub.published import LogNotCurrent, Published
from hub.store import CONNECTION_LOST, Connection, Pool
from hub.store.queries import SQL
from keys.errors import Fault
from keys.tiles import Edge
from protocols.tracing import NOWHERE, Way

logger = structlog.get_logger()
RETRY_FOR = 15.0
"""Seconds for which a batch is tried again while the database is away."""
AGAIN: Final[tuple[type[Exception], ...]] = (*CONNECTION_LOST, Unavailable)
"""The database is away, or a case is not as it was read."""

LONGEST = "10s"
"""After which PostgreSQL ends a batch that does not come to its commit: a node cut off in the midst of a statement."""
PATIENCE = 0.5
"""Seconds of work ahead beyond which nothing more is let in: refused at once rather than late."""
HOPED = 5_000.0
"""Jobs a second that are expected before any were measured."""
FEWEST = 256
"""So many jobs are let in however slowly the last ones went."""
MOST = 5_000
"""And never more than so many, that memory has a bound."""

ALPHA = 2.0
"""How much of the room that is left one sender may have (Choudhury and Hahne, dynamic thresholds): alone two thirds."""


class Waiting(NamedTuple):
    """A job with its answer to be, the way of its message, and since when it waits (ns since 1970, where traced)."""

    job: Job
    future: asyncio.Future[Outcome]
    way: Way
    since: int


class Sequencer:
    """One process's writer: collects jobs for a moment and commits them together."""

    def __init__(self, pool: Pool, identity: Identity, *, batch: int = 256, published: Published | None = None) -> None:
        """`published` keeps what is handed out; a command, which hands out nothing, has none."""
        self._pool, self._identity, self._published = pool, identity, published
        self._waiting = FairQueue[Waiting]()
        self._filled, self._idle = asyncio.Event(), asyncio.Event()
        self._idle.set()
        self._batch = batch
        self._inside, self._of = 0, Tally[str]()
        self._pace = HOPED
        self._edge: Edge | None = None
        self._began = self._committed = 0
        self._since = math.inf
        self._directory: Directory | None = None
        self.on_commit: Callable[[Ledger], None] = lambda ledger: None

    @contextlib.contextmanager
    def room(self, jobs: int = 1, who: str = "") -> Iterator[None]:
        """Be let in with `jobs` until the end of the block; raises Overloaded where PATIENCE is used up already.

        What is let in is not refused for want of room later: a batch of messages is judged whole or not at all.
        Of the room, `who` gets no more than ALPHA times what is left: whoever floods leaves room for the others.
        """
        self.require_room()
        if who and self._of[who] >= ALPHA * (self._most - self._inside):
            raise Overloaded(f"{who} has so much on its way that no room would be left for others")
        self._inside += jobs
        self._of[who] += jobs
        try:
            yield
        finally:
            self._inside -= jobs
            self._of[who] -= jobs
            if not self._of[who]:
                del self._of[who]

    def require_room(self) -> None:
        """Raise Overloaded where nothing more is let in now: there is too much already, or nothing moves."""
        self.require_movement()
        if self._inside >= self._most:
            raise Overloaded()

    def require_movement(self) -> None:
        """Raise Overloaded where a batch does not come to its end: its commit waits for a standby, as others would."""
        if asyncio.get_running_loop().time() - self._since > RETRY_FOR:
            raise Overloaded()

    @property
    def _most(self) -> float:
        return min(max(FEWEST, PATIENCE * self._pace), MOST)

    def submit(self, job: Job, who: str = "", way: Way = NOWHERE) -> asyncio.Future[Outcome]:
        """Have `job` entered; done after commit, with its refusal, Unavailable or Internal.

        Jobs of the same `who` keep their order, whoever signed them: a later line of a call may rest on an earlier one.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.add(who, Waiting(job, future, way, 0 if way is NOWHERE else time.time_ns()))
        if len(self._waiting) == 1:
            self._filled.set()
            self._idle.clear()
        return future

    async def run(self) -> None:
        """Commit batch after batch until cancelled; what was submitted before is finished by `drain`."""
        clock = asyncio.get_running_loop().time
        while True:
            if not self._waiting:
                self._idle.set()
                self._filled.clear()
                await self._filled.wait()
                began = clock()
            batch = self._waiting.take(self._batch)
            metrics.QUEUE.set(len(self._waiting))
            self._since = clock()
            await self._settle(batch)
            self._since = math.inf
            # How fast it goes is told by batches that follow each other: what is verified meanwhile is in it.
            began, since = clock(), began
            if self._waiting:
                self._pace += 0.2 * (len(batch) / max(began - since, 1e-6) - self._pace)

    async def drain(self) -> None:
        """Wait until everything submitted is settled."""
        await self._idle.wait()

    async def _settle(self, batch: Sequence[Waiting]) -> None:
        """Commit the batch and answer each of its jobs; one that makes the batch fail is answered alone."""
        try:
            results = await self._until_decided([one.job for one in batch])
        except Exception as error:
            self._edge = None
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._settle(batch[:middle])
                await self._settle(batch[middle:])
                return
            logger.exception("job-failed", error=type(error).__name__, job=type(batch[0].job).__name__)
            results = [Internal()]
        for (_, future, way, since), result in zip(batch, results, strict=True):
            if way is not NOWHERE:
                self._trace(way, since)
            if future.cancelled():
                continue
            if isinstance(result, Fault):
                future.set_exception(result)
            else:
                future.set_result(result)

    def _trace(self, way: Way, since: int) -> None:
        way.took("wait", since, self._began)
        way.took("commit", self._began, self._committed)
        way.took("prove", self._committed, time.time_ns())

    async def _until_decided(self, jobs: Sequence[Job]) -> Sequence[Outcome | Fault]:
        """Commit, again and again while the database is away: an unknown outcome is found out by the jobs' ids."""
        deadline = asyncio.get_running_loop().time() + RETRY_FOR
        delay = 0.05
        while True:
            try:
                with metrics.BATCH_SECONDS.time():
                    return await self._commit(jobs)
            except LogNotCurrent as fault:
                logger.critical("log-not-current", detail=fault.detail)
                return [Unavailable() for _ in jobs]
            except AGAIN as error:
                self._edge = None
                logger.warning("batch-retried", error=type(error).__name__, jobs=len(jobs))
                if asyncio.get_running_loop().time() + delay > deadline:
                    return [Unavailable() for _ in jobs]
                await asyncio.sleep(delay)
                delay = min(2 * delay, 1.0)

    async def _commit(self, jobs: Sequence[Job]) -> Sequence[Outcome | Fault]:
        self._began = self._committed = time.time_ns()
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                head = await connection.fetchrow(SQL["lock_head"], LONGEST)
                assert head is not None
                if self._published is not None:
                    self._published.require_current(head["origin"], head["size"])
                ledger = await self._open(connection, head, jobs)
                taken = [job.take(ledger) for job in jobs]
                edge, note = self._edge, head["note"]
                if ledger.leaves:
                    edge, note = await store(connection, ledger, self._identity, edge)
            self._committed = time.time_ns()
            if ledger.leaves:
                self._edge = edge
                if self._published is not None:
                    self._published.note(ledger.origin, ledger.size + len(ledger.leaves), note)
                metrics.batch(ledger)
                self.on_commit(ledger)
            return await prove(connection, ledger, edge, note, taken)

    async def _open(self, connection: Connection, head: asyncpg.Record, jobs: Sequence[Job]) -> Ledger:
        """The ledger with everything read that the jobs are judged by."""
        if self._directory is None or self._directory.epoch != head["key_epoch"]:
            self._directory = await organisations.load(connection, self._directory)
        ledger = Ledger(
            now=head["now"],
            size=head["size"],
            directory=self._directory,
            origin=head["origin"],
            epoch_base=head["epoch_base"],
        )
        messages = list({job.message for job in jobs if job.message is not None})
        if messages:
            columns = [source for source, _ in messages], [id for _, id in messages]
            for row in await connection.fetch(SQL["known"], *columns):
                known = (row["signing_input"], row["log_index"], row["tree_size"])
                ledger.known[row["source"], str(row["id"])] = known
        cases = list(set(chain.from_iterable(job.cases for job in jobs)))
        if cases:
            for row in await connection.fetch(SQL["cases"], cases):
                case = ledger.read(row)
                ledger.cases[case.id] = case
        if digests := list(set(chain.from_iterable(job.attachments for job in jobs))):
            for row in await connection.fetch(SQL["attachment_readers"], digests):
                ledger.readers.setdefault(row["digest"], set()).add(row["organisation"])
        names = list({*chain.from_iterable(job.recipients for job in jobs), *self._directory.neighbours})
        for row in await connection.fetch(SQL["counters"], names):
            ledger.counters[row["recipient"]] = Counter(row["last"], row["handed"], row["fetched"], row["acknowledged"])
        if hubs := list(set(chain.from_iterable(job.hubs for job in jobs))):
            for row in await connection.fetch(SQL["neighbour_cursors"], hubs):
                ledger.passing.taken[row["hub"]] = row["taken"]
            for row in await connection.fetch(SQL["relays"], cases):
                carried = Relay(row["log_index"], row["tree_size"], row["source"], str(row["id"]), *row[5:])
                ledger.passing.relays.setdefault(str(row["case_id"]), []).append(carried)
        return ledger
