"""Who plays: the directory of the whole country, and the bureaus that have keys in it."""

import asyncio
import json
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from keys import jwk
from keys.errors import Fault
from keys.jwk import DecryptionKey, SigningKey
from keys.keystore import KeyStore, read_passphrase
from protocols.departments import department, organisation_id
from protocols.divisions import Division, ancestors, county_level

HOME = ("411002", "411003", "411024", "411025", "411081", "411082")
"""The counties of Xuchang."""
AWAY = ("440306", "440307", "441900", "320583", "410105")
"""Where their people moved to."""
BUREAUS = {
    "home": tuple(organisation_id(code, "health") for code in HOME),
    "away": tuple(organisation_id(code, "health") for code in AWAY),
}
SUPERVISOR = organisation_id("411000", "supervision")
_OFFICES = {
    "health": ("卫生健康委员会", "Health Commission"),
    "supervision": ("督导办公室", "Supervision Office"),
}


class NotTheDemosDirectory(Fault):
    """This directory holds a hub that no demo made; choose another --data."""

    code: ClassVar[str] = "not-the-demos-directory"


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation that has keys."""

    id: str
    signing: SigningKey
    sealing: DecryptionKey


class Belongings:
    """What the demo keeps in the hub's data directory: key stores and their passphrase, cursors, a receipt.

    Raises NotTheDemosDirectory.
    """

    def __init__(self, data: Path) -> None:
        self.folder = data / "demo"
        self.passphrase_file = self.folder / "passphrase"
        if (data / "keys").exists() and not self.passphrase_file.exists():
            raise NotTheDemosDirectory(f"{data} holds a hub that no demo made; choose another --data")
        (self.folder / "cursors").mkdir(parents=True, exist_ok=True)
        if not self.passphrase_file.exists():
            descriptor = os.open(self.passphrase_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")

    def keys_of(self, organisation: str) -> Path:
        """The directory of its key store."""
        return self.folder / "keys" / organisation

    def cursor_of(self, organisation: str) -> Path:
        """The file of its cursor."""
        return self.folder / "cursors" / f"{organisation}.json"

    async def members(self) -> dict[str, Member]:
        """Every organisation with keys, made on the first call and opened on any later one."""
        passphrase = read_passphrase(self.passphrase_file)
        names = [*BUREAUS["home"], *BUREAUS["away"], SUPERVISOR]
        made = await asyncio.gather(*(asyncio.to_thread(self._member, name, passphrase) for name in names))
        return {member.id: member for member in made}

    def _member(self, name: str, passphrase: str) -> Member:
        store = KeyStore(self.keys_of(name))
        store.create()
        if len(store.kids()) < 2:
            store.add(jwk.generate_signing(), passphrase)
            store.add(jwk.generate_encryption(), passphrase)
        return Member(name, store.signing_key(passphrase, datetime.now(UTC)), store.decryption_keys(passphrase)[0])

    def write_directory(self, members: dict[str, Member]) -> tuple[Path, int]:
        """The country as a file for `organisations import`, and how many organisations it has."""
        records = [_record(division, office, members) for division, office in _country()]
        path = self.folder / "directory.json"
        path.write_text(json.dumps(records, ensure_ascii=False), "utf-8")
        return path, len(records)


def _country() -> Iterator[tuple[Division, str]]:
    """A health bureau in every county-level division, a supervisor in each prefecture and province above."""
    counties = county_level()
    above = {division.code: division for county in counties for division in ancestors(county.code)}
    yield from ((division, "supervision") for _, division in sorted(above.items()))
    yield from ((division, "health") for division in counties)


def _record(division: Division, office: str, members: dict[str, Member]) -> dict[str, Any]:
    id = organisation_id(division.code, department(office).code)
    zh, en = _OFFICES[office]
    member = members.get(id)
    return {
        "id": id,
        "name": {"zh": division.name + zh, "en": f"{en} of {division.code}"},
        "superior": organisation_id(division.parent, "supervision") if division.parent else None,
        "roles": ["supervisor" if office == "supervision" else "bureau"],
        "jwks": jwk.public_jwks([member.signing.public, member.sealing.public]) if member else {"keys": []},
    }
