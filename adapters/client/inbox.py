"""Receiving: pages of the mailbox, every item verified before anybody sees it, and the signed acknowledgement."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import msgspec

from adapters.client import answers, messages
from adapters.client.answers import Acknowledged, MailboxItem, MailboxPage
from adapters.client.connection import JOSE, Call, Connection
from adapters.client.cursor import Cursor
from adapters.client.faults import AnswerInvalid, ClientClosed, CursorInvalid, DeliveryInvalid, Refused, Undecided
from adapters.client.messages import Item, Page
from adapters.client.notary import Notary
from adapters.client.passage import Passage
from adapters.client.patience import FOR_EVER, Patience
from adapters.client.signatories import Signatories
from keys import jws
from keys.errors import Fault
from keys.jwk import SigningKey
from protocols import entries, envelope, epochs, receipt
from protocols.departments import is_hub
from protocols.mailbox_end import MailboxEnd

MAX_PAGE = 500
MAX_WAIT = 30
MAX_ITEM = 3 << 20
"""Most bytes of one item of a page: a message of 1 MiB with its receipt."""
FRESH = timedelta(minutes=5)
"""How far the time of a word that was asked for now may be from now; 3-wire lets clocks differ as much."""
TRANSIENT = (Undecided, AnswerInvalid, Refused, ClientClosed)
"""What is no fault of an item: the hub could not be asked, or did not say, what the item is judged by."""
IDLE = 1.0
"""Seconds a follower waits at least for a page with nothing in it, even of a hub that does not make it wait."""


@dataclass(frozen=True, slots=True)
class Inbox:
    """One organisation's mailbox at one hub."""

    organisation: str
    signing: SigningKey
    connection: Connection
    notary: Notary
    signatories: Signatories

    @property
    def passage(self) -> Passage:
        """What checks the receipts of other hubs."""
        return Passage(self.notary, self.signatories.directory)

    async def page(
        self,
        after: int,
        limit: int,
        wait: int,
        of: str | None = None,
        prove_end: bool = False,
        patience: Patience | None = None,
    ) -> Page:
        """One page after the cursor. Raises Refused, Undecided, AnswerInvalid, and what `item` raises."""
        limit, wait = max(1, min(limit, MAX_PAGE)), max(0, min(wait, MAX_WAIT))
        query = {"after": str(after), "limit": str(limit), "wait": str(wait)}
        query |= ({"of": of} if of else {}) | ({"proof": "1"} if prove_end else {})
        call = Call("GET", "/v1/mailbox", query, wait=wait, at_most=MAX_ITEM * limit)
        page = answers.read(await self.connection.call(call, patience), MailboxPage)
        positions = [item.position for item in page.items]
        if not epochs.in_order(positions, after):
            raise DeliveryInvalid(
                f"the positions after {after} are out of order or have a gap", positions=positions[:9]
            )
        moved = positions[-1] if positions else min(page.next, after)
        if page.behind < 0 or page.next < 0 or page.next != moved:
            raise DeliveryInvalid("the page's cursor does not fit its items", next=page.next)
        mailbox = of or self.organisation
        items = []
        for number, raw in enumerate(page.items):
            try:
                items += [] if raw.expired or raw.erased else [await self._verified(raw, mailbox)]
            except Fault as fault:
                fault.data["before"] = number
                raise
        if positions and epochs.epoch(positions[-1]) > self.notary.lineage.epoch:
            raise DeliveryInvalid("the hub leaves out positions as if it had been set back", positions=positions[-1:])
        expired = tuple(item.position for item in page.items if item.expired)
        erased = tuple(item.position for item in page.items if item.erased)
        end = await self._end(page, mailbox) if prove_end else None
        return Page(items, page.next, page.behind, expired, end, erased)

    async def _end(self, page: MailboxPage, mailbox: str) -> MailboxEnd:
        if page.proof is None:
            raise DeliveryInvalid("the hub does not sign where the mailbox ends")
        end = await self.notary.mailbox_end(page.proof)
        if end.recipient != mailbox or end.position < page.next + page.behind:
            raise DeliveryInvalid(f"the hub signed the end of {end.recipient} at {end.position}, and hands out more")
        if abs(datetime.now(UTC) - end.at) > FRESH:
            raise DeliveryInvalid(f"the hub signed the end of the mailbox at {envelope.rfc3339(end.at)}, not now")
        return end

    async def _verified(self, raw: MailboxItem, mailbox: str) -> Item:
        if raw.message is None or raw.receipt is None:
            raise DeliveryInvalid("a position holds neither a message with its receipt nor the mark of one expired")
        try:
            item = await self.item(raw.message.encode(), raw.receipt, mailbox, raw.receipts)
        except TRANSIENT:
            raise
        except Fault as fault:
            raise messages.about(fault, raw.position) from None
        if item.position != raw.position:
            raise DeliveryInvalid(
                f"at position {raw.position} lies what the log has at {item.position or 'no position of ours'}",
                position=raw.position,
            )
        return item

    async def item(
        self,
        compact: bytes,
        document: dict[str, object] | bytes,
        mailbox: str | None = None,
        earlier: Sequence[dict[str, Any]] = (),
    ) -> Item:
        """A message with its receipt, both verified; the position is 0 where it comes from no mailbox.

        `earlier` are the receipts of the hubs that it passed before, each verified with that hub's keys.
        Raises DeliveryInvalid where it is for others than whose mailbox it lies in, ReceiptInvalid, BadSignature,
        KeyUnknown, and what a malformed message raises.
        """
        decoded, event = messages.read(compact)
        for_hub = mailbox is not None and is_hub(mailbox)
        given, entry = await self.notary.receipt(document, compact, event, for_hub=for_hub)
        if mailbox is not None and mailbox not in (*event.recipients, *(entry.via or {})):
            raise DeliveryInvalid(f"the message is for {', '.join(event.recipients)}", id=event.id)
        passed = await self.passage.check(event, compact, entry, earlier)
        gateway = getattr(entry, "gateway", None)
        if passed.own:
            key = await self.signatories.key(event, decoded.header.kid, gateway, entry.at, given.log.index)
        else:
            key = await self.signatories.directory.signer(gateway or event.source, decoded.header.kid)
        messages.check_signature(decoded, key, passed.at)
        positions = {**(entry.via or {}), **getattr(entry, "recipients", {})}
        position = positions.get(mailbox, 0) if mailbox else 0
        return Item(position, compact, event, given, gateway, mailbox, passed.receipts)

    async def message(self, source: str, id: str) -> Item:
        """A message of the past. Raises DeliveryInvalid where another is handed out, and what `item` raises."""
        path = f"/v1/messages/{quote(source, safe='')}/{quote(id, safe='')}"
        compact = await self.connection.call(Call("GET", path, expects=JOSE))
        document = await self.connection.call(Call("GET", f"{path}/receipt"))
        item = await self.item(compact, document, earlier=await self._earlier(compact, document, path))
        if (item.event.source, item.event.id) != (source, id):
            raise DeliveryInvalid(f"the hub handed out another message than {id[:80]}", id=item.event.id)
        return item

    async def _earlier(self, compact: bytes, document: bytes, path: str) -> list[dict[str, Any]]:
        """The receipts of other hubs, asked for where this one's says that there are any."""
        _, event = messages.read(compact)
        _, entry = await self.notary.receipt(document, compact, event)
        if event.hub == self.notary.hub and not (isinstance(entry, entries.Accepted) and entry.first):
            return []
        return answers.read(await self.connection.call(Call("GET", f"{path}/receipts")), answers.Receipts).earlier

    async def follow(self, after: int | Cursor, limit: int, wait: int) -> AsyncGenerator[Item, None]:
        """Every message after the cursor, for ever; see `Client.follow`."""
        cursor = after if isinstance(after, Cursor) else None
        position = after.load(self.notary.hub, self.organisation) if isinstance(after, Cursor) else after
        clock = asyncio.get_running_loop().time
        while True:
            asked = clock()
            page = await self.page(position, limit, wait, patience=FOR_EVER)
            if page.next < position:
                raise CursorInvalid(f"the mailbox ends at {page.next}, before the cursor, {position}: another hub?")
            for item in page.items:
                if cursor is None or not cursor.had(item.position, item.event.source, item.event.id):
                    yield item
                position = self._done(cursor, item.position, item)
            if page.next > position:
                position = self._done(cursor, page.next)
            if not (page.items or page.expired):
                await asyncio.sleep(max(0.0, min(IDLE, wait) - (clock() - asked)))

    def _done(self, cursor: Cursor | None, position: int, item: Item | None = None) -> int:
        if cursor is not None and item is not None:
            cursor.remember(position, item.event.source, item.event.id)
        if cursor is not None:
            cursor.save(self.notary.hub, self.organisation, position)
        return position

    async def acknowledge(self, item: Item) -> Acknowledged:
        """Sign for everything up to and including `item`, in the mailbox it lies in; the log entry is verified."""
        recipient = item.mailbox or self.organisation
        said = {
            "hub": self.notary.hub,
            "recipient": recipient,
            "through": item.position,
            "digest": receipt.digest(item.compact),
            "time": envelope.rfc3339(datetime.now(UTC)),
        }
        compact = jws.sign(msgspec.json.encode(said), self.signing, typ=envelope.ACK_TYP)
        call = Call("POST", "/v1/mailbox/acknowledge", body=compact, media=JOSE[0], token=False)
        taken = answers.read(await self.connection.call(call), Acknowledged)
        if (taken.recipient, taken.through) != (recipient, item.position):
            raise DeliveryInvalid("the hub acknowledged something else than it was asked to")
        if taken.log is not None:
            entry = (await self.notary.entry(taken.log)).entry
            signed = isinstance(entry, entries.Acknowledged) and entry.jws == compact.decode()
            if not signed:
                raise DeliveryInvalid("the log holds another acknowledgement than the one signed")
        return taken
