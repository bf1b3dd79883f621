"""The public keys of organisations as the hub's directory has them: kept, and asked for again when one is unknown."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.client import answers
from adapters.client.connection import Call, Connection
from adapters.client.faults import DeliveryInvalid, Refused
from adapters.client.pinned import Pinned
from keys.errors import BadSeal, KeyUnknown, MalformedKey
from keys.jwk import EncryptionKey, VerifyingKey, parse_public

LATER: Final = (0.3, 0.7, 1.5, 2.5)
"""Seconds after which a pinned snapshot is looked at again for a key that it does not have yet."""
FRESH_FOR: Final = timedelta(minutes=5)
"""How long encryption keys are used without asking again: sealing to a key that was removed is refused."""

Public = VerifyingKey | EncryptionKey


class Directory:
    """Who signs and who can open: by the hub's word of the moment, or by its signed snapshot where one is pinned."""

    def __init__(self, connection: Connection, pinned: Pinned | None = None) -> None:
        self._connection, self._pinned = connection, pinned
        self._signers: dict[str, dict[str, VerifyingKey]] = {}
        self._openers: dict[str, tuple[datetime, list[EncryptionKey]]] = {}

    async def signer(self, organisation: str, kid: str | None) -> VerifyingKey:
        """The key that the organisation signs or once signed with. Raises KeyUnknown, Refused."""
        known = self._signers.get(organisation, {})
        if kid not in known:
            known = self._signers[organisation] = await self._signing(organisation)
            for wait in LATER if self._pinned is not None else ():
                if kid in known:
                    break
                # A snapshot is published a moment after a key is added.
                await asyncio.sleep(wait)
                known = self._signers[organisation] = await self._signing(organisation)
        if kid is None or kid not in known:
            raise KeyUnknown(f"{organisation} has no key {kid}", organisation=organisation, kid=kid)
        return known[kid]

    async def signers(self, organisation: str) -> list[VerifyingKey]:
        """Every key that the organisation, or a hub, signs or once signed with; asked for once. Raises Refused."""
        if organisation not in self._signers:
            self._signers[organisation] = await self._signing(organisation)
        return list(self._signers[organisation].values())

    async def openers(self, organisations: Iterable[str]) -> list[EncryptionKey]:
        """The keys to seal to, of all these organisations. Raises BadSeal where one has none valid now, Refused."""
        found: list[EncryptionKey] = []
        for name in dict.fromkeys(organisations):
            now = datetime.now(UTC)
            keys = [key for key in await self._encryption(name, now) if key.valid_at(now)]
            if not keys:
                raise BadSeal(f"{name} has no encryption key that is valid now", organisation=name)
            found += keys
        return found

    async def listing(self) -> list[dict[str, Any]]:
        """Every organisation: `id`, `name`, `superior`, `roles`, `algorithms`."""
        found = answers.read(await self._connection.call(Call("GET", "/v1/organisations")), answers.Organisations)
        return [msgspec.to_builtins(one) for one in found.items]

    async def one(self, organisation: str) -> dict[str, Any]:
        """One organisation, with its present public keys as `jwks`. Raises Refused."""
        path = f"/v1/organisations/{quote(organisation, safe='')}"
        found = answers.read(await self._connection.call(Call("GET", path)), answers.Organisation)
        if found.id != organisation:
            raise DeliveryInvalid(f"the hub answered with {found.id[:80]}")
        keys = [dict(key.jwk) for key in await self._ask(organisation, history=False)]
        return {**msgspec.to_builtins(found), "jwks": {"keys": keys}}

    def forget(self) -> None:
        """Ask again for every key to seal to."""
        self._openers.clear()

    async def _encryption(self, organisation: str, now: datetime) -> list[EncryptionKey]:
        asked, keys = self._openers.get(organisation, (None, []))
        if asked is None or now - asked > FRESH_FOR:
            everything = await self._ask(organisation, history=False)
            keys = [key for key in everything if isinstance(key, EncryptionKey)]
            self._openers[organisation] = now, keys
        return keys

    async def _signing(self, organisation: str) -> dict[str, VerifyingKey]:
        try:
            keys = await self._ask(organisation, history=True)
        except Refused as refusal:
            if refusal.reason != "not-found":
                raise
            keys = []  # who never had a key signed nothing
        return {key.kid: key for key in keys if isinstance(key, VerifyingKey)}

    async def _ask(self, organisation: str, *, history: bool) -> list[Public]:
        if self._pinned is not None:
            known = await self._pinned.organisation(organisation)
            keys = known.keys if known is not None else []
            return understood(key.jwk for key in keys if history or key.removed is None)
        path = f"/v1/organisations/{quote(organisation, safe='')}/jwks.json"
        try:
            content = await self._connection.call(Call("GET", path, {"history": "1"} if history else None))
        except Refused as refusal:
            if refusal.reason == "not-found":
                raise Refused(f"{organisation} is not known to the hub", **refusal.data) from None
            raise
        return understood(answers.read(content, answers.KeySet).keys)


def understood(keys: Iterable[dict[str, Any]]) -> list[Public]:
    """The keys of a published set that this version understands: a kind of key made later is no reason to stop."""
    found: list[Public] = []
    for key in keys:
        try:
            found.append(parse_public(key))
        except MalformedKey:
            continue
    return found
