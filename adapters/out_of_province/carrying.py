"""Each message of the neighbour's list handed to this hub in order, once; this hub itself knows how far it came."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final

import msgspec

from adapters.client import Client, Item, Refused, Undecided
from adapters.client.connection import JSON, Call, Connection
from adapters.client.patience import Patience
from adapters.out_of_province.learning import Lessons
from adapters.running.configuration import AdapterConfigInvalid
from adapters.running.partner import Collected, Delivery, Own, Partner, PartnerUnreachable
from keys import jwt
from protocols.departments import is_hub

UNKNOWN: Final = frozenset({"key-unknown", "sender-unknown", "key-not-valid", "organisation-elsewhere"})
"""Refusals that learning what is new in the neighbour's log may end."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The adapter's own part of its section; `hub` there is the neighbour's address."""

    home: str
    """The address of this hub."""
    rate: float = 100.0
    """Messages handed over in a second, at most: catching up leaves room for everybody else."""


class Carrier(Partner):
    """This hub, as the neighbour's partner."""

    in_order = True

    def __init__(self, organisations: Sequence[str], settings: Settings) -> None:
        """Raises AdapterConfigInvalid."""
        if len(organisations) != 1 or not is_hub(organisations[0]):
            raise AdapterConfigInvalid("organisation is this hub's own id, e.g. 410000-hub")
        if not 0.1 <= settings.rate <= 100_000:
            raise AdapterConfigInvalid("rate is 0.1 to 100000 messages a second")
        self.id, self._settings = organisations[0], settings
        self._own: Own | None = None
        self._home = Connection(settings.home, Patience(within=5), self._token)
        self._lessons: Lessons | None = None
        self._next = 0.0

    def meet(self, own: Own) -> None:
        """Told who stands on this side."""
        self._own = own

    async def __aenter__(self) -> "Carrier":
        await self._home.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._home.__aexit__(kind, error, trace)

    def _token(self) -> str | None:
        assert self._own is not None
        return jwt.bearer(self.id, self.id, self._own.signing, datetime.now(UTC))

    def _neighbour(self) -> Client:
        assert self._own is not None
        return self._own.clients[self.id]()

    async def position(self, organisation: str, kept: int) -> int:
        """This hub knows itself how far it took the neighbour's list."""
        try:
            async with self._neighbour() as client:
                return (await self._learning().standing(client.hub)).taken
        except Refused as refusal:
            raise PartnerUnreachable(f"this hub: {refusal.detail}") from None

    async def deliver(self, delivery: Delivery) -> None:
        """Hand a message to this hub with its receipts. Raises PartnerUnreachable: it waits, and all behind it."""
        await self._pace()
        try:
            index = delivery.item.receipt.log.index
            if not self._learning().reached(index):
                async with self._neighbour() as client:
                    await self._learning().through(client, index)
            await self._hand_over(delivery.item)
        except Refused as refusal:
            if refusal.reason not in (*UNKNOWN, "case-unknown"):
                raise PartnerUnreachable(f"{refusal.reason}: {refusal.detail}") from None
            await self._again(delivery.item, refusal)

    async def _again(self, item: Item, refusal: Refused) -> None:
        """Bring what this hub lacks, then try once more."""
        async with self._neighbour() as client:
            try:
                if refusal.reason == "case-unknown":
                    await self._history(client, item)
                else:
                    await self._learning().all(client)
                await self._hand_over(item)
            except Refused as still:
                raise PartnerUnreachable(f"{still.reason}: {still.detail}") from None

    async def _history(self, client: Client, item: Item) -> None:
        """What was said in a case before an organisation of this hub came into it."""
        await self._learning().all(client)
        view = await client.case(item.event.subject, purpose="own-case")
        for step in view["timeline"]:
            if step["log_index"] < item.receipt.log.index:
                await self._hand_over(await client.message(step["source"], step["id"]))

    async def _hand_over(self, item: Item) -> None:
        given = [msgspec.to_builtins(one) for one in (*item.receipts, item.receipt)]
        theirs = [one for one in given if f"/{self.id}/" not in one["log"]["origin"]]
        body = msgspec.json.encode({"message": item.compact.decode(), "receipts": theirs})
        await self._call(Call("POST", "/v1/relay", body=body, media=JSON[0], token=False))

    async def _call(self, call: Call) -> bytes:
        try:
            return await self._home.call(call)
        except Undecided as fault:
            raise PartnerUnreachable(f"this hub: {fault.detail}", **_asked(fault.data)) from None

    async def collect(self, cursor: str | None) -> Collected:
        """Nothing goes up this way; what the neighbour's log says to this hub is learned here, a page at a time."""
        async with self._neighbour() as client:
            try:
                return Collected((), cursor, await self._learning().page(client))
            except Refused as refusal:
                raise PartnerUnreachable(f"{refusal.reason}: {refusal.detail}") from None

    def _learning(self) -> Lessons:
        if self._lessons is None:
            self._lessons = Lessons(self.id, self._home)
        return self._lessons

    async def _pace(self) -> None:
        clock = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._next - clock()))
        self._next = clock() + 1 / self._settings.rate


def _asked(data: dict[str, Any]) -> dict[str, Any]:
    after = data.get("retry_after")
    return {} if after is None else {"after": after}
