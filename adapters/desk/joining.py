"""How a bureau joins a hub: the hub recognised by its fingerprints, the bureau named, its standing asked.

What is known of both is kept in the desk's store.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, cast, get_args

import msgspec

from adapters.client import Patience, Refused
from adapters.client.answers import KeySet, Name, read
from adapters.client.connection import Call, Connection
from adapters.client.directory import Directory
from adapters.client.notary import Notary
from adapters.desk.keyring import Keyring
from adapters.desk.vault import Vault
from keys.errors import Fault
from keys.jwk import EncryptionKey, VerifyingKey, parse_public
from protocols import vouching
from protocols.departments import organisation_id
from protocols.divisions import Division, ancestors, county_level, division, provinces
from protocols.vouching import Described

KIND: Final = "joined"
WITHIN: Final = 8.0
"""Seconds that the hub is asked for while somebody waits."""
ENOUGH: Final = 16
"""Characters of a fingerprint that are compared: 96 bits of it."""
State = Literal["away", "unknown", "other", "revoked", "rotating", "known"]
"""The hub can't be asked; does not know us; lists other keys than ours; listed ours and does no more; lists an earlier
one of ours; lists our newest."""
Role = Literal["bureau", "supervisor", "partner"]


class JoiningInvalid(Fault):
    """The hub or the bureau is not as it was said."""

    code: ClassVar[str] = "desk-joining-invalid"


class HubKnown(msgspec.Struct, frozen=True):
    """The hub that the desk speaks to. Its keys are those that were recognised, whatever it publishes later."""

    url: str
    id: str
    name: Name
    origin: str
    keys: list[dict[str, Any]]

    def verifying(self) -> list[VerifyingKey]:
        """The keys that its receipts are verified with."""
        return [key for key in map(parse_public, self.keys) if isinstance(key, VerifyingKey)]

    def fingerprints(self) -> list[str]:
        """The keys' thumbprints (RFC 7638)."""
        return [key.kid for key in self.verifying()]

    def recognised(self, said: str) -> bool:
        """Whether every key is one whose fingerprint, or its first characters, the operator gave by another way."""
        given = [word for word in re.split(r"[\s,;，；、]+", said) if len(word) >= ENOUGH]
        return all(any(kid.startswith(word) for word in given) for kid in self.fingerprints())


class Bureau(msgspec.Struct, frozen=True):
    """Who the desk speaks for."""

    id: str
    name: Name
    superior: str | None = None
    role: Role = "bureau"


class Standing(msgspec.Struct, frozen=True):
    """What the hub's directory has of the bureau: which keys it lists, and which it listed once."""

    state: State
    listed: list[str] = []
    retired: list[str] = []


class _Introduced(msgspec.Struct, frozen=True):
    name: Name


class Membership:
    """What an open store knows of the hub and of the bureau itself."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @property
    def hub(self) -> HubKnown | None:
        """The hub, once it was recognised."""
        value = self._vault.get(KIND, "hub")
        return None if value is None else msgspec.convert(value, HubKnown)

    @property
    def bureau(self) -> Bureau | None:
        """The bureau, once it was named."""
        value = self._vault.get(KIND, "bureau")
        return None if value is None else msgspec.convert(value, Bureau)

    def keep(self, known: HubKnown | Bureau) -> None:
        """Keep the hub, or the bureau."""
        self._vault.put(KIND, "hub" if isinstance(known, HubKnown) else "bureau", msgspec.to_builtins(known))


async def introduce(url: str) -> HubKnown:
    """The hub at an address, as it says itself. Raises AddressInvalid, Refused, Undecided, AnswerInvalid."""
    async with Connection(url.strip(), Patience(within=WITHIN)) as connection:
        notary = Notary(connection)
        await notary.introduce()
        said = read(await connection.call(Call("GET", "/v1/hub", token=False)), _Introduced)
    return HubKnown(connection.url, notary.hub, said.name, notary.origin, [dict(key.jwk) for key in notary.keys])


async def above(hub: HubKnown) -> list[dict[str, Any]]:
    """The organisations of the hub's directory that supervise others. Raises Refused, Undecided, AnswerInvalid."""
    async with Connection(hub.url, Patience(within=WITHIN)) as connection:
        return [one for one in await Directory(connection).listing() if "supervisor" in one["roles"]]


