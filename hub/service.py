"""A hub at work in one process: its identity, its database, its writer, and the steps of a message in order."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import msgspec
import structlog
from asyncpg import Record

from hub import cases, mailbox, metrics, notices, organisations
from hub.attachments.keeping import Attachments
from hub.bulletins.standing import Standing, standing
from hub.errors import AcknowledgementInvalid, Forbidden, NotFound, OtherHub, PurposeNeeded
from hub.holders import Holders, Purpose, holdings, on
from hub.identity import Identity
from hub.intake import known
from hub.intake.advance import Candidate, digest_of, require_readable, subject_case
from hub.intake.batch import Sequencer
from hub.intake.decode import Incoming, decode
from hub.intake.prove import Outcome
from hub.intake.validate import collect, validate
from hub.intake.verify import verify
from hub.limits import Limits
from hub.mailbox import Waiters
from hub.notices import Notices
from hub.organisations import Directory, Organisation
from hub.published import Published
from hub.relaying import receipts
from hub.signatories import signatory
from hub.store import Connection, Pool
from hub.store.queries import SQL
from hub.store.reader import Reader
from hub.supervision.clocks import CaseClock, case_clock
from hub.supervision.figures import contributions, figures
from keys import jwt
from keys.cosignature import Witness
from keys.errors import Fault, TokenInvalid
from protocols import attachments, deadlines, entries, flow, receipt, tracing
from protocols.delegation import MAILBOX
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import Catalogue, Protocol
from protocols.receipt import LogProof, Receipt
from protocols.scorecard import Asked, By, Contributions, Figures
from protocols.tracing import NOWHERE, Way

logger = structlog.get_logger()
BREATH = 32
"""After how many messages of a long batch others get their turn."""
WINDOW = 256
"""So many messages of one call are on their way at once: a long batch does not stand before everybody else."""


class Preflight(msgspec.Struct, frozen=True):
    """Whether a message would be taken now: the faults against it, or the state and due date it would leave."""

    problems: list[Fault]
    state: str | None = None
    due: str | None = None


class Acknowledged(msgspec.Struct, frozen=True):
    """An acknowledgement taken; `log` proves its entry, absent where everything was acknowledged before."""

    recipient: str
    through: int
    new: bool
    log: LogProof | None = None


class _Entered(NamedTuple):
    """A message that was let in: its way, and what becomes of it or what refuses it."""

    incoming: Incoming | None
    way: Way
    begun: asyncio.Future[Outcome] | Fault


class Hub:
    """Everything the HTTP calls need; one instance a process."""

    def __init__(
        self,
        identity: Identity,
        name: dict[str, str],
        pool: Pool,
        catalogue: Catalogue,
        attachments: Attachments,
        published: Published,
        witnesses: Sequence[Witness] = (),
        limits: Limits | None = None,
        reader: Reader | None = None,
    ) -> None:
        self.identity, self.name, self.pool, self.catalogue = identity, name, pool, catalogue
        self.witnesses, self.attachments, self.published = witnesses, attachments, published
        self.limits, self.reader = limits or Limits(), reader or Reader(pool)
        self.sequencer = Sequencer(pool, identity, published=published)
        self.waiters = Waiters()
        self.sequencer.on_commit = lambda ledger: self.waiters.wake(
            [row.recipient for row in (*ledger.mailbox, *ledger.passing.mailbox)]
        )
        self._directory: Directory | None = None

    # The way of one message ---------------------------------------------------------------------------

    async def take(self, token: bytes) -> tuple[Receipt, bool]:
        """Take one message: its receipt, and whether it was new. Raises the fault that refuses it."""
        (result,) = await self.take_all([token])
        if isinstance(result, Fault):
            raise result
        return result

    async def take_all(self, tokens: Sequence[bytes]) -> list[tuple[Receipt, bool] | Fault]:
        """Take messages that stand each alone: for each, its receipt and whether it was new, or what refuses it.

        Known bytes get their first receipt whatever else is wrong with them now, so a refusal is only
        final after the look-up; a message that passes is looked up in its batch.
        """
        first = _decoded(tokens[0]) if tokens else None
        # Who claims to have sent it is believed so far: a forger's claim holds room only until it is found out.
        claimed = first.key[0] if isinstance(first, Incoming) and first.key is not None else ""
        with self.sequencer.room(min(len(tokens), WINDOW), claimed):
            directory = await self.directory()
            results: list[tuple[Receipt, bool] | Fault] = []
            entered: deque[_Entered] = deque()
            for number, token in enumerate(tokens, 1):
                if len(entered) == WINDOW:
                    results += [await self._settled(entered.popleft(), directory) for _ in range(WINDOW // 2)]
                incoming = first if number == 1 and first is not None else _decoded(token)
                entered.append(self._enter(incoming, directory, claimed))
                if number % BREATH == 0:
                    await asyncio.sleep(0)
            return results + [await self._settled(one, directory) for one in entered]

    def _enter(self, incoming: Incoming | Fault, directory: Directory, claimed: str) -> "_Entered":
        if isinstance(incoming, Fault):
            return _Entered(None, NOWHERE, incoming)
        way = _begun(incoming, self.identity.hub)
        try:
            job = self._candidate(incoming, directory, way)
            return _Entered(incoming, way, self.sequencer.submit(job, claimed, way))
        except Fault as refusal:
            return _Entered(incoming, way, refusal)

    async def _settled(self, entered: "_Entered", directory: Directory) -> tuple[Receipt, bool] | Fault:
        incoming, way, begun = entered
        try:
            outcome = await (self._again(entered, begun, directory) if isinstance(begun, Fault) else begun)
        except Fault as refusal:
            found = await self.first(incoming, refusal)
            if isinstance(found, Fault):
                _count_refusal(found, incoming)
                way.end("refused", found)
                return self._explained(found, incoming)
            outcome = found
        metrics.taken(outcome.new)
        way.end("new" if outcome.new else "known")
        return given(outcome)

    async def _again(self, entered: "_Entered", refusal: Fault, judged_by: Directory) -> Outcome:
        """What an old directory refused is judged once more by a fresh one."""
        fresh = await self.directory(fresh=True)
        if entered.incoming is None or fresh is judged_by:
            raise refusal
        job = self._candidate(entered.incoming, fresh, entered.way)
        return await self.sequencer.submit(job, way=entered.way)

    def _candidate(self, incoming: Incoming, directory: Directory, way: Way) -> Candidate:
        now = datetime.now(UTC)
        with way.step("verify"):
            verify(incoming, directory, now)
        self.limits.message(incoming.attributes["source"])
        with way.step("validate"):
            event, protocol = validate(incoming.attributes, self.catalogue, directory, self.identity.hub, now)
        return Candidate(incoming, event, protocol, directory.epoch)

    async def first(self, incoming: Incoming | None, refusal: Fault) -> Outcome | Fault:
        """The outcome these bytes had when they first came, else what refuses them."""
        if incoming is None:
            return refusal
        try:
            async with self.pool.acquire() as connection:
                job = await known.first(connection, incoming)
            return refusal if job is None else await self.sequencer.submit(job)
        except Fault as fault:
            return fault

    def _explained(self, refusal: Fault, incoming: Incoming | None) -> Fault:
        """The refusal, with what is allowed instead where the flow refused."""
        if incoming is not None and "allowed" in refusal.data:
            schema = str(incoming.attributes["dataschema"])
            protocol, _ = self.catalogue.message(str(incoming.attributes["type"]), schema)
            return explained(refusal, protocol)
        return refusal

    async def preflight(self, caller: Organisation, attributes: dict[str, Any]) -> Preflight:
        """Would this be taken now? Nothing is stored. Raises Forbidden for another's message."""
        directory = await self.directory(fresh=True)
        if attributes.get("source") != caller.id:
            raise Forbidden("a preflight is for one's own messages")
        now = datetime.now(UTC)
        problems, judged = collect(attributes, self.catalogue, directory, self.identity.hub, now)
        if judged is None:
            return Preflight(problems)
        event, protocol = judged
        problems += await self._attachment_problems(event, directory)
        known = await self._cases([event.subject, flow.subject_case(protocol.flow, event)])
        about = subject_case(protocol, event, directory, known)
        outcome = flow.advance(protocol.flow, known.get(event.subject), event, now, about, directory.calendar)
        if not isinstance(outcome, Transition):
            return Preflight([*problems, explained(outcome, protocol)])
        due = outcome.due.date.isoformat() if outcome.due else None
        return Preflight(problems) if problems else Preflight([], outcome.case.state, due)

    async def _attachment_problems(self, event: Event, directory: Directory) -> list[Fault]:
        digests = [digest_of(one) for one in attachments.named(event.data)]
        readers: dict[bytes, set[str]] = {}
        async with self.pool.acquire() as connection:
            for row in await connection.fetch(SQL["attachment_readers"], digests):
                readers.setdefault(row["digest"], set()).add(row["organisation"])
        try:
            require_readable(event, directory, readers)
        except Fault as fault:
            return [fault]
        return []

    async def _cases(self, ids: Iterable[str | None]) -> dict[str, Case]:
        async with self.pool.acquire() as connection:
            rows = await connection.fetch(SQL["cases"], [id for id in ids if id is not None])
        found = [msgspec.json.decode(row["record"], type=Case) for row in rows]
        return {case.id: case for case in found}

    # Mailboxes ----------------------------------------------------------------------------------------

    async def read_mailbox(self, recipient: str, after: int, limit: int, wait: float, proof: bool) -> mailbox.Page:
        """A page of the recipient's mailbox; waits up to `wait` seconds where it is empty."""
        async with self.pool.acquire() as connection:
            counter = await connection.fetchrow(SQL["mailbox_counter"], recipient)
        if counter and min(after, counter["handed"]) > counter["fetched"]:
            with self.sequencer.room():
                await self.sequencer.submit(mailbox.Fetch(recipient, after))
        until = asyncio.get_running_loop().time() + wait
        # Who listens before looking misses nothing that comes in between.
        with self._waiting(recipient, after) if wait else contextlib.nullcontext() as news:
            while True:
                async with self.pool.acquire() as connection:
                    page = await mailbox.page(connection, recipient, after, limit)
                    left = until - asyncio.get_running_loop().time()
                    if news is None or page.items or left <= 0 or self.waiters.closed:
                        return await self._proven(connection, recipient, page) if proof else page
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        await news.wait()
                news.clear()

    @contextlib.contextmanager
    def _waiting(self, recipient: str, after: int) -> Iterator[asyncio.Event]:
        with self.limits.poll(recipient), self.waiters.listening(recipient, after) as news:
            yield news

    async def _proven(self, connection: Connection, recipient: str, page: mailbox.Page) -> mailbox.Page:
        end = await mailbox.sign_end(connection, self.identity, recipient, datetime.now(UTC))
        return msgspec.structs.replace(page, proof=end)

    async def acknowledge(self, token: bytes) -> Acknowledged:
        """Take a signed acknowledgement; its log entry. Raises what is wrong with it."""
        compact, said = mailbox.read_acknowledgement(token)
        if said.hub != self.identity.hub:
            raise AcknowledgementInvalid(f"this hub is {self.identity.hub}")
        mailbox.verify_acknowledgement(compact, said, await self.directory(fresh=True), datetime.now(UTC))
        async with self.pool.acquire() as connection:
            digest = await connection.fetchval(SQL["mailbox_digest"], said.recipient, said.through)
        if digest is not None and said.digest != "sha-256:" + digest.hex():
            raise AcknowledgementInvalid("digest is not that of the message at this position")
        with self.sequencer.room():
            outcome = await self.sequencer.submit(mailbox.Acknowledge(compact, said))
        return Acknowledged(said.recipient, said.through, outcome.new, outcome.proof if outcome.new else None)

    # Cases --------------------------------------------------------------------------------------------

    async def list_cases(self, caller: Organisation, state: str | None, after: str | None, limit: int) -> cases.Listing:
        """The cases that `caller` may see, the newest first."""
        sight = await self._sight(caller)
        async with self.pool.acquire() as connection:
            return await cases.listing(connection, self.catalogue, caller.id, sight, state, after, limit)

    async def read_case(
        self, caller: Organisation, id: str, purpose: Purpose | None, sight: Sequence[str] | None = None
    ) -> cases.View:
        """One case; a look by who is no party is logged where its protocol says so, for a `purpose`.

        `sight` is whose cases are seen, the caller's own unless it is given. Raises NotFound, Forbidden; PurposeNeeded.
        """
        sight = await self._sight(caller) if sight is None else sight
        async with self.pool.acquire() as connection:
            await cases.require_sight(connection, sight, id)
            (case,) = (await self._cases([id])).values()
        flow_of = self.catalogue.protocols[case.protocol, case.version].flow
        if flow_of.logged and case.involved().isdisjoint((await self.directory()).lineage(caller.id)):
            if purpose is None:
                raise PurposeNeeded()
            with self.sequencer.room():
                await self.sequencer.submit(cases.Look(caller.id, id, purpose))
        async with self.pool.acquire() as connection:
            return await cases.view(connection, self.catalogue, await self.directory(), caller.id, sight, id)

    async def holders(self, caller: Organisation, id: str, purpose: Purpose, day: date | None) -> Holders:
        """Who held the case when; the look is logged first. Raises NotFound, Forbidden."""
        sight = await self._sight(caller)
        async with self.pool.acquire() as connection:
            await cases.require_sight(connection, sight, id)
        for case in (await self._cases([id])).values():
            if case.home is not None:
                raise OtherHub(f"who held the case when is for {case.home}, its home, to say")
        with self.sequencer.room():
            looked = await self.sequencer.submit(cases.Look(caller.id, id, purpose))
        async with self.pool.acquire() as connection:
            today = deadlines.local_date(datetime.now(UTC))
            found = await holdings(connection, self.catalogue, id, today)
            (row,) = await connection.fetch(SQL["case_protocols"], [id])
        shown = found if day is None else on(found, day)
        return Holders(id, row["protocol"], row["version"], purpose, looked.proof.index, shown)

    async def clock(self, caller: Organisation, id: str, sight: Sequence[str] | None = None) -> CaseClock:
        """Where the time of a case went, each boundary with its log entry. Raises NotFound, Forbidden."""
        sight = await self._sight(caller) if sight is None else sight
        async with self.pool.acquire() as connection:
            await cases.require_sight(connection, sight, id)
            return await case_clock(connection, self.catalogue, id, datetime.now(UTC))

    async def figures(self, caller: Organisation, asked: Asked, by: By) -> Figures:
        """What the cases come to that count for `caller`."""
        sight = await self._counted(caller)
        return await self.reader.read(lambda connection: figures(connection, asked, by, sight, datetime.now(UTC)))

    async def contributions(self, caller: Organisation, asked: Asked, after: str | None, limit: int) -> Contributions:
        """The cases behind such a figure."""
        sight = await self._counted(caller)
        return await self.reader.read(lambda connection: contributions(connection, asked, sight, after, limit))

    async def notices(self, caller: Organisation, after: int, limit: int) -> Notices:
        """What the hub told `caller`, and those in whose place it stands, of deadlines."""
        directory = await self.directory()
        async with self.pool.acquire() as connection:
            return await notices.read(connection, directory.lineage(caller.id), after, limit)

    async def bulletins(self, caller: Organisation, lead: str, period: str) -> Standing:
        """Who reported to `lead` for the month. Raises NotFound, Forbidden."""
        directory = await self.directory()
        if directory.get(lead) is None:
            raise NotFound()
        if lead not in await self._sight(caller):
            raise Forbidden()
        today = deadlines.local_date(datetime.now(UTC))
        return await self.reader.read(lambda c: standing(c, self.catalogue, directory, lead, period, today))

    async def _sight(self, caller: Organisation) -> list[str]:
        """Whose cases the caller sees: its own, and as a supervisor those below it."""
        directory = await self.directory()
        return directory.subtree(caller.id) if "supervisor" in caller.roles else directory.lineage(caller.id)

    async def _counted(self, caller: Organisation) -> list[str]:
        """Whose cases count in the caller's figures: an auditor, who reads every entry, may check every figure."""
        if "auditor" in caller.roles:
            return list((await self.directory()).organisations)
        return await self._sight(caller)

    # Who is who ---------------------------------------------------------------------------------------

    async def directory(self, *, fresh: bool = False) -> Directory:
        """The organisations; with `fresh`, not older than this call."""
        if self._directory is not None and not fresh:
            return self._directory
        async with self.pool.acquire() as connection:
            self._directory = await organisations.load(connection, self._directory)
        return self._directory

    async def caller(self, token: str) -> Organisation:
        """The organisation whose bearer token this is, signed by itself or by its gateway.

        Raises TokenInvalid, DelegationExceeded; Forbidden where it was succeeded.
        """
        issuer = jwt.peek_issuer(token)
        organisation = (await self.directory(fresh=True)).get(issuer)
        if organisation is None:
            raise TokenInvalid(f"the issuer {issuer[:80]!r} is not known here")
        now = datetime.now(UTC)
        who = signatory(await self.directory(), organisation, jwt.peek_kid(token), MAILBOX, now)
        jwt.verify(token, issuer=issuer, audience=self.identity.hub, keys=who.ring, now=now, allowed=who.algorithms)
        self.limits.call(issuer)
        if organisation.home is not None:
            self._require_neighbour(organisation, now)
        if organisation.successor is not None:
            raise Forbidden(f"{organisation.successor} stands in the place of {issuer} and sees its cases")
        return organisation

    def _require_neighbour(self, organisation: Organisation, now: datetime) -> None:
        """Of another hub's side nobody is let in but that hub itself, while it is a neighbour."""
        assert self._directory is not None
        if organisation.home != organisation.id or self._directory.neighbour(organisation.id, now) is None:
            raise Forbidden(f"{organisation.id} is of another hub, {organisation.home}")

    async def message(self, caller: Organisation, source: str, id: str) -> Record:
        """The key row of a message that `caller` is a party of. Raises NotFound, Forbidden."""
        async with self.pool.acquire() as connection:
            row: Record | None = await connection.fetchrow(SQL["message_key"], source, id)
            if row is None:
                raise NotFound()
            leaf = (await connection.fetch(SQL["entries"], [row["log_index"]]))[0]["leaf"]
        entry = entries.decode(leaf)
        own = (await self.directory()).lineage(caller.id)
        if not isinstance(entry, entries.Carried) or {entry.source, *receipts.told(entry)}.isdisjoint(own):
            async with self.pool.acquire() as connection:
                await receipts.require_part(connection, entry, row["case_id"], own)
        return row


