"""A message that passed other hubs: each receipt verified with that hub's keys, and held against this hub's word."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.client.directory import Directory
from adapters.client.faults import DeliveryInvalid
from adapters.client.notary import Notary, check
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import receipt
from protocols.between_hubs import Marked, Relayed, Returned, There
from protocols.entries import Accepted, Acknowledged, Carried, DueChanged, Entry, Fetched
from protocols.envelope import Event
from protocols.receipt import LogProof, Receipt


@dataclass(frozen=True, slots=True)
class Passed:
    """When the first hub took the message from its sender, by whose key of then it is judged.

    `own` is whether that was the hub at hand; `receipts` are those of other hubs.
    """

    at: str
    own: bool
    receipts: tuple[Receipt, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage:
    """Checks what one hub hands out that came through others; their keys are those of the directory."""

    notary: Notary
    directory: Directory

    async def check(self, event: Event, compact: bytes, entry: Carried, documents: Sequence[dict[str, Any]]) -> Passed:
        """What the receipts of other hubs prove of a message. Raises DeliveryInvalid, ReceiptInvalid."""
        named = {} if isinstance(entry, Relayed | Returned) and entry.there is None else _named(entry, self.notary.hub)
        if not named:
            return Passed(entry.at, own=True)
        found: dict[str, Receipt] = {}
        for document in documents:
            given = receipt.parse(document)
            hub = next((name for name in named if f"/{name}/" in given.log.origin), None)
            if hub is None:
                continue
            await self._require(given, event, compact, named[hub])
            found[hub] = given
        if missing := [hub for hub in named if hub not in found]:
            raise DeliveryInvalid(f"the receipt of {', '.join(missing)} is missing", id=event.id)
        return Passed(*self._first(entry), tuple(found.values()))

    def _first(self, entry: Carried) -> tuple[str, bool]:
        first = entry.first or (entry.there if isinstance(entry, Relayed) else None)
        return (first.at, first.hub == self.notary.hub) if first is not None else (entry.at, True)

    async def _require(self, given: Receipt, event: Event, compact: bytes, there: There) -> None:
        keys = await self._keys(there.hub)
        proven = receipt.verify(given, keys, compact=compact, kinds=(Accepted, Relayed, Returned))
        other = proven.entry
        assert isinstance(other, Carried)
        check(other, event)
        if (proven.index, other.at) != (there.index, there.at):
            raise DeliveryInvalid(f"{there.hub} entered it otherwise than this hub says", id=event.id)
        if there.hub == event.hub and isinstance(other, Relayed):
            raise DeliveryInvalid(f"{there.hub}, the case's home, did not take it", id=event.id)

    async def check_there(self, entry: Entry, log: LogProof | None) -> None:
        """Hold an entry that repeats another hub's word against that word. Raises DeliveryInvalid, ReceiptInvalid."""
        there = entry.there if isinstance(entry, Marked | DueChanged) else None
        if there is None:
            return
        if log is None:
            raise DeliveryInvalid(f"the proof of {there.hub}'s entry {there.index} is missing")
        proven = receipt.verify_log(log, await self._keys(there.hub))
        if (proven.index, proven.entry.at) != (there.index, there.at) or not _same(entry, proven.entry):
            raise DeliveryInvalid(f"{there.hub}'s entry {there.index} says something else")

    async def _keys(self, hub: str) -> list[VerifyingKey]:
        """The other hub's keys, as this hub's directory has them. Raises DeliveryInvalid."""
        try:
            return await self.directory.signers(hub)
        except Fault as fault:
            raise DeliveryInvalid(f"the keys of {hub} are not known: {fault.detail}") from None


def _named(entry: Carried, hub: str) -> dict[str, There]:
    """The entries of other hubs that one names, by hub."""
    places = [entry.first, entry.there if isinstance(entry, Relayed | Returned) else None]
    return {place.hub: place for place in places if place is not None and place.hub != hub}


def _same(entry: Entry, other: Entry) -> bool:
    """Whether the entry repeats what the other says."""
    if isinstance(entry, DueChanged):
        return isinstance(other, DueChanged) and (other.subject, other.due) == (entry.subject, entry.due)
    if isinstance(entry, Marked) and entry.mark == "acknowledged":
        return isinstance(other, Acknowledged) and (other.recipient, other.jws) == (entry.recipient, entry.jws)
    return isinstance(entry, Marked) and isinstance(other, Fetched) and other.recipient == entry.recipient
