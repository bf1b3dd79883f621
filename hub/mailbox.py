"""The mailbox: an append-only list with a cursor; what was fetched and acknowledged goes to the log."""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hub import log, metrics
from hub.errors import AcknowledgementInvalid, NotYetFetched
from hub.identity import Identity
from hub.intake.ledger import Job, Ledger, MarkRow, Taken
from hub.organisations import Directory
from hub.relaying import receipts
from hub.signatories import signatory
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws, strict_json
from keys.errors import Fault
from keys.jws import Compact
from protocols import entries, envelope, epochs, mailbox_end, receipt, tracing
from protocols.delegation import MAILBOX
from protocols.receipt import Receipt

LOOK_AT = 1_000
"""Mailboxes looked at in one statement."""


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One position of a mailbox: a message with its receipt, or the mark of one that expired or was erased."""

    position: int
    message: str | UnsetType = UNSET
    receipt: Receipt | UnsetType = UNSET
    receipts: list[dict[str, Any]] | UnsetType = UNSET
    """Those of the hubs that it passed before, where there were any."""
    expired: bool | UnsetType = UNSET
    erased: bool | UnsetType = UNSET
    """Taken away by law or by time: what is left is its place, its receipt and its entries."""


class Page(msgspec.Struct, frozen=True):
    """A stretch of a mailbox: `next` is the cursor after it, `behind` what is left beyond that.

    `oldest` is when the first message beyond was accepted. `proof`, where asked for, is the hub's signed word where
    the mailbox ends (`protocols.mailbox_end`).
    """

    items: list[Item]
    next: int
    behind: int
    oldest: str | None
    proof: str | UnsetType = UNSET


class Acknowledgement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload of a signed acknowledgement (3-wire, HTTP API)."""

    hub: str
    recipient: str
    through: int
    digest: str
    time: Annotated[datetime, Meta(tz=True)]