def _decoded(token: bytes) -> Incoming | Fault:
    """The message taken apart, or what is wrong with its bytes."""
    try:
        return decode(token)
    except Fault as refusal:
        return refusal


def _begun(incoming: Incoming, hub: str) -> Way:
    """The way of a message through this hub; nowhere while nothing is traced."""
    if not tracing.on() or incoming.key is None:
        return NOWHERE
    source, id = incoming.key
    return tracing.begin("receive", id, source=source, hub=hub)


def given(outcome: Outcome) -> tuple[Receipt, bool]:
    """The receipt of a message that was taken or carried, and whether it was new."""
    assert isinstance(outcome.entry, entries.Carried)
    return receipt.build(outcome.entry, outcome.proof), outcome.new


def explained(refusal: Fault, protocol: Protocol) -> Fault:
    """The refusal of a flow, its `allowed` names made into actions with their schemas."""
    names = refusal.data.get("allowed")
    if isinstance(names, list):
        refusal.data["allowed_actions"] = cases.actions(protocol, names)
    return refusal


def _count_refusal(refusal: Fault, incoming: Incoming | None) -> None:
    metrics.MESSAGES.labels("refused").inc()
    metrics.REFUSALS.labels(refusal.code).inc()
    source, id = (incoming.key if incoming is not None else None) or (None, None)
    logger.info("refused", code=refusal.code, source=source, message=id)