async def standing(hub: HubKnown, bureau: Bureau, keyring: Keyring) -> Standing:
    """What the hub's directory has of the bureau."""
    path = f"/v1/organisations/{bureau.id}/jwks.json"
    try:
        async with Connection(hub.url, Patience(within=WITHIN)) as connection:
            now = read(await connection.call(Call("GET", path, token=False)), KeySet)
            ever = read(await connection.call(Call("GET", path, {"history": "1"}, token=False)), KeySet)
    except Refused as refusal:
        return Standing("unknown" if refusal.reason == "not-found" else "away")
    except Fault:
        return Standing("away")
    listed = [str(key.get("kid")) for key in now.keys]
    retired = [kid for key in ever.keys if (kid := str(key.get("kid"))) not in listed]
    return Standing(_state(keyring, listed, retired), listed, retired)


def _state(keyring: Keyring, listed: Collection[str], retired: Collection[str]) -> State:
    signing = [key.kid for key in keyring.public() if isinstance(key, VerifyingKey)]
    opening = [key.kid for key in keyring.public() if not isinstance(key, VerifyingKey)]
    if signing[:1] and {*signing[:1], *opening[:1]} <= set(listed):
        return "known"
    if not set(signing).isdisjoint(listed):
        return "rotating"
    return "revoked" if not set(signing).isdisjoint(retired) else "other"


def named(text: str) -> list[Division]:
    """The divisions that are meant: by their code, or by their name or the end of a longer one."""
    wanted = text.strip()
    everywhere = [*provinces(), *county_level()]
    cities = {parent for one in county_level() if (parent := one.parent) is not None}
    everywhere += [division(code) for code in sorted(cities)]
    known = {one.code: one for one in everywhere}
    if wanted in known:
        return [known[wanted]]
    return sorted((one for one in known.values() if wanted and wanted in (one.name, _whole(one))), key=lambda d: d.code)


def described(place: str, branch: str, zh: str, en: str, superior: str | None, role: str = "bureau") -> Bureau:
    """The bureau of a department in a division. Raises JoiningInvalid, DivisionUnknown, DepartmentUnknown."""
    found = named(place)
    if len(found) > 1:
        choices = "；".join(f"{one.code} {_whole(one)}" for one in found[:9])
        raise JoiningInvalid(f"several are called so, give the code: {choices}", zh=f"有几处同名，请填代码：{choices}")
    from pypinyin import lazy_pinyin

    id = organisation_id(found[0].code if found else place.strip(), branch)
    name = zh.strip()
    translated = en.strip() or " ".join(lazy_pinyin(name)).title()
    if not (0 < len(name) <= 60 and len(translated) <= 120 and (name + translated).isprintable()):
        raise JoiningInvalid("a name is one line of at most 60 characters", zh="请填机构全称，一行，至多 60 个字")
    if role not in get_args(Role):
        raise JoiningInvalid("a bureau, a supervisor or a partner", zh="请选择机构的角色")
    return Bureau(id, Name(name, translated), superior or None, cast(Role, role))


def published(keyring: Keyring, retired: Collection[str]) -> list[VerifyingKey | EncryptionKey]:
    """The keys that a hub is to list: none that it took out of use, nor those that were made with or before such a one.

    A machine that is lost had all the keys there were.
    """
    keys = keyring.public()
    lost = [key.not_before for key in keys if key.kid in retired and isinstance(key, VerifyingKey) and key.not_before]
    last = max(lost, default=None)
    return [
        key for key in keys
        if key.kid not in retired and (last is None or key.not_before is None or key.not_before > last)
    ]  # fmt: skip


def application(bureau: Bureau, keyring: Keyring, retired: Collection[str], now: datetime) -> str | None:
    """The bureau's signed application to its superior; None where it has none, or no key. See `protocols.vouching`."""
    keys = published(keyring, retired)
    signing = keyring.signing([key.kid for key in keys])
    if bureau.superior is None or signing is None or not keys:
        return None
    said = Described(vouching.Name(bureau.name.zh, bureau.name.en), [bureau.role])
    return vouching.apply(bureau.id, said, bureau.superior, keys, signing, now)


def record(bureau: Bureau, keyring: Keyring, retired: Collection[str]) -> list[Mapping[str, Any]]:
    """What the hub's operator imports: the bureau with its public keys (3-wire, Files and commands)."""
    keys: Sequence[Mapping[str, Any]] = [key.jwk for key in published(keyring, retired)]
    return [{"id": bureau.id, "name": {"zh": bureau.name.zh, "en": bureau.name.en}, "superior": bureau.superior,
             "roles": [bureau.role], "jwks": {"keys": keys}}]  # fmt: skip


def _whole(one: Division) -> str:
    return "".join(above.name for above in reversed(ancestors(one.code))) + one.name
