"""The keys of everyone as the log tells them, and the stored keys held against that."""

import json
from datetime import datetime

from hub.audit.page import Page
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault, KeyUnknown
from keys.jwk import EncryptionKey, VerifyingKey, parse_public
from keys.jws import Compact
from keys.trust import KeyRing
from protocols.entries import KeyAdded, KeyCompromised, KeyRemoved, Succeeded


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

    async def page(self, connection: Connection, page: Page) -> list[str]:
        """Learn the keys of this stretch. Messages are verified after it: an entry before a key's own is told so."""
        found = []
        for index, entry in page.entries.items():
            if isinstance(entry, Succeeded):
                self._heirs[entry.organisation] = entry.successor
            if isinstance(entry, KeyCompromised):
                since = datetime.fromisoformat(entry.since)
                known = self._compromised.get((entry.organisation, entry.kid), since)
                self._compromised[entry.organisation, entry.kid] = min(since, known)
            if not isinstance(entry, KeyAdded | KeyRemoved):
                continue
            try:
                self._learn(index, entry, page.moment(index))
            except Fault as fault:
                found.append(f"entry {index}: {fault.detail}")
        return found

    def _learn(self, index: int, entry: KeyAdded | KeyRemoved, at: datetime) -> None:
        name = entry.organisation
        self._rings.pop(name, None)
        removed = self._removed.setdefault(name, {})
        if isinstance(entry, KeyRemoved):
            removed[entry.kid] = at
            return
        key = parse_public(entry.jwk)
        if key.kid != entry.kid:
            raise KeyUnknown("the entry names another key than it holds")
        self._keys.setdefault(name, {})[key.kid] = key
        self._at.setdefault((name, key.kid), index)
        removed.pop(key.kid, None)

    def verify_acknowledgement(self, compact: Compact, organisation: str, index: int, at: datetime) -> None:
        """The same of an acknowledgement, which whoever stands in the place of `organisation` may sign."""
        try:
            self.verify(compact, organisation, index, at)
        except Fault:
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
        return [f"key {kid} of {name} differs from the log" for name, kid in sorted(names)]
