"""The adapter: each message and notice of the hub onto the bus, in order; what systems want, up to the hub."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import structlog

from adapters.bus import events, wanted
from adapters.bus.events import Event, Place
from adapters.bus.port import Bus
from adapters.bus.settings import Settings
from adapters.client import Client, Refused
from adapters.running.configuration import Section
from adapters.running.partner import Collected, Delivery, Offer, Outcome, Own, Partner
from keys.jwk import DecryptionKey

logger = structlog.get_logger()
WAIT: Final = 1.0
"""Seconds that one look at what systems want takes."""
PAGE: Final = 50


class BusPartner(Partner):
    """A bus as the far side of an adapter."""

    def __init__(
        self, bus: Bus, offer: Callable[[Offer], bool], section: Section, known: Settings, place: Place,
        keys: Sequence[DecryptionKey],
    ) -> None:  # fmt: skip
        self._bus, self._offer, self._known, self._place, self._keys = bus, offer, known, place, keys
        self._every = section.common.every
        self._connect: Mapping[str, Callable[[], Client]] = {}
        self._clients: dict[str, Client] = {}
        self._open, self._opening = AsyncExitStack(), asyncio.Lock()
        self._sure: set[str] = set()
        """Of which rows of events the last is surely noted: of others it may be on the bus, and not noted here."""
        self._looked = 0.0

    def meet(self, own: Own) -> None:
        """Cases and notices are asked for as these organisations."""
        self._connect = own.clients

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bus.close()
        await self._open.aclose()

    # Down ---------------------------------------------------------------------------------------------------

    async def deliver(self, delivery: Delivery) -> None:
        """Publish the event of a message. What of it was opened, if anything, is not looked at."""
        organisation, item = delivery.organisation, delivery.item
        client = await self._client(organisation)
        case: dict[str, Any] | None = None
        with contextlib.suppress(Refused):  # whoever may not see the case any more still has the message
            case = await client.case(item.event.subject)
        jws = self._known.with_message
        event = events.message(self._place, client.hub, client.url, organisation, item, case, jws)
        if jws and len(event.body) > self._bus.largest:
            event = event.without("jws")
        await self._publish(f"messages/{organisation}", event)

    async def settle(self, offer: Offer, outcome: Outcome) -> None:
        """Publish what became of what a system wanted."""
        raw = offer.raw if isinstance(offer.raw, dict) else {}
        organisation = str(raw.get("organisation") or next(iter(self._connect)))
        at = outcome.receipt.accepted if outcome.receipt is not None else None
        await self._publish("results", events.result(self._place, organisation, offer, outcome, at))

    async def _publish(self, row: str, event: Event) -> None:
        """Publish an event, unless a crash came between an earlier time and its being noted."""
        noted = row in self._sure
        self._sure.discard(row)
        if noted or await self._bus.last(event.subject) != event.id:
            await self._bus.publish(event.subject, event.body, event.id)
        self._sure.add(row)

    # Up -----------------------------------------------------------------------------------------------------

    async def collect(self, cursor: str | None) -> Collected:
        """Hand in what systems want, and publish what the hub tells of deadlines since the cursor."""
        waits = self._known.wanted is not None  # at the bus itself, for as long as a look takes
        if waits:
            await self._take()
        now = time.monotonic()
        if not self._known.notices or now - self._looked < self._every:
            return Collected((), None, waits)
        told: dict[str, int] = json.loads(cursor) if cursor else {}
        full = False
        for organisation in self._connect:
            after = told.get(organisation, 0)
            told[organisation], more = await self._notices(organisation, after)
            full = full or more
        if not full:
            self._looked = now
        return Collected((), json.dumps(told), full or waits)

    async def _take(self) -> None:
        for one in await self._bus.fetch(min(WAIT, self._every)):
            offer = wanted.offer(one.body, one.organisation, one.number, self._keys)
            self._offer(offer)  # on disk when this returns
            await one.done(offer.problem is None)

    async def _notices(self, organisation: str, after: int) -> tuple[int, bool]:
        """Publish a page of notices; how far that is, and whether there may be more."""
        client = await self._client(organisation)
        try:
            page = await client.notices(after, PAGE)
        except Refused as refused:
            logger.warning("bus-no-notices", organisation=organisation, why=refused.reason)
            return after, False
        for told in page.items:
            await self._publish(f"notices/{organisation}", events.notice(self._place, client.hub, organisation, told))
        return page.next, len(page.items) == PAGE

    async def _client(self, organisation: str) -> Client:
        """A client that stays open. Raises Undecided."""
        async with self._opening:
            if organisation not in self._clients:
                made = self._connect[organisation]()
                self._clients[organisation] = await self._open.enter_async_context(made)
            return self._clients[organisation]
