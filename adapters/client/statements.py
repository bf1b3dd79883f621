"""What an organisation signs for the hub's log: sent, and its entry held against the very words that were signed."""

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from adapters.client import answers
from adapters.client.connection import JOSE, Call, Connection
from adapters.client.faults import DeliveryInvalid
from adapters.client.notary import Notary
from protocols import revocation
from protocols.entries import KeyCompromised, KeyRemoved
from protocols.receipt import Proven
from protocols.revocation import Revocation

_Taken = TypeVar("_Taken", answers.DelegationTaken, answers.Revoked)


@dataclass(frozen=True, slots=True)
class Revoked:
    """A key that is out of use; `new` unless the log said all of it before.

    `removed` is the log's entry on that, `compromised` the one that says since when the key may have leaked, where
    that was asked for or is known: both proven.
    """

    new: bool
    removed: Proven
    compromised: Proven | None


@dataclass(frozen=True, slots=True)
class Statements:
    """One hub as it takes statements; each authenticates itself, and goes without a token."""

    connection: Connection
    notary: Notary

    async def delegation(self, token: str) -> answers.DelegationTaken:
        """A delegation or its end. Raises Refused, ReceiptInvalid, DeliveryInvalid."""
        taken = await self._sent("/v1/delegations", token, answers.DelegationTaken)
        entry = (await self.notary.entry(taken.log)).entry
        if getattr(entry, "statement", None) != token:
            raise DeliveryInvalid("the log holds another delegation than the one signed")
        return taken

    async def revocation(self, token: str) -> Revoked:
        """A revocation. Raises Refused, ReceiptInvalid, DeliveryInvalid."""
        _, said = revocation.read(token)
        taken = await self._sent("/v1/revocations", token, answers.Revoked)
        removed = await self.notary.entry(taken.log)
        compromised = None if taken.compromised is None else await self.notary.entry(taken.compromised)
        words = [one.entry for one in (removed, compromised) if one is not None]
        if not (_removes(removed, said) and (compromised is None or _marks(compromised, said))):
            raise DeliveryInvalid("the log's entry is about another key, or does not mark it as the revocation says")
        if said.compromised_since is not None and compromised is None:
            raise DeliveryInvalid("the log does not say that the key may have leaked")
        if taken.new and token not in [getattr(word, "statement", None) for word in words]:
            raise DeliveryInvalid("the log holds another revocation than the one signed")
        return Revoked(taken.new, removed, compromised)

    async def _sent(self, path: str, token: str, kind: type[_Taken]) -> _Taken:
        call = Call("POST", path, body=token.encode(), media=JOSE[0], token=False)
        return answers.read(await self.connection.call(call), kind)


def _removes(proven: Proven, said: Revocation) -> bool:
    entry = proven.entry
    return isinstance(entry, KeyRemoved) and (entry.organisation, entry.kid) == (said.organisation, said.kid)


def _marks(proven: Proven, said: Revocation) -> bool:
    """Whether the entry is on the leak of this key, from the moment on that was said, or an earlier one."""
    entry = proven.entry
    if not isinstance(entry, KeyCompromised) or (entry.organisation, entry.kid) != (said.organisation, said.kid):
        return False
    try:
        return said.compromised_since is None or datetime.fromisoformat(entry.since) <= said.compromised_since
    except (ValueError, TypeError):
        return False
