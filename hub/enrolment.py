"""Organisations taken in from a JSON file: idempotent, every key event in the log."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.intake.store import store
from hub.organisations import Directory, load
from hub.store import Connection
from hub.store.queries import SQL
from keys import strict_json
from keys.errors import Fault
from keys.jwk import parse_public
from protocols import envelope
from protocols.departments import parse_organisation_id
from protocols.entries import KeyAdded, KeyRemoved

ROLES = frozenset({"bureau", "partner", "supervisor", "auditor"})


class ImportInvalid(Fault):
    """The file of organisations can't be taken in; nothing of it was."""

    code: ClassVar[str] = "import-invalid"


class Name(msgspec.Struct, frozen=True):
    """A name in both languages."""

    zh: str
    en: str


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One organisation of the file (3-wire, Files and commands)."""

    id: str
    name: Name
    superior: str | None = None
    roles: list[str] = msgspec.field(default_factory=lambda: ["bureau"])
    jwks: dict[str, Any] = msgspec.field(default_factory=lambda: {"keys": []})


def parse(document: bytes) -> list[Record]:
    """The records of a file, each checked. Raises ImportInvalid naming the record."""
    try:
        records = msgspec.convert(strict_json.loads(document), list[Record])
    except (Fault, msgspec.ValidationError) as error:
        raise ImportInvalid(str(error)) from error
    for number, record in enumerate(records):
        try:
            parse_organisation_id(record.id)
            for jwk in record.jwks.get("keys", []):
                parse_public(jwk)
        except Fault as fault:
            raise ImportInvalid(f"record {number} ({record.id}): {fault.detail}") from fault
        if unknown := set(record.roles) - ROLES:
            raise ImportInvalid(f"record {number} ({record.id}): unknown roles {sorted(unknown)}")
    if len({record.id for record in records}) != len(records):
        raise ImportInvalid("an organisation stands twice in the file")
    return records


async def enrol(connection: Connection, identity: Identity, records: Sequence[Record]) -> int:
    """Take the records in under the log's lock; how many key events that made."""
    async with connection.transaction():
        head = await connection.fetchrow(SQL["lock_head"])
        assert head is not None
        directory = await load(connection)
        ledger = Ledger(now=head["now"], size=head["size"], directory=directory)
        await connection.execute(
            SQL["set_organisations"],
            [r.id for r in records],
            [r.name.zh for r in records],
            [r.name.en for r in records],
            [r.superior for r in records],
            [" ".join(r.roles) for r in records],
        )
        await connection.execute(SQL["add_counters"], [r.id for r in records])
        for record in records:
            await _keys(connection, ledger, directory, record)
        await connection.execute(SQL["bump_key_epoch"])
        if ledger.leaves:
            await store(connection, ledger, identity)
    return len(ledger.leaves)


async def _keys(connection: Connection, ledger: Ledger, directory: Directory, record: Record) -> None:
    known = directory.get(record.id)
    held = {parse_public(key.jwk).kid: key for key in known.keys} if known else {}
    given: dict[str, Mapping[str, Any]] = {}
    for jwk in record.jwks.get("keys", []):
        public = parse_public(jwk)
        given[public.kid] = dict(jwk) | {"kid": public.kid}
    at = envelope.rfc3339(ledger.now)
    fresh = [kid for kid in given if kid not in held]
    again = [kid for kid in given if kid in held and held[kid].removed is not None]
    gone = [kid for kid, key in held.items() if kid not in given and key.removed is None]
    for kid in fresh + again:
        ledger.append(KeyAdded(record.id, kid, dict(given[kid]), at))
    for kid in gone:
        ledger.append(KeyRemoved(record.id, kid, at))
    if fresh:
        columns = [record.id] * len(fresh), fresh, [json.dumps(given[kid]) for kid in fresh]
        await connection.execute(SQL["add_keys"], *columns, ledger.now)
    if again:
        await connection.execute(SQL["restore_keys"], record.id, again)
    if gone:
        await connection.execute(SQL["remove_keys"], record.id, gone, ledger.now)
