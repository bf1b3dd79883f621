"""Receiving: pages of the mailbox, every item verified before anybody sees it, and the signed acknowledgement."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

import msgspec

from adapters.client import answers, messages
from adapters.client.answers import Acknowledged, MailboxItem, MailboxPage
from adapters.client.connection import JOSE, Call, Connection
from adapters.client.cursor import Cursor
from adapters.client.faults import CursorInvalid, DeliveryInvalid
from adapters.client.messages import Item, Page
from adapters.client.notary import Notary
from adapters.client.patience import FOR_EVER, Patience
from adapters.client.signatories import Signatories
from keys import jws
from keys.errors import Fault
from keys.jwk import SigningKey
from protocols import entries, envelope, receipt

MAX_PAGE = 500
MAX_WAIT = 30
MAX_ITEM = 3 << 20
"""Most bytes of one item of a page: a message of 1 MiB with its receipt."""
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

    async def page(self, after: int, limit: int, wait: int, patience: Patience | None = None) -> Page:
        """One page after the cursor. Raises Refused, Undecided, AnswerInvalid, and what `item` raises."""
        limit, wait = max(1, min(limit, MAX_PAGE)), max(0, min(wait, MAX_WAIT))
        query = {"after": str(after), "limit": str(limit), "wait": str(wait)}
        call = Call("GET", "/v1/mailbox", query, wait=wait, at_most=MAX_ITEM * limit)
        page = answers.read(await self.connection.call(call, patience), MailboxPage)
        positions = [item.position for item in page.items]
        if positions != list(range(after + 1, after + 1 + len(positions))):
            raise DeliveryInvalid(
                f"the positions after {after} are out of order or have a gap", positions=positions[:9]
            )
        if page.behind < 0 or page.next < 0 or (positions and page.next != positions[-1]):
            raise DeliveryInvalid("the page's cursor does not fit its items", next=page.next)
        items = [await self._verified(item) for item in page.items if not item.expired]
        return Page(items, page.next, page.behind, tuple(item.position for item in page.items if item.expired))

    async def _verified(self, raw: MailboxItem) -> Item:
        if raw.message is None or raw.receipt is None:
            raise DeliveryInvalid("a position holds neither a message with its receipt nor the mark of one expired")
        try:
            item = await self.item(raw.message.encode(), raw.receipt)
        except Fault as fault:
            raise messages.about(fault, raw.position) from None
        if item.position != raw.position:
            raise DeliveryInvalid(
                f"at position {raw.position} lies what the log has at {item.position or 'no position of ours'}",
                position=raw.position,
            )
        return item

    async def item(self, compact: bytes, document: dict[str, object] | bytes) -> Item:
        """A message with its receipt, both verified; the position is 0 for one's own.

        Raises DeliveryInvalid where it is for others, ReceiptInvalid, BadSignature, KeyUnknown, and what a
        malformed message raises.
        """
        decoded, event = messages.read(compact)
        if self.organisation not in (event.source, *event.recipients):
            raise DeliveryInvalid(f"the message is for {', '.join(event.recipients)}", id=event.id)
        if event.hub != self.notary.hub:
            raise DeliveryInvalid(f"the message is for the hub {event.hub[:80]}", id=event.id)
        given, accepted = await self.notary.receipt(document, compact, event)
        proven = given.log.index
        key = await self.signatories.key(event, decoded.header.kid, accepted.gateway, accepted.at, proven)
        messages.check_signature(decoded, key, accepted.at)
        position = accepted.recipients.get(self.organisation, 0)
        return Item(position, compact, event, given, accepted.gateway)

    async def message(self, source: str, id: str) -> Item:
        """A message of the past that this organisation sent or received."""
        path = f"/v1/messages/{quote(source, safe='')}/{quote(id, safe='')}"
        compact = await self.connection.call(Call("GET", path, expects=JOSE))
        return await self.item(compact, await self.connection.call(Call("GET", f"{path}/receipt")))

    async def follow(self, after: int | Cursor, limit: int, wait: int) -> AsyncGenerator[Item, None]:
        """Every message after the cursor, for ever; see `Client.follow`."""
        cursor = after if isinstance(after, Cursor) else None
        position = after.load(self.notary.hub, self.organisation) if isinstance(after, Cursor) else after
        clock = asyncio.get_running_loop().time
        while True:
            asked = clock()
            page = await self.page(position, limit, wait, FOR_EVER)
            if page.next < position:
                raise CursorInvalid(f"the mailbox ends at {page.next}, before the cursor, {position}: another hub?")
            for item in page.items:
                yield item
                position = self._done(cursor, item.position)
            if page.next > position:
                position = self._done(cursor, page.next)
            if not (page.items or page.expired):
                await asyncio.sleep(max(0.0, min(IDLE, wait) - (clock() - asked)))

    def _done(self, cursor: Cursor | None, position: int) -> int:
        if cursor is not None:
            cursor.save(self.notary.hub, self.organisation, position)
        return position

    async def acknowledge(self, item: Item) -> Acknowledged:
        """Sign for everything up to and including `item`; the answer's log entry is verified."""
        said = {
            "hub": self.notary.hub,
            "recipient": self.organisation,
            "through": item.position,
            "digest": receipt.digest(item.compact),
            "time": envelope.rfc3339(datetime.now(UTC)),
        }
        compact = jws.sign(msgspec.json.encode(said), self.signing, typ=envelope.ACK_TYP)
        call = Call("POST", "/v1/mailbox/acknowledge", body=compact, media=JOSE[0], token=False)
        taken = answers.read(await self.connection.call(call), Acknowledged)
        if (taken.recipient, taken.through) != (self.organisation, item.position):
            raise DeliveryInvalid("the hub acknowledged something else than it was asked to")
        if taken.log is not None:
            entry = (await self.notary.entry(taken.log)).entry
            signed = isinstance(entry, entries.Acknowledged) and entry.jws == compact.decode()
            if not signed:
                raise DeliveryInvalid("the log holds another acknowledgement than the one signed")
        return taken
