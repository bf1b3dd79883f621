"""The organisations a hub knows, with their keys and superiors: read as one value, renewed by its epoch."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, lru_cache
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
    """A public key as imported, and since and until when it counts.

    A country has some hundred thousand, of which few are asked for: `text` is made out when one is.
    """

    kid: str
    text: str
    added: datetime
    removed: datetime | None
    compromised: datetime | None = None

    @property
    def jwk(self) -> Mapping[str, Any]:
        """It as a JWK."""
        found: dict[str, Any] = json.loads(self.text)
        return found

    @property
    def parsed(self) -> VerifyingKey | EncryptionKey:
        """It, ready for use."""
        return parsed(self.text)

    @property
    def ends(self) -> bool:
        """Whether there is a day on which it expires."""
        return '"exp"' in self.text


@dataclass(frozen=True, slots=True)
class Delegated:
    """An organisation's word that a gateway may sign for it, and when it took that back, if it did."""

    statement: Delegation
    ended: datetime | None

    def in_force(self, moment: datetime) -> bool:
        """Whether it was not taken back by the (aware) moment."""
        return self.ended is None or moment < self.ended


@dataclass(frozen=True)
class Organisation:
    """One organisation of the directory."""

    id: str
    name: Mapping[str, str]
    superior: str | None
    roles: frozenset[str]
    algorithms: frozenset[str]
    keys: tuple[Key, ...]
    successor: str | None = None
    """Who stands in its place by now, if anybody does."""
    delegated: tuple[tuple[str, datetime | None], ...] = ()
    """Its statements that a gateway may sign for it, and when it took each back."""
    home: str | None = None
    """The hub that it speaks to, where that is another one: a neighbour, which is its own."""

    @cached_property
    def ring(self) -> KeyRing:
        """Its keys, ready for use."""
        revoked = {key.kid: key.removed for key in self.keys if key.removed is not None}
        return KeyRing([key.parsed for key in self.keys], revoked)

    @property
    def compromised(self) -> Mapping[str, datetime]:
        """Keys that somebody else may have had, by kid: since when."""
        return {key.kid: key.compromised for key in self.keys if key.compromised is not None}

    @cached_property
    def delegations(self) -> tuple[Delegated, ...]:
        """Who may or might sign for it."""
        return tuple(Delegated(_delegation(statement), ended) for statement, ended in self.delegated)


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


async def load(connection: Connection, before: Directory | None = None) -> Directory:
    """The directory as the database has it now; what was known `before` is read again only where it changed."""
    epoch = await connection.fetchval(SQL["key_epoch"])
    if before is not None and before.epoch == epoch:
        return before
    rows = await connection.fetch(SQL["organisations"], -1 if before is None else before.epoch)
    if before is None:
        key_rows, delegation_rows = [await connection.fetch(SQL[name]) for name in ("organisation_keys", "delegations")]
    else:
        names = [row["id"] for row in rows]
        key_rows, delegation_rows = [await connection.fetch(SQL[name], names) for name in ("keys_of", "delegations_of")]
    keys: dict[str, list[Key]] = {}
    for row in key_rows:
        keys.setdefault(row["organisation"], []).append(
            Key(row["kid"], row["jwk"], row["added"], row["removed"], row["compromised"])
        )
    delegated: dict[str, list[tuple[str, datetime | None]]] = {}
    for row in delegation_rows:
        delegated.setdefault(row["organisation"], []).append((row["statement"], row["ended"]))
    successors = {
        row["organisation"]: row["successor"]
        for row in await connection.fetch(SQL["successions"])
        if row["log_index"] is not None
    }
    found = dict(before.organisations) if before is not None else {}
    for row in rows:
        id = row["id"]
        found[id] = _organisation(row, keys.get(id, []), successors.get(id), delegated.get(id, []))
    beside = {row["hub"]: neighbours.read(row) for row in await connection.fetch(SQL["neighbours"])}
    return Directory(epoch, dict(sorted(found.items())), await loaded(connection), beside)


@lru_cache(maxsize=100_000)
def parsed(text: str) -> VerifyingKey | EncryptionKey:
    """A public key by the text of its JWK, made out once. Raises MalformedKey, AlgorithmNotAllowed."""
    return parse_public(json.loads(text))


@lru_cache(maxsize=100_000)
def _delegation(statement: str) -> Delegation:
    _, said = delegation.read(statement)
    assert isinstance(said, Delegation)
    return said


def _organisation(
    row: Mapping[str, Any], keys: list[Key], successor: str | None, delegated: list[tuple[str, datetime | None]]
) -> Organisation:
    return Organisation(
        id=row["id"],
        name={"zh": row["name_zh"], "en": row["name_en"]},
        superior=row["superior"],
        roles=frozenset(row["roles"]),
        algorithms=frozenset(row["algorithms"]),
        keys=tuple(keys),
        successor=successor,
        delegated=tuple(delegated),
        home=row["home"],
    )
