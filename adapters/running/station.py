"""An adapter at work: what comes down is handed to the partner, what comes up is signed and sent, each once.

Down: a page of the mailbox, each item delivered, then the cursor kept, then the page signed for; a crash in between
delivers again, under the same id. What does not stand up to its check is asked for again, for long. Up: an offer is
kept, signed, kept with its bytes, sent, kept with its receipt, told.
A side that can't be reached is left alone for longer and longer; the other way goes on meanwhile.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import msgspec
import structlog

from adapters.client import AnswerInvalid, Client, Draft, Item, Refused, Sent, Undecided
from adapters.running import dead_letters
from adapters.running.dead_letters import DeadLetter, DeadLetters
from adapters.running.partner import Delivery, Offer, Outcome, Partner, PartnerRejected, PartnerUnreachable, Wanted
from adapters.running.store import Kept, Store
from keys.errors import BadSeal, Fault
from protocols import tracing
from protocols.envelope import new_id
from protocols.receipt import Receipt

logger = structlog.get_logger()
PAGE: Final = 50
WAIT: Final = 20
BEAT: Final = 2.0
"""Seconds between two signs of life, and between two looks at a way that waits."""
DOUBTS: Final = 12
DOUBTED_FOR: Final = 1800.0
"""How often, and for how many seconds, what does not stand up to its check is asked for before it is passed over."""


class Station:
    """One adapter between its hub and its partner. `connect` makes a client for each organisation it speaks for."""

    def __init__(
        self, store: Store, partner: Partner, organisations: Mapping[str, Callable[[], Client]], every: float
    ) -> None:
        self._store, self._partner, self._connect, self._every = store, partner, organisations, every
        self.dead = DeadLetters(store.folder / "dead")
        self._offered = asyncio.Event()

    async def run(self) -> None:
        """Work until cancelled."""
        self._store.note("started", time.time())
        try:
            await self._work()
        finally:
            self._store.note("alive", 0)

    async def _work(self) -> None:
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            await stack.enter_async_context(self._partner)
            for organisation in self._connect:
                tasks.create_task(self._trying(f"down/{organisation}", partial(self._down, organisation)))
            tasks.create_task(self._trying("up/partner", self._collect))
            tasks.create_task(self._trying("up/hub", self._send))
            tasks.create_task(self._trying("up/settle", self._settle))
            tasks.create_task(self._beat())

    def offer(self, offer: Offer) -> bool:
        """Take what a partner sent by itself; False where it is known already. It is kept when this returns."""
        fresh = self._store.take([offer])
        self.heard()
        self._offered.set()
        return bool(fresh)

    def heard(self) -> None:
        """The partner spoke: it is there, whatever failed before."""
        for one in self._store.waiting():
            if not one.way.startswith("up/hub"):
                self._store.succeeded(one.way)

    async def _beat(self) -> None:
        while True:
            self._store.note("alive", time.time())
            await asyncio.sleep(BEAT)

    async def _trying(self, way: str, work: Callable[[], Awaitable[float]]) -> None:
        """Do one way's work again and again, after the seconds it asks for; a failure is kept, and waited out."""
        while True:
            while (left := self._store.until(way) - time.time()) > 0:
                await asyncio.sleep(min(left, BEAT))
            pause = 0.0
            try:
                pause = await work()
                self._store.succeeded(way)
            except Fault as fault:
                self._wait(way, fault.code, fault.detail, fault.data.get("after") or fault.data.get("retry_after"))
            except Exception as error:
                logger.exception("adapter-failed", way=way)
                self._wait(way, type(error).__name__, f"{type(error).__name__}: {error}")
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # a partner's library kept it to itself
            if pause:
                await self._pausing(pause)

    def _wait(self, way: str, code: str, why: str, asked: object = None) -> None:
        seconds = self._store.failed(way, why, float(asked) if isinstance(asked, int | float) else None)
        logger.warning("adapter-waits", way=way, seconds=round(seconds, 1), why=code)

    async def _pausing(self, seconds: float) -> None:
        self._offered.clear()
        try:
            await asyncio.wait_for(self._offered.wait(), seconds)
        except TimeoutError:
            return

    # Down -------------------------------------------------------------------------------------------------

    async def _down(self, organisation: str) -> float:
        async with self._connect[organisation]() as client:
            await self._again(organisation, client)
            name = f"cursor/{organisation}"
            cursor = await self._partner.position(organisation, int(self._store.noted(name) or 0))
            page, fault = await client.poll_past(cursor, limit=PAGE, wait=WAIT)
            self._store.note(f"behind/{organisation}", page.behind + len(page.items))
            if fault is not None:
                self._doubt(organisation, page.next, fault)
            for item in page.items:
                await self._deliver(organisation, client, item)
                self._store.note(name, item.position)
                self._store.note(f"behind/{organisation}", page.behind + page.next - item.position)
            if page.next != cursor:
                self._store.note(name, page.next)
            if page.items:
                await client.acknowledge(page.items[-1])
        return 0.0

    def _doubt(self, organisation: str, position: int, fault: Fault) -> None:
        """Raise the fault: what was altered on its way comes as it is the next time. What stays so is buried, late."""
        name = f"doubted/{organisation}"
        known, since, times = self._store.noted(name) or (position, time.time(), 0)
        if known != position:
            since, times = time.time(), 0
        self._store.note(name, (position, since, times + 1))
        if self._partner.in_order or times + 1 < DOUBTS or time.time() - since < DOUBTED_FOR:
            raise fault
        self._buried(organisation, None, fault.detail, position)

    async def _deliver(self, organisation: str, client: Client, item: Item) -> None:
        content, why = None, None
        try:
            content = client.unseal(item)
        except BadSeal as fault:
            why = None if fault.data.get("check") == "absent" else fault.detail
        try:
            with tracing.within("deliver", item.event.id, recipient=organisation):
                await self._partner.deliver(Delivery(organisation, item, content, why))
        except PartnerRejected as rejected:
            if self._partner.in_order:
                raise
            self._buried(organisation, item, rejected.detail, item.position)

    async def _again(self, organisation: str, client: Client) -> None:
        for whose, source, id in self._store.wanted_again():
            if whose == organisation:
                await self._deliver(organisation, client, await client.message(source, id))
                self._store.done_again(whose, source, id)

    def _buried(self, organisation: str, item: Item | None, why: str, position: int) -> None:
        event = item.event if item is not None else None
        self.dead.put(DeadLetter(
            way="down", reason=why, at=dead_letters.now(), organisation=organisation, position=position,
            source=event.source if event else None, id=event.id if event else None, type=event.type if event else None,
            case=event.subject if event else None, message=item.compact.decode() if item is not None else None,
        ))  # fmt: skip
        logger.warning("adapter-dead-letter", way="down", organisation=organisation, position=position)

    # Up ---------------------------------------------------------------------------------------------------

    async def _collect(self) -> float:
        cursor = self._store.noted("cursor/partner")
        found = await self._partner.collect(cursor)
        self._store.take(found.offers, found.cursor)
        if found.offers:
            self._offered.set()
        return 0.0 if found.more else self._every

    async def _send(self) -> float:
        open_ = self._store.offers("new", "signed")
        clients: dict[str, Client] = {}
        async with AsyncExitStack() as stack:
            for kept in open_:
                await self._sent(kept, clients, stack)
        return 0.0 if open_ else min(self._every, 1.0)

    async def _sent(self, kept: Kept, clients: dict[str, Client], stack: AsyncExitStack) -> None:
        offer = kept.offer if kept.offer.problem is None else self._partner.reconsider(kept.offer)
        try:
            if offer.problem is not None:
                raise PartnerRejected(offer.problem)
            source = self._source(offer)
            if source not in clients:
                clients[source] = await stack.enter_async_context(self._connect[source]())
            sent = await self._said(clients[source], offer, kept.compact)
        except (Undecided, PartnerUnreachable, AnswerInvalid):
            raise
        except Fault as fault:
            self._refused(offer, fault)
            return
        self._store.signed(offer.key, sent.id, sent.compact)
        self._store.decided(offer.key, {"case": sent.case, "receipt": msgspec.to_builtins(sent.receipt)}, None)

    async def _said(self, client: Client, offer: Offer, known: bytes | None) -> Sent:
        """Send the bytes that were kept, or that the partner signed, or new ones; new ones too where keys changed."""
        try:
            return await client.resend(known or offer.compact or await self._signed(client, offer))
        except Refused as refusal:
            if offer.compact is not None or not refusal.resealable:
                raise
        client.forget_keys()
        return await client.resend(await self._signed(client, offer))

    async def _signed(self, client: Client, offer: Offer) -> bytes:
        """The bytes to be sent for an offer, kept before anybody has them."""
        draft = await _prepared(client, offer)
        self._store.signed(offer.key, draft.id, draft.compact)
        return draft.compact

    def _refused(self, offer: Offer, fault: Fault) -> None:
        self._store.decided(offer.key, None, fault.detail)
        self.dead.put(DeadLetter(way="up", reason=fault.detail, at=dead_letters.now(), offer=offer))
        logger.warning("adapter-dead-letter", way="up", key=offer.key, why=fault.code)

    def _source(self, offer: Offer) -> str:
        source = offer.wanted.source if offer.wanted is not None else next(iter(self._connect))
        if source not in self._connect:
            raise PartnerRejected(f"this adapter does not speak for {source[:60]}")
        return source

    async def _settle(self) -> float:
        for kept in self._store.offers("taken", "refused"):
            with contextlib.suppress(PartnerRejected):  # what it says to a receipt changes nothing
                await self._partner.settle(kept.offer, _outcome(kept))
            self._store.settled(kept.offer.key)
        return min(self._every, 1.0)


async def _prepared(client: Client, offer: Offer) -> Draft:
    wanted = offer.wanted
    if wanted is None:
        raise PartnerRejected("the offer holds no message")
    if wanted.case is not None and not wanted.to:
        _, _, message = wanted.type.partition(".")
        return await client.prepare_reply(wanted.case, message, wanted.data, wanted.content,
                                          causationid=wanted.causationid, check=True)  # fmt: skip
    return await _opening(client, wanted)


async def _opening(client: Client, wanted: Wanted) -> Draft:
    case = wanted.case or new_id()
    return await client.prepare(
        wanted.type, case, wanted.to, wanted.data, wanted.content, wanted.causationid, check=True
    )


def _outcome(kept: Kept) -> Outcome:
    if kept.receipt is None:
        return Outcome(kept.id, None, None, kept.problem or "refused")
    return Outcome(kept.id, kept.receipt["case"], msgspec.convert(kept.receipt["receipt"], Receipt))