@dataclass(frozen=True, slots=True)
class Fetch(Job):
    """The recipient presented the cursor `through`; what it was handed so far counts as fetched."""

    recipient: str
    through: int

    @property
    def recipients(self) -> Sequence[str]:
        """Whose counter it reads."""
        return (self.recipient,)

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter one `fetched` entry for the range, or nothing where there is none."""
        return fetch(ledger, self.recipient, self.through) or Taken(max(ledger.size - 1, 0), None, False)


def fetch(ledger: Ledger, recipient: str, through: int) -> Taken | None:
    """Enter that `recipient` was handed everything up to `through`, if that is news and true."""
    counter = ledger.counter(recipient)
    through = min(through, counter.handed)
    if through <= counter.fetched:
        return None
    first = counter.fetched + 1
    index = ledger.append(entries.Fetched(recipient, first, through, ledger.at))
    ledger.marks.append(MarkRow(recipient, "fetched", first, through, index))
    counter.fetched, counter.changed = through, True
    return Taken(index, None, True)


@dataclass(frozen=True, slots=True)
class Acknowledge(Job):
    """The recipient's signed word that it has everything up to `said.through`."""

    compact: Compact
    said: Acknowledgement

    @property
    def recipients(self) -> Sequence[str]:
        """Whose counter it reads."""
        return (self.said.recipient,)

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter `fetched` up to there, then `acknowledged`; what was acknowledged before is not entered again."""
        recipient, through = self.said.recipient, self.said.through
        try:
            verify_acknowledgement(self.compact, self.said, ledger.directory, ledger.now)
        except Fault as refusal:
            return refusal
        counter = ledger.counter(recipient)
        if through > counter.handed:
            return NotYetFetched(f"handed out so far: up to {counter.handed}")
        fetch(ledger, recipient, through)
        if through <= counter.acknowledged:
            return Taken(max(ledger.size - 1, 0), None, False)
        first = counter.acknowledged + 1
        word = self.compact.token.decode()
        index = ledger.append(entries.Acknowledged(recipient, first, through, ledger.at, word))
        ledger.marks.append(MarkRow(recipient, "acknowledged", first, through, index))
        counter.acknowledged, counter.changed = through, True
        return Taken(index, None, True)


def read_acknowledgement(token: bytes) -> tuple[Compact, Acknowledgement]:
    """Take a signed acknowledgement apart. Raises MalformedJWS, MalformedJSON, AcknowledgementInvalid."""
    compact = jws.decode(token, typ=envelope.ACK_TYP)
    try:
        said = msgspec.convert(strict_json.loads(compact.payload), Acknowledgement)
    except msgspec.ValidationError as error:
        raise AcknowledgementInvalid(str(error)) from error
    if said.through < 1:
        raise AcknowledgementInvalid("through starts at 1")
    return compact, said


def verify_acknowledgement(compact: Compact, said: Acknowledgement, directory: Directory, now: datetime) -> None:
    """Raise AcknowledgementInvalid or a fault of the key unless the recipient, or its gateway, signed it."""
    if directory.get(said.recipient) is None:
        raise AcknowledgementInvalid("the recipient is not known here")
    if (home := directory.home(said.recipient)) is not None and home != said.recipient:
        raise AcknowledgementInvalid(f"the recipient is of {home}, and signs there")
    signer = directory.organisations[directory.heir(said.recipient)]
    who = signatory(directory, signer, compact.header.kid, MAILBOX, now)
    jws.verify(compact, who.ring.verifying(compact.header.kid, now, who.algorithms), who.algorithms)


async def page(connection: Connection, recipient: str, after: int, limit: int) -> Page:
    """One page of the mailbox after the cursor; what it holds counts as handed out from now on."""
    counter = await connection.fetchrow(SQL["mailbox_counter"], recipient)
    last, handed = (counter["last"], counter["handed"]) if counter else (0, 0)
    rows = await connection.fetch(SQL["mailbox_page"], recipient, after, limit)
    live = [row for row in rows if not row["expired"]]
    keys = [row["case_id"] for row in live], [row["log_index"] for row in live], [r["accepted"] for r in live]
    bodies = {row["log_index"]: row["jws"] for row in await connection.fetch(SQL["messages"], *keys)}
    gone: set[int] = set()
    if len(bodies) < len(live):
        gone = {row["log_index"] for row in await connection.fetch(SQL["erased_among"], *keys)} - bodies.keys()
    live = [row for row in live if row["log_index"] not in gone]
    places = [log.Placed(row["log_index"], row["tree_size"]) for row in live]
    proven = await log.prove(connection, places) if places else []
    found = {place.index: (entries.decode(one.leaf), one.proof) for place, one in zip(places, proven, strict=True)}
    cases = {row["log_index"]: str(row["case_id"]) for row in live}
    others = await receipts.earlier(
        connection, [(cases[index], index) for index, (entry, _) in found.items() if receipts.passed_others(entry)]
    )
    items: list[Item] = []
    for row in rows:
        index = row["log_index"]
        if row["expired"]:
            items.append(Item(row["position"], expired=True))
            continue
        if index in gone:
            items.append(Item(row["position"], erased=True))
            continue
        if index not in bodies:
            break  # never past a row whose message can't be seen yet
        entry, proof = found[index]
        assert isinstance(entry, entries.Carried)
        given = receipt.build(entry, proof)
        items.append(Item(row["position"], bodies[index].decode(), given, others.get(index) or UNSET))
        tracing.begin("deliver", given.message, recipient=recipient).end("handed-out")
    following = items[-1].position if items else min(after, last)
    if items and following > handed:
        await connection.execute(SQL["hand_out"], recipient, following)
    oldest = await connection.fetchval(SQL["mailbox_oldest"], recipient, following)
    behind = await _behind(connection, recipient, following, last)
    return Page(items, following, behind, envelope.rfc3339(oldest) if oldest else None)


async def _behind(connection: Connection, recipient: str, following: int, last: int) -> int:
    """How many positions there are after the cursor; between two epochs there are numbers that none has."""
    if epochs.epoch(following) < epochs.epoch(last):
        found: int = await connection.fetchval(SQL["positions_after"], recipient, following)
        return found
    return max(last - following, 0)


async def sign_end(connection: Connection, identity: Identity, recipient: str, now: datetime) -> str:
    """The hub's signed word that nothing lies beyond the mailbox's last position in the tree of its checkpoint."""
    # The checkpoint is read first: what came in between makes the position larger, never the word untrue.
    head = await connection.fetchrow(SQL["head"])
    counter = await connection.fetchrow(SQL["mailbox_counter"], recipient)
    assert head is not None
    last = counter["last"] if counter else 0
    return mailbox_end.sign(recipient, last, head["note"], identity.key, now)


class Waiters:
    """Those who wait for their mailbox, each woken by the commit that holds something for it."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[asyncio.Event, int]] = {}
        self._ended = asyncio.Event()

    @property
    def closed(self) -> bool:
        """Whether the process stops, and nobody may wait any more."""
        return self._ended.is_set()

    def close(self) -> None:
        """Let everybody go, for good: the process stops."""
        self._ended.set()
        self.wake()

    async def pause(self, seconds: float) -> None:
        """Wait so long, or until the process stops."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def wake(self, recipients: Iterable[str] | None = None) -> None:
        """Wake those who wait for one of `recipients`; all where it is None."""
        for name in list(self._waiting) if recipients is None else recipients:
            for event in self._waiting.get(name, ()):
                event.set()

    @contextlib.contextmanager
    def listening(self, recipient: str, after: int) -> Iterator[asyncio.Event]:
        """An event that is set by what comes for `recipient` from now on."""
        event = asyncio.Event()
        self._waiting.setdefault(recipient, {})[event] = after
        metrics.POLLS.inc()
        try:
            yield event
        finally:
            metrics.POLLS.dec()
            del self._waiting[recipient][event]
            if not self._waiting[recipient]:
                del self._waiting[recipient]

    async def look(self, connection: Connection) -> None:
        """Wake those for whom something lies there already: where a notification was lost, this finds it."""
        names = list(self._waiting)
        for first in range(0, len(names), LOOK_AT):
            for row in await connection.fetch(SQL["counters"], names[first : first + LOOK_AT]):
                waiting = self._waiting.get(row["recipient"], {})
                if waiting and row["last"] > min(waiting.values()):
                    self.wake([row["recipient"]])
