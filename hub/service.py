"""A hub at work in one process: its identity, its database, its writer, and the steps of a message in order."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import msgspec
import structlog

from hub import log, mailbox, organisations
from hub.errors import AcknowledgementInvalid, Forbidden, IdReused, NotFound
from hub.intake.advance import Candidate
from hub.intake.batch import Outcome, Sequencer
from hub.intake.decode import Incoming, decode
from hub.intake.validate import validate
from hub.intake.verify import verify
from hub.mailbox import Waiters
from hub.organisations import Directory, Organisation
from hub.store import Pool
from hub.store.queries import SQL
from keys import jwt
from keys.errors import Fault, TokenInvalid
from keys.jwk import SigningKey
from protocols import entries, flow, receipt
from protocols.entries import Accepted
from protocols.flow import Case, Transition
from protocols.loading import Catalogue
from protocols.receipt import Receipt

logger = structlog.get_logger()


class Hub:
    """Everything the HTTP calls need; one instance a process."""

    def __init__(
        self,
        id: str,
        name: dict[str, str],
        pool: Pool,
        origin: str,
        key: SigningKey,
        catalogue: Catalogue,
    ) -> None:
        self.id, self.name, self.pool, self.origin, self.key = id, name, pool, origin, key
        self.catalogue = catalogue
        self.sequencer = Sequencer(pool, origin, key)
        self.waiters = Waiters()
        self.sequencer.on_commit = lambda ledger: self.waiters.wake([row.recipient for row in ledger.mailbox])
        self._directory: Directory | None = None

    # The way of one message ---------------------------------------------------------------------------

    async def take(self, token: bytes) -> tuple[Receipt, bool]:
        """Take one message: its receipt, and whether it was new. Raises the fault that refuses it.

        Known bytes get their first receipt whatever else is wrong with them now, so a refusal is only
        final after the look-up; a message that passes is looked up in its batch.
        """
        incoming = decode(token)
        try:
            candidate = await self._judge(incoming)
            outcome = await self.sequencer.submit(candidate)
        except Fault as refusal:
            first = await self.first_receipt(incoming)
            if first is None:
                logger.info("refused", code=refusal.code)
                raise
            return first, False
        return _receipt(outcome), outcome.new

    async def _judge(self, incoming: Incoming) -> Candidate:
        now = datetime.now(UTC)
        directory = await self.directory()
        try:
            verify(incoming, directory, now)
        except Fault:
            directory = await self.directory(fresh=True)
            verify(incoming, directory, now)
        try:
            parts = validate(incoming.attributes, self.catalogue, directory, self.id, now)
        except Fault:
            directory = await self.directory(fresh=True)
            parts = validate(incoming.attributes, self.catalogue, directory, self.id, now)
        return Candidate(incoming, parts[0], parts[1], directory.epoch)

    async def first_receipt(self, incoming: Incoming) -> Receipt | None:
        """Step 2: the first receipt of known bytes, None for unknown ones. Raises IdReused."""
        if incoming.key is None:
            return None
        async with self.pool.acquire() as connection:
            source, id = incoming.key
            rows = await connection.fetch(SQL["known"], [source], [id])
            if not rows:
                return None
            if rows[0]["signing_input"] != incoming.signing_digest:
                raise IdReused()
            place = log.Placed(rows[0]["log_index"], rows[0]["tree_size"])
            (proof,) = await log.prove(connection, self.origin, [place])
        return _receipt(Outcome(proof, False))

    async def preflight(self, caller: Organisation, attributes: dict[str, Any]) -> dict[str, Any]:
        """Would this be taken now? Nothing is stored; `problems` lists what stands against it."""
        directory = await self.directory()
        if attributes.get("source") != caller.id:
            raise Forbidden("a preflight is for one's own messages")
        try:
            event, protocol, _ = validate(attributes, self.catalogue, directory, self.id, datetime.now(UTC))
        except Fault as fault:
            return {"acceptable": False, "problems": [fault]}
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(SQL["case_record"], event.subject)
        case = msgspec.json.decode(row["record"], type=Case) if row else None
        outcome = flow.advance(protocol.flow, case, event, datetime.now(UTC))
        if not isinstance(outcome, Transition):
            return {"acceptable": False, "problems": [outcome]}
        due = outcome.due.date.isoformat() if outcome.due else None
        return {"acceptable": True, "problems": [], "state": outcome.case.state, "due": due}

    # Mailboxes ----------------------------------------------------------------------------------------

    async def read_mailbox(self, recipient: str, after: int, limit: int, wait: float) -> dict[str, Any]:
        """A page of the recipient's mailbox; waits up to `wait` seconds where it is empty."""
        async with self.pool.acquire() as connection:
            counter = await connection.fetchrow(SQL["mailbox_counter"], recipient)
        if counter and min(after, counter["handed"]) > counter["fetched"]:
            await self.sequencer.submit(mailbox.Fetch(recipient, after))
        until = asyncio.get_running_loop().time() + wait
        while True:
            async with self.pool.acquire() as connection:
                page = await mailbox.page(connection, self.origin, recipient, after, limit)
            left = until - asyncio.get_running_loop().time()
            if page["items"] or left <= 0:
                return dict(page)
            await self.waiters.wait(recipient, min(left, 1.0))

    async def acknowledge(self, token: bytes) -> dict[str, Any]:
        """Take a signed acknowledgement; its log entry. Raises what is wrong with it."""
        compact, said = mailbox.read_acknowledgement(token)
        if said.hub != self.id:
            raise AcknowledgementInvalid(f"this hub is {self.id}")
        mailbox.verify_acknowledgement(compact, said, await self.directory(fresh=True), datetime.now(UTC))
        async with self.pool.acquire() as connection:
            digest = await connection.fetchval(SQL["mailbox_digest"], said.recipient, said.through)
        if digest is not None and said.digest != "sha-256:" + digest.hex():
            raise AcknowledgementInvalid("digest is not that of the message at this position")
        outcome = await self.sequencer.submit(mailbox.Acknowledge(compact, said))
        answer: dict[str, Any] = {"recipient": said.recipient, "through": said.through, "new": outcome.new}
        if outcome.new:
            answer["log"] = outcome.proof
        return answer

    # Who is who ---------------------------------------------------------------------------------------

    async def directory(self, *, fresh: bool = False) -> Directory:
        """The organisations; with `fresh`, not older than this call."""
        if self._directory is not None and not fresh:
            return self._directory
        async with self.pool.acquire() as connection:
            if self._directory is None or await connection.fetchval(SQL["key_epoch"]) != self._directory.epoch:
                self._directory = await organisations.load(connection)
        return self._directory

    async def caller(self, token: str) -> Organisation:
        """The organisation that signed this bearer token. Raises TokenInvalid."""
        issuer = jwt.peek_issuer(token)
        directory = await self.directory(fresh=True)
        organisation = directory.get(issuer)
        if organisation is None:
            raise TokenInvalid("the issuer is not known here")
        now = datetime.now(UTC)
        jwt.verify(token, issuer=issuer, audience=self.id, keys=organisation.ring, now=now)
        return organisation

    async def message(self, caller: Organisation, source: str, id: str) -> asyncpg.Record:
        """The key row of a message that `caller` is a party of. Raises NotFound, Forbidden."""
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(SQL["message_key"], source, id)
            if row is None:
                raise NotFound()
            leaf = (await connection.fetch(SQL["entries"], [row["log_index"]]))[0]["leaf"]
        entry = entries.decode(leaf)
        if not isinstance(entry, Accepted) or caller.id not in {entry.source, *entry.recipients}:
            raise Forbidden()
        return row  # type: ignore[no-any-return]


def _receipt(outcome: Outcome) -> Receipt:
    entry = entries.decode(receipt.leaf(outcome.proof))
    assert isinstance(entry, Accepted)
    return receipt.build(entry, outcome.proof)
