"""The keys of everyone as the log tells them, and the stored keys held against that."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from hub.audit.page import Page
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault, KeyUnknown
from keys.jwk import EncryptionKey, VerifyingKey, parse_public
from keys.jws import Compact
from keys.trust import KeyRing
from protocols import delegation, revocation
from protocols.between_hubs import Relayed, Returned
from protocols.delegation import MAILBOX, Delegation, DelegationExceeded, DelegationInvalid
from protocols.entries import (
    Carried,
    Delegated,
    DelegationEnded,
    KeyAdded,
    KeyCompromised,
    KeyRemoved,
    Succeeded,
    happened,
)
from protocols.revocation import RevocationInvalid

NEVER = datetime.max.replace(tzinfo=UTC)


class _Given(NamedTuple):
    """A delegation as the log has it: from which entry on, and until which."""

    said: Delegation
    statement: str
    given: int
    ended: int | None


class Signers:
    """Every organisation's keys, as of the entry last seen."""

    def __init__(self, hub: str, key: VerifyingKey) -> None:
        self._hub = hub
        self._keys: dict[str, dict[str, VerifyingKey | EncryptionKey]] = {hub: {key.kid: key}}
        self._removed: dict[str, dict[str, datetime]] = {}
        self._rings: dict[str, KeyRing] = {}
        self._at: dict[tuple[str, str], int] = {}
        self._heirs: dict[str, str] = {}
        self._compromised: dict[tuple[str, str], datetime] = {}
        self._delegations: dict[str, _Given] = {}
        self._revocations: dict[str, datetime] = {}
        self._told: dict[tuple[str, str], datetime] = {}

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """Learn the keys of this stretch. Messages are verified after it: an entry before a key's own is told so."""
        found = []
        for index, entry in page.entries.items():
            try:
                match entry:
                    case Succeeded():
                        self._heirs[entry.organisation] = entry.successor
                    case KeyAdded():
                        self._added(index, entry)
                    case KeyRemoved() | KeyCompromised():
                        self._revoked(index, entry, datetime.fromisoformat(happened(entry)))
                    case Delegated() | DelegationEnded():
                        self._delegation(index, entry, page.moment(index))
                    case _:
                        pass
            except Fault as fault:
                found.append(f"entry {index}: {fault.detail}")
        return found

    def _added(self, index: int, entry: KeyAdded) -> None:
        name, key = entry.organisation, parse_public(entry.jwk)
        if key.kid != entry.kid:
            raise KeyUnknown("the entry names another key than it holds")
        self._rings.pop(name, None)
        self._keys.setdefault(name, {})[key.kid] = key
        self._at.setdefault((name, key.kid), index)
        self._removed.get(name, {}).pop(key.kid, None)

    def _revoked(self, index: int, entry: KeyRemoved | KeyCompromised, at: datetime) -> None:
        if entry.statement is not None:
            self._require_word(index, entry, entry.statement, at)
        name = entry.organisation
        if isinstance(entry, KeyRemoved):
            self._rings.pop(name, None)
            self._removed.setdefault(name, {})[entry.kid] = at
        else:
            since = datetime.fromisoformat(entry.since)
            self._compromised[name, entry.kid] = min(since, self._compromised.get((name, entry.kid), since))

    def _require_word(self, index: int, entry: KeyRemoved | KeyCompromised, statement: str, at: datetime) -> None:
        """A signed revocation is its signer's own word, said once. That the signer stood above, no entry says."""
        compact, said = revocation.read(statement)
        entered = self._revocations.get(statement)
        if entered is None:
            self.verify(compact, said.signer, index, at)
            revocation.check(said, self._hub, at)
            self._revocations[statement] = at
        elif entered != at or isinstance(entry, KeyRemoved):
            raise RevocationInvalid("the statement was entered before")
        since = datetime.fromisoformat(entry.since) if isinstance(entry, KeyCompromised) else said.compromised_since
        if (said.organisation, said.kid, said.compromised_since) != (entry.organisation, entry.kid, since):
            raise RevocationInvalid("the entry says something else than its statement")
        if isinstance(entry, KeyRemoved) and said.compromised_since is not None:
            self._told[said.organisation, said.kid] = said.compromised_since

    def _delegation(self, index: int, entry: Delegated | DelegationEnded, at: datetime) -> None:
        """A delegation is its organisation's own word, or none."""
        compact, said = delegation.read(entry.statement)
        if (said.id, said.organisation, said.hub) != (entry.id, entry.organisation, self._hub):
            raise DelegationInvalid("the entry says something else than its statement")
        self.verify(compact, entry.organisation, index, at)
        if isinstance(entry, DelegationEnded):
            known = self._delegations.get(entry.id)
            if known is None or known.said.organisation != entry.organisation:
                raise DelegationInvalid("ends what was never given")
            self._delegations[entry.id] = _Given(known.said, known.statement, known.given, index)
            return
        if not isinstance(said, Delegation) or said.gateway != entry.gateway:
            raise DelegationInvalid("the entry says something else than its statement")
        self._delegations.setdefault(said.id, _Given(said, entry.statement, index, None))

    def first_of(self, entry: Carried) -> bool:
        """Whether the message was not known here before this entry: not one of ours that comes back from its home."""
        return not (isinstance(entry, Relayed) and entry.first is not None and entry.first.hub == self._hub)

    def verify_message(self, compact: Compact, entry: Carried, index: int, at: datetime) -> None:
        """Raise unless the message's source signed it, or the gateway that its entry names, within a delegation.

        That a gateway of another hub's side has a delegation, that hub's log says.
        """
        gateway = getattr(entry, "gateway", None)
        if isinstance(entry, Returned) and gateway is None:
            self.verify_there(compact, entry.source, index, at)
        elif gateway is None:
            self.verify(compact, entry.source, index, at)
        else:
            elsewhere = entry.first or (entry.there if isinstance(entry, Relayed) else None)
            if elsewhere is None or elsewhere.hub == self._hub:
                self._require_delegation(entry.source, gateway, entry.type, index, at)
            self.verify(compact, gateway, index, at)

    def verify_there(self, compact: Compact, organisation: str, index: int, at: datetime) -> None:
        """Raise unless `organisation` signed it, or whoever its own hub let sign for it."""
        kid = compact.header.kid
        others = [name for name, keys in self._keys.items() if kid in keys]
        own = kid in self._keys.get(organisation, {})
        self.verify(compact, organisation if own or not others else others[0], index, at)

    def hub_keys(self, hub: str) -> list[VerifyingKey]:
        """Every key that a neighbour had."""
        return [key for key in self._keys.get(hub, {}).values() if isinstance(key, VerifyingKey)]

    def _require_delegation(self, organisation: str, gateway: str, wanted: str, index: int, at: datetime) -> None:
        for given in self._delegations.values():
            if (given.said.organisation, given.said.gateway) != (organisation, gateway):
                continue
            if given.given < index and (given.ended is None or index < given.ended) and given.said.covers(wanted, at):
                return
        raise DelegationExceeded(f"{organisation} had not let {gateway} sign {wanted}")

    def verify_acknowledgement(self, compact: Compact, organisation: str, index: int, at: datetime) -> None:
        """The same of an acknowledgement, which whoever stands in the place of `organisation` may sign."""
        try:
            self.verify(compact, organisation, index, at)
        except Fault:
            for gateway in {given.said.gateway for given in self._delegations.values()}:
                with suppress(Fault):
                    self._require_delegation(organisation, gateway, MAILBOX, index, at)
                    self.verify(compact, gateway, index, at)
                    return
            heir = self._heirs.get(organisation)
            if heir is None:
                raise
            self.verify_acknowledgement(compact, heir, index, at)

    def verify(self, compact: Compact, organisation: str, index: int, at: datetime) -> None:
        """Raise unless a key that `organisation` had in the log before `index`, valid `at`, signed it."""
        ring = self._rings.get(organisation)
        if ring is None:
            keys = self._keys.get(organisation, {}).values()
            ring = self._rings[organisation] = KeyRing(keys, self._removed.get(organisation, {}))
        key = ring.verifying(compact.header.kid, at, EVERY_ALGORITHM)
        if self._at.get((organisation, key.kid), -1) >= index:
            raise KeyUnknown("the key came into the log after what it signed")
        jws.verify(compact, key, EVERY_ALGORITHM)

    async def finish(self, connection: Connection) -> list[str]:
        """The stored keys are those of the log, no more and no less."""
        stored: dict[tuple[str, str], tuple[object, ...]] = {}
        for row in await connection.fetch(SQL["organisation_keys"]):
            key = parse_public(json.loads(row["jwk"]))
            stored[row["organisation"], row["kid"]] = key.jwk, row["removed"], row["compromised"]
        logged: dict[tuple[str, str], tuple[object, ...]] = {
            (name, kid): (key.jwk, self._removed.get(name, {}).get(kid), self._compromised.get((name, kid)))
            for name, keys in self._keys.items()
            if name != self._hub
            for kid, key in keys.items()
        }
        names = [place for place in stored.keys() | logged.keys() if stored.get(place) != logged.get(place)]
        given = {str(row["id"]): (row["statement"], row["log_index"], row["ended_index"])
                 for row in await connection.fetch(SQL["delegation_rows"])}  # fmt: skip
        told = {id: (one.statement, one.given, one.ended) for id, one in self._delegations.items()}
        differing = sorted(id for id in given.keys() | told.keys() if given.get(id) != told.get(id))
        unmarked = sorted(place for place, since in self._told.items() if self._compromised.get(place, NEVER) > since)
        return [
            *(f"key {kid} of {name} differs from the log" for name, kid in sorted(names)),
            *(f"delegation {id} differs from the log" for id in differing),
            *(f"key {kid} of {name} is not marked as leaked, as its revocation says" for name, kid in unmarked),
        ]
