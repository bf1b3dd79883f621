"""Whose key a message may be signed with: its sender's, or that of a gateway that the sender itself lets sign."""

from dataclasses import dataclass
from datetime import datetime

from adapters.client.directory import Directory
from adapters.client.faults import DeliveryInvalid
from adapters.client.words import Words
from keys import jws
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import delegation
from protocols.delegation import Delegation
from protocols.entries import Delegated, DelegationEnded
from protocols.envelope import Event


@dataclass(frozen=True, slots=True)
class Signatories:
    """The signers of one hub's messages: a delegation counts by its organisation's signature, not by the hub's word."""

    words: Words
    directory: Directory

    async def key(
        self, event: Event, kid: str | None, gateway: str | None, accepted: str, index: int | None = None
    ) -> VerifyingKey:
        """The key that `event`, taken at the moment `accepted` as log entry `index`, was signed with.

        Raises KeyUnknown; DeliveryInvalid where `gateway` had no delegation of the sender that covers it.
        """
        if gateway is None:
            return await self.directory.signer(event.source, kid)
        if not await self._lets(event, gateway, datetime.fromisoformat(accepted), index):
            self.words.forget(event.source)
            if not await self._lets(event, gateway, datetime.fromisoformat(accepted), index):
                raise DeliveryInvalid(f"{event.source} never let {gateway} sign {event.type} for it", id=event.id)
        return await self.directory.signer(gateway, kid)

    async def _lets(self, event: Event, gateway: str, at: datetime, index: int | None) -> bool:
        words = await self.words.on(event.source)
        ended = {one.entry.id: one.index for one in words if isinstance(one.entry, DelegationEnded)}
        for one in words:
            entry = one.entry
            if not isinstance(entry, Delegated) or entry.gateway != gateway:
                continue
            before = index is None or one.index < index < ended.get(entry.id, index + 1)
            if before and (await self._signed(entry)).covers(event.type, at):
                return True
        return False

    async def _signed(self, entry: Delegated) -> Delegation:
        compact, said = delegation.read(entry.statement)
        if not isinstance(said, Delegation) or (said.organisation, said.gateway, said.hub) != (
            entry.organisation,
            entry.gateway,
            self.words.notary.hub,
        ):
            raise DeliveryInvalid("a delegation in the log says something else than its statement", id=entry.id)
        try:
            key = await self.directory.signer(entry.organisation, compact.header.kid)
            jws.verify(compact, key, EVERY_ALGORITHM)
        except Fault as fault:
            raise DeliveryInvalid(f"a delegation is not signed by {entry.organisation}: {fault.detail}") from None
        return said
