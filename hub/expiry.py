"""What nobody fetched before its `expirytime`: entered in the log as expired, its sender told by the hub."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog
from asyncpg import Record

from hub.errors import Internal
from hub.identity import Identity
from hub.intake.advance import enter
from hub.intake.batch import Sequencer
from hub.intake.ledger import Job, Ledger, MarkRow, Taken
from hub.intake.own import derived_id
from hub.store import CONNECTION_LOST, Pool
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from protocols import entries, envelope, flow
from protocols.between_hubs import There
from protocols.envelope import Event
from protocols.flow import Case
from protocols.loading import Catalogue
from protocols.message_checks import UNDELIVERED

logger = structlog.get_logger()
EVERY = 1.0
PAGE = 200
_decoder = msgspec.json.Decoder(Case)
_PASSING: tuple[type[Exception], ...] = (Fault, *CONNECTION_LOST)


@dataclass(frozen=True, slots=True)
class Expire(Job):
    """A position whose message has passed its `expirytime`, with the message that tells its sender."""

    recipient: str
    position: int
    sender: str
    message_id: str
    notice: Event
    token: bytes
    catalogue: Catalogue
    there: There | None = None
    """The word of another hub, where the mailbox is there."""

    @property
    def recipients(self) -> Sequence[str]:
        """Whose counters it reads: the mailbox of the position, and that of the sender who is told."""
        return (self.recipient, self.sender)

    @property
    def cases(self) -> Sequence[str]:
        """The case of both messages."""
        return (self.notice.subject,)

    @property
    def message(self) -> tuple[str, str]:
        """The notice's key, which follows from the position: two processes make the same."""
        return self.notice.source, self.notice.id

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter `expired` and the notice; only the mark in the mailbox where it was fetched meanwhile."""
        known = ledger.known.get(self.message)
        if known is not None:
            return Taken(known[1], known[2], False)
        case = ledger.cases.get(self.notice.subject)
        if case is None:
            return Internal(f"the case of position {self.position} of {self.recipient} is not there")
        ledger.expired.append((self.recipient, self.position))
        if self.position <= ledger.counter(self.recipient).fetched:
            return Taken(max(ledger.size - 1, 0), None, False)
        expired = ledger.append(
            entries.Expired(self.recipient, self.position, self.message_id, self.sender, ledger.at, self.there)
        )
        ledger.marks.append(MarkRow(self.recipient, "expired", self.position, self.position, expired))
        if case.home is not None:
            return Taken(expired, None, True)  # its home alone says more in it
        digest = hashlib.sha256(self.token.rpartition(b".")[0]).digest()
        protocol = self.catalogue.protocols[case.protocol, case.version]
        due = flow.current_due(protocol.flow, case)
        return enter(ledger, self.notice, self.token, digest, case, case.state, due)


async def sweep(pool: Pool, sequencer: Sequencer, identity: Identity, catalogue: Catalogue) -> int:
    """Expire everything that is past its time now; how many positions that were."""
    async with pool.acquire() as connection:
        rows = await connection.fetch(SQL["mailbox_expiring"], PAGE)
        ids = list({row["case_id"] for row in rows})
        found = (_decoder.decode(row["record"]) for row in await connection.fetch(SQL["cases"], ids))
        cases = {case.id: case for case in found}
    for row in rows:
        await sequencer.submit(job(row, identity, catalogue, cases[str(row["case_id"])]))
    return len(rows)


async def sweep_for_ever(pool: Pool, sequencer: Sequencer, identity: Identity, catalogue: Catalogue) -> None:
    """Sweep every second, at once again while there is more; while the database is away, later."""
    while True:
        found = 0
        try:
            found = await sweep(pool, sequencer, identity, catalogue)
        except _PASSING as error:
            logger.warning("sweep-failed", error=type(error).__name__)
        if found:
            logger.info("expired", positions=found)
        if found < PAGE:
            await asyncio.sleep(EVERY)


def job(row: Record, identity: Identity, catalogue: Catalogue, case: Case, there: There | None = None) -> Expire:
    """What is entered of a position of a mailbox, in `case`; `there` where another hub says so."""
    recipient, position, sender, message = row["recipient"], row["position"], row["source"], str(row["id"])
    name, moment = case.protocol, row["expires"] if there is None else datetime.fromisoformat(there.at)
    notice = envelope.compose(
        id=derived_id(moment, identity.hub, recipient, position),
        source=identity.hub,
        type=f"{name}.{UNDELIVERED}",
        dataschema=catalogue.protocols[name, case.version].messages[UNDELIVERED].schema.id,
        subject=str(row["case_id"]),
        recipients=[sender],
        hub=identity.hub,
        time=moment,
        data={"message": message, "recipient": recipient, "position": position, "reason": "expired"},
        causationid=message,
    )
    token = jws.sign(envelope.encode(notice), identity.key, typ=envelope.TYP, cty=envelope.CTY)
    return Expire(recipient, position, sender, message, envelope.event(notice), token, catalogue, there)
