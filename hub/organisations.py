"""The organisations a hub knows, with their keys and superiors: read as one value, renewed by its epoch."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import Any

from hub import neighbours
from hub.arrangements.reading import loaded
from hub.neighbours import Neighbour
from hub.store import Connection
from hub.store.queries import SQL
from keys.jwk import EncryptionKey, VerifyingKey, parse_public
from keys.trust import KeyRing
from protocols import delegation
from protocols.arrangements import Arrangements
from protocols.calendar import Calendar
from protocols.delegation import Delegation


@dataclass(frozen=True, slots=True)
class Key:
    """A public key as imported, and since and until when it counts."""

    jwk: Mapping[str, Any]
    parsed: VerifyingKey | EncryptionKey
    added: datetime
    removed: datetime | None
    compromised: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delegated:
    """An organisation's word that a gateway may sign for it, and when it took that back, if it did."""

    statement: Delegation
    ended: datetime | None

    def in_force(self, moment: datetime) -> bool:
        """Whether it was not taken back by the (aware) moment."""
        return self.ended is None or moment < self.ended


@dataclass(frozen=True, slots=True)
class Organisation:
    """One organisation of the directory."""

    id: str
    name: Mapping[str, str]
    superior: str | None
    roles: frozenset[str]
    algorithms: frozenset[str]
    keys: tuple[Key, ...]
    ring: KeyRing
    compromised: Mapping[str, datetime] = field(default_factory=dict)
    """Keys that somebody else may have had, by kid: since when."""
    successor: str | None = None
    """Who stands in its place by now, if anybody does."""
    delegations: tuple[Delegated, ...] = ()
    home: str | None = None
    """The hub that it speaks to, where that is another one: a neighbour, which is its own."""


@dataclass(frozen=True, slots=True)
class Directory:
    """All organisations as of a key epoch; `epoch` moves with every change of a key, organisation or arrangement."""

    epoch: int
    organisations: Mapping[str, Organisation]
    arrangements: Arrangements = field(default_factory=Arrangements)
    """What due dates are counted by as of then."""
    neighbours: Mapping[str, Neighbour] = field(default_factory=dict)
    """The hubs that messages are exchanged with, by their ids, also when they are neighbours no more."""
    _predecessors: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        predecessors: dict[str, list[str]] = {}
        for organisation in self.organisations.values():
            if organisation.successor is not None:
                predecessors.setdefault(organisation.successor, []).append(organisation.id)
        object.__setattr__(self, "_predecessors", predecessors)

    @property
    def calendar(self) -> Calendar:
        """Which days are worked."""
        return self.arrangements.calendar

    def get(self, organisation: str) -> Organisation | None:
        """The organisation, or None."""
        return self.organisations.get(organisation)

    def neighbour(self, hub: str, moment: datetime) -> Neighbour | None:
        """The neighbouring hub of this id, if it is one at the (aware) moment."""
        found = self.neighbours.get(hub)
        return found if found is not None and found.in_force(moment) else None

    def home(self, organisation: str) -> str | None:
        """The other hub that the organisation speaks to; None for this hub's own, and for strangers."""
        known = self.organisations.get(organisation)
        return None if known is None else known.home

    def lineage(self, organisation: str) -> list[str]:
        """`organisation` and all those in whose place it stands by now."""
        found = [organisation]
        for name in found:
            found += [old for old in self._predecessors.get(name, ()) if old not in found]
        return found

    def heir(self, organisation: str) -> str:
        """Who stands in the place of `organisation` by now: itself while it has no successor."""
        seen = {organisation}
        while (known := self.get(organisation)) and known.successor is not None and known.successor not in seen:
            organisation = known.successor
            seen.add(organisation)
        return organisation

    def sees(self, organisation: str, involved: Collection[str]) -> bool:
        """Whether `organisation` sees a case of those `involved`: it is one of them, or supervises one."""
        known = self.get(organisation)
        if known is None or organisation in involved:
            return known is not None
        return "supervisor" in known.roles and any(organisation in self.above(name) for name in involved)

    def above(self, organisation: str) -> list[str]:
        """The superiors of `organisation`, the nearest first."""
        found: list[str] = []
        known = self.get(organisation)
        while known is not None and known.superior is not None and known.superior not in found:
            found.append(known.superior)
            known = self.get(known.superior)
        return found

    def subtree(self, top: str) -> list[str]:
        """`top` and every organisation below it."""
        below: dict[str, list[str]] = {}
        for organisation in self.organisations.values():
            if organisation.superior is not None:
                below.setdefault(organisation.superior, []).append(organisation.id)
        found, seen = [top], {top}
        for name in found:
            fresh = [child for child in below.get(name, []) if child not in seen]
            seen.update(fresh)
            found.extend(fresh)
        return found


async def load(connection: Connection) -> Directory:
    """The directory as the database has it now."""
    epoch = await connection.fetchval(SQL["key_epoch"])
    keys: dict[str, list[Key]] = {}
    for row in await connection.fetch(SQL["organisation_keys"]):
        keys.setdefault(row["organisation"], []).append(
            Key(*_parsed(row["jwk"]), row["added"], row["removed"], row["compromised"])
        )
    successors = {
        row["organisation"]: row["successor"]
        for row in await connection.fetch(SQL["successions"])
        if row["log_index"] is not None
    }
    delegations: dict[str, list[Delegated]] = {}
    for row in await connection.fetch(SQL["delegations"]):
        given = _delegation(row["statement"])
        delegations.setdefault(given.organisation, []).append(Delegated(given, row["ended"]))
    rows = await connection.fetch(SQL["organisations"])
    found = {}
    for row in rows:
        id = row["id"]
        found[id] = _organisation(row, keys.get(id, []), successors.get(id), delegations.get(id, []))
    beside = {row["hub"]: neighbours.read(row) for row in await connection.fetch(SQL["neighbours"])}
    return Directory(epoch, found, await loaded(connection), beside)


# The directory is read whole when one key changes; what is ready of all the others is kept.
@lru_cache(maxsize=100_000)
def _parsed(text: str) -> tuple[Mapping[str, Any], VerifyingKey | EncryptionKey]:
    jwk = json.loads(text)
    return jwk, parse_public(jwk)


@lru_cache(maxsize=100_000)
def _delegation(statement: str) -> Delegation:
    _, said = delegation.read(statement)
    assert isinstance(said, Delegation)
    return said


def _organisation(
    row: Mapping[str, Any], keys: list[Key], successor: str | None, delegations: list[Delegated]
) -> Organisation:
    parsed = [key.parsed for key in keys]
    revoked = {p.kid: key.removed for p, key in zip(parsed, keys, strict=True) if key.removed is not None}
    return Organisation(
        id=row["id"],
        name={"zh": row["name_zh"], "en": row["name_en"]},
        superior=row["superior"],
        roles=frozenset(row["roles"]),
        algorithms=frozenset(row["algorithms"]),
        keys=tuple(keys),
        ring=KeyRing(parsed, revoked),
        compromised={key.parsed.kid: key.compromised for key in keys if key.compromised is not None},
        successor=successor,
        delegations=tuple(delegations),
        home=row["home"],
    )
