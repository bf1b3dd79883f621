"""The group commit: what waits is taken together, in one transaction, under the log's lock.

One lock orders everything: the row `log_head` is locked first and by every writer, so no two
batches, in whatever process, can wait for each other, and the tree can't fork
(docs/decisions/0002-one-lock.md).
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import asyncpg
import msgspec
import structlog

from hub import log, organisations
from hub.errors import Internal, Overloaded, Unavailable
from hub.intake.advance import Candidate, Taken
from hub.intake.ledger import Counter, Ledger
from hub.intake.store import store
from hub.organisations import Directory
from hub.store import Connection, Pool
from hub.store.queries import SQL
from keys import checkpoint, merkle
from keys.checkpoint import Checkpoint
from keys.errors import Fault
from keys.jwk import SigningKey
from keys.tiles import Edge
from protocols.flow import Case
from protocols.receipt import LogProof, log_proof

logger = structlog.get_logger()
_case_decoder = msgspec.json.Decoder(Case)
CONNECTION_LOST = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    TimeoutError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)
RETRY_FOR = 15.0


class Job(Protocol):
    """Something to be entered in the log: it names what it reads, then judges itself against the ledger."""

    @property
    def recipients(self) -> Sequence[str]:
        """Whose counters it reads."""
        ...

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter it, or say why not."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """A job's end: proven in the log, and whether it was new."""

    proof: LogProof
    new: bool


class Sequencer:
    """One process's writer: collects jobs for a moment and commits them together."""

    def __init__(self, pool: Pool, origin: str, key: SigningKey, *, queue: int = 10_000, batch: int = 256) -> None:
        self._pool, self._origin, self._key = pool, origin, key
        self._waiting: asyncio.Queue[tuple[Any, asyncio.Future[Outcome]]] = asyncio.Queue(queue)
        self._batch = batch
        self._edge: Edge | None = None
        self.directory: Directory | None = None
        self.on_commit: Callable[[Ledger], None] = lambda ledger: None

    async def submit(self, job: Any) -> Outcome:
        """Enter `job`; returns after commit. Raises its refusal, Overloaded, Unavailable or Internal."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((job, future))
        except asyncio.QueueFull:
            raise Overloaded() from None
        return await future

    async def run(self) -> None:
        """Commit batch after batch until cancelled; what was submitted before is finished by `drain`."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            try:
                await self._settle(batch)
            finally:
                for _ in batch:
                    self._waiting.task_done()

    async def drain(self) -> None:
        """Wait until everything submitted is settled."""
        await self._waiting.join()

    async def _settle(self, batch: list[tuple[Any, asyncio.Future[Outcome]]]) -> None:
        deadline = asyncio.get_running_loop().time() + RETRY_FOR
        delay = 0.05
        while True:
            try:
                results = await self._commit([job for job, _ in batch])
                break
            except CONNECTION_LOST as error:
                # The outcome of the commit is unknown: the messages' ids make the retry safe.
                self._edge = None
                logger.warning("batch-retried", error=type(error).__name__)
                if asyncio.get_running_loop().time() + delay > deadline:
                    results = [Unavailable() for _ in batch]
                    break
                await asyncio.sleep(delay)
                delay = min(2 * delay, 1.0)
            except Exception as error:
                self._edge = None
                if len(batch) > 1:
                    middle = len(batch) // 2
                    await self._settle(batch[:middle])
                    await self._settle(batch[middle:])
                    return
                logger.exception("job-failed", error=type(error).__name__)
                results = [Internal()]
        for (_, future), result in zip(batch, results, strict=True):
            if future.cancelled():
                continue
            if isinstance(result, Fault):
                future.set_exception(result)
            else:
                future.set_result(result)

    async def _commit(self, jobs: list[Any]) -> list[Outcome | Fault]:
        async with self._pool.acquire() as connection:
            async with connection.transaction():
                head = await connection.fetchrow(SQL["lock_head"])
                assert head is not None
                ledger = await self._open(connection, head, jobs)
                taken = [job.take(ledger) for job in jobs]
                edge, note = await self._append(connection, head, ledger)
            if ledger.leaves:
                self._edge = edge
                self.on_commit(ledger)
            return await self._prove(connection, ledger, edge, note, taken)

    async def _open(self, connection: Connection, head: asyncpg.Record, jobs: list[Any]) -> Ledger:
        if self.directory is None or self.directory.epoch != head["key_epoch"]:
            self.directory = await organisations.load(connection)
        ledger = Ledger(now=head["now"], size=head["size"], directory=self.directory)
        messages = [job for job in jobs if isinstance(job, Candidate)]
        if messages:
            keys = [job.event.source for job in messages], [job.event.id for job in messages]
            for row in await connection.fetch(SQL["known"], *keys):
                known = (row["signing_input"], row["log_index"], row["tree_size"])
                ledger.known[row["source"], str(row["id"])] = known
            ids = list({job.case_id for job in messages})
            for row in await connection.fetch(SQL["cases"], ids):
                case = _case_decoder.decode(row["record"])
                ledger.cases[case.id] = case
        names = list({name for job in jobs for name in _recipients(job)})
        for row in await connection.fetch(SQL["counters"], names):
            ledger.counters[row["recipient"]] = Counter(row["last"], row["handed"], row["fetched"], row["acknowledged"])
        return ledger

    async def _append(self, connection: Connection, head: asyncpg.Record, ledger: Ledger) -> tuple[Edge | None, str]:
        if not ledger.leaves:
            return self._edge, head["note"]
        if self._edge is None or self._edge.size != head["size"]:
            self._edge = await log.load_edge(connection, head["size"])
        edge = self._edge.copy()
        edge.forget()
        tiles = edge.append([merkle.leaf_hash(leaf) for leaf in ledger.leaves])
        root = edge.root()
        note = checkpoint.sign_checkpoint(Checkpoint(self._origin, edge.size, root), self._key)
        await store(connection, ledger, tiles, root, note)
        return edge, note

    async def _prove(
        self,
        connection: Connection,
        ledger: Ledger,
        edge: Edge | None,
        note: str,
        taken: list[Taken | Fault],
    ) -> list[Outcome | Fault]:
        """Step 8: proofs for all of the batch, from memory where they are new, from storage where known."""
        outcomes: list[Outcome | Fault] = []
        for result in taken:
            if isinstance(result, Fault):
                outcomes.append(result)
            elif result.tree_size is None and edge is not None:
                outcomes.append(await self._prove_new(connection, ledger, edge, note, result))
            else:
                place = log.Placed(result.index, result.tree_size or ledger.size)
                (proof,) = await log.prove(connection, self._origin, [place])
                outcomes.append(Outcome(proof, False))
        return outcomes

    async def _prove_new(self, connection: Connection, ledger: Ledger, edge: Edge, note: str, taken: Taken) -> Outcome:
        try:
            path = merkle.inclusion_proof(taken.index, edge.size, edge.node)
        except KeyError:
            nodes = await log.read_nodes(connection, merkle.inclusion_nodes(taken.index, edge.size))
            path = merkle.inclusion_proof(taken.index, edge.size, lambda level, at: nodes[level, at])
        leaf = ledger.leaves[taken.index - ledger.size]
        return Outcome(log_proof(self._origin, taken.index, leaf, path, note), taken.new)


def _recipients(job: Any) -> Sequence[str]:
    return job.event.recipients if isinstance(job, Candidate) else job.recipients
