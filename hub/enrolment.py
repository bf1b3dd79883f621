"""Organisations taken in from a JSON file: idempotent, every key event in the log."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple

import msgspec

from hub import entering
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.organisations import Directory, Organisation, parsed
from hub.store import Connection
from hub.store.queries import SQL
from keys import strict_json
from keys.algorithms import DEFAULT_ALGORITHMS, EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import EncryptionKey, VerifyingKey, parse_public
from protocols import entries
from protocols.departments import parse_organisation_id
from protocols.entries import KeyAdded, KeyRemoved
from protocols.table import ORGANISATION_ROLES
from protocols.vouching import Vouched

SHOWN = 10
Public = VerifyingKey | EncryptionKey
Given = Mapping[str, Mapping[str, Public]]
"""The keys of each record, by organisation and kid."""
TOGETHER = 1000
"""Records taken in under one hold of the log's lock."""
LONGEST_NAME = 200


class ImportInvalid(Fault):
    """The file of organisations can't be taken in; nothing of it was."""

    code: ClassVar[str] = "import-invalid"


class Change(NamedTuple):
    """What became of a key of a record."""

    organisation: str
    kid: str
    what: Literal["added", "removed", "taken up again", "stays out of use"]


class Enrolled(NamedTuple):
    """How many log entries records made, and what became of keys."""

    entries: int
    changes: Sequence[Change]


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
    algorithms: list[str] | None = None
    """What it may sign with; left out, what it was, and Ed25519 and ES256 at first."""


def parse(document: bytes, superior: str | None = None) -> list[Record]:
    """The records of a file, each checked; `superior` is above those that name none.

    Raises ImportInvalid with every finding; nothing is taken in then.
    """
    try:
        raw = strict_json.loads(document)
    except Fault as fault:
        raise ImportInvalid(fault.detail) from fault
    if not isinstance(raw, list):
        raise ImportInvalid("the file holds an array of organisations")
    records: list[Record] = []
    found: list[str] = []
    for number, item in enumerate(raw):
        named = f"record {number}" + (f" ({item['id']!s:.60})" if isinstance(item, dict) and "id" in item else "")
        try:
            record = msgspec.convert(item, Record)
        except msgspec.ValidationError as error:
            found.append(f"{named}: {error}")
            continue
        if record.superior is None:
            record = msgspec.structs.replace(record, superior=superior)
        found += [f"{named}: {finding}" for finding in _findings(record)]
        records.append(record)
    twice = sorted(id for id, count in Counter(record.id for record in records).items() if count > 1)
    found += [f"{id} stands twice in the file" for id in twice]
    found += _circles(records)
    if found:
        more = f"; and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise ImportInvalid("; ".join(found[:SHOWN]) + more, problems=found)
    return records


def _findings(record: Record) -> list[str]:
    found = [
        f"name.{language} is one line of 1 to {LONGEST_NAME} characters"
        for language, text in (("zh", record.name.zh), ("en", record.name.en))
        if not (text.strip() and len(text) <= LONGEST_NAME and text.isprintable())
    ]
    if unknown := sorted(set(record.roles) - ORGANISATION_ROLES):
        found.append(f"unknown roles {', '.join(unknown)}")
    if len(set(record.roles)) != len(record.roles):
        found.append("a role stands twice")
    if not record.roles:
        found.append("an organisation has a role")
    if record.algorithms is not None:
        if not record.algorithms:
            found.append("an organisation may sign with something")
        if unknown := sorted(set(record.algorithms) - EVERY_ALGORITHM):
            found.append(f"unknown algorithms {', '.join(unknown)}; there are {', '.join(sorted(EVERY_ALGORITHM))}")
    for name in (record.id, record.superior):
        try:
            if name is not None:
                parse_organisation_id(name)
        except Fault as fault:
            found.append(fault.detail)
    if record.id.endswith("-hub") and record.roles != ["partner"]:
        found.append("another hub is a partner and nothing else")
    keys = record.jwks.get("keys")
    if not isinstance(keys, list):
        return [*found, "jwks is a JWK Set with an array `keys`"]
    kids = []
    for at, jwk in enumerate(keys):
        try:
            kids.append(_public(jwk).kid)
        except Fault as fault:
            found.append(f"/jwks/keys/{at}: {fault.detail}")
    if len(set(kids)) != len(kids):
        found.append("a key stands twice in jwks")
    return found


def _public(jwk: object) -> Public:
    """The key, made out once though it is looked at when the file is read and when it is taken in. Raises a Fault."""
    return parsed(json.dumps(jwk))


def _circles(records: Sequence[Record]) -> list[str]:
    """Organisations of the file that are above themselves."""
    above = {record.id: record.superior for record in records}
    found = []
    for id in above:
        seen, name = {id}, above[id]
        while name is not None and name not in seen:
            seen.add(name)
            name = above.get(name)
        if name == id:
            found.append(f"{id} stands above itself")
    return found


async def admit(
    connection: Connection, identity: Identity, vouched: Vouched, allowed: Collection[str] = DEFAULT_ALGORITHMS
) -> int:
    """Take in an organisation whose chain was verified, the chain going into the log; how many entries that made.

    It may sign with what is `allowed`.
    """
    described = vouched.described
    name = Name(described.name.zh, described.name.en)
    record = Record(vouched.organisation, name, vouched.path[1], list(described.roles), vouched.jwks, sorted(allowed))
    parse(msgspec.json.encode([record]))
    return (await enrol(connection, identity, [record], vouched)).entries


async def enrol(
    connection: Connection,
    identity: Identity,
    records: Sequence[Record],
    vouched: Vouched | None = None,
    reinstate: bool = False,
    told: Callable[[int, int], None] = lambda done, of: None,
) -> Enrolled:
    """Take the records in under the log's lock, of many some at a time, so that messages do not wait for all of them.

    A key that a record no longer holds is removed: nothing new is taken under it, what was accepted stays
    verifiable. One that may have leaked stays out of use, whatever an old file says. `told` hears how many records
    are done, of how many.

    Raises ImportInvalid, with nothing taken: for the hub's own id, whose key is not for others to give, for
    organisations of another hub, and for what can only be an old file, unless it is to `reinstate` its keys.
    """
    if any(record.id == identity.hub for record in records):
        raise ImportInvalid(f"{identity.hub} is this hub itself")
    # Keys are made out before the lock is held: it is held for no longer than it takes to write.
    given = {record.id: {key.kid: key for key in map(_public, record.jwks["keys"])} for record in records}
    entered, changes, known = 0, list[Change](), None
    for start in range(0, len(records), TOGETHER):
        async with connection.transaction():
            ledger = await entering.opened(connection, known)
            known = ledger.directory
            if start == 0:
                _require_own(records, ledger.directory)
                _require_usable(records, given, ledger.directory)
                if not reinstate:
                    _require_current(records, given, ledger.directory)
            if vouched is not None and not _known(ledger.directory, vouched):
                chain = list(vouched.statements)
                ledger.append(
                    entries.Vouched(vouched.organisation, vouched.path[1], vouched.path[-1], chain, ledger.at)
                )
            changes += await _take(connection, ledger, records[start : start + TOGETHER], given)
            await entering.finish(connection, identity, ledger)
        entered += len(ledger.leaves)
        told(min(start + TOGETHER, len(records)), len(records))
    return Enrolled(entered, changes)


async def _take(connection: Connection, ledger: Ledger, records: Sequence[Record], given: Given) -> list[Change]:
    directory = ledger.directory
    await connection.execute(
        SQL["set_organisations"],
        [r.id for r in records],
        [r.name.zh for r in records],
        [r.name.en for r in records],
        [r.superior for r in records],
        [" ".join(r.roles) for r in records],
        [" ".join(sorted(_allowed(r, directory))) for r in records],
    )
    await connection.execute(SQL["add_counters"], [r.id for r in records])
    changes, added = list[Change](), list[tuple[str, str, str]]()
    for record in records:
        for change in _changes(record.id, given[record.id], directory.get(record.id)):
            changes.append(change)
            if change.what in ("added", "taken up again"):
                jwk = given[record.id][change.kid].jwk
                ledger.append(KeyAdded(record.id, change.kid, jwk, ledger.at))
                added.append((record.id, change.kid, json.dumps(jwk)))
            elif change.what == "removed":
                ledger.append(KeyRemoved(record.id, change.kid, ledger.at))
                await connection.execute(SQL["remove_keys"], record.id, [change.kid], ledger.now)
    if added:
        await connection.execute(SQL["add_keys"], *map(list, zip(*added, strict=True)), ledger.now)
    return changes


def _changes(id: str, given: Mapping[str, Public], known: Organisation | None) -> Iterator[Change]:
    held = {key.kid: key for key in known.keys} if known else {}
    for kid, public in given.items():
        if kid not in held:
            yield Change(id, kid, "added")
        elif held[kid].compromised is not None:
            yield Change(id, kid, "stays out of use")
        elif held[kid].removed is not None:
            yield Change(id, kid, "taken up again")
        elif held[kid].jwk != public.jwk:
            yield Change(id, kid, "added")
    for kid, key in held.items():
        if kid not in given and key.removed is None:
            yield Change(id, kid, "removed")


def _allowed(record: Record, directory: Directory) -> Collection[str]:
    """What the organisation may sign with once the record is taken in."""
    known = directory.get(record.id)
    if record.algorithms is not None:
        return record.algorithms
    return known.algorithms if known else DEFAULT_ALGORITHMS


def _require_own(records: Sequence[Record], directory: Directory) -> None:
    elsewhere = {r.id: home for r in records if (home := directory.home(r.id)) is not None}
    if elsewhere:
        named = ", ".join(f"{id} ({home})" for id, home in elsewhere.items())
        raise ImportInvalid(f"of another hub, which alone enrols them: {named}")


def _require_usable(records: Sequence[Record], given: Given, directory: Directory) -> None:
    """Raise ImportInvalid where none of an organisation's signing keys would be allowed."""
    for record in records:
        signing = [key for key in given[record.id].values() if isinstance(key, VerifyingKey)]
        if signing and {key.alg for key in signing}.isdisjoint(_allowed(record, directory)):
            named = json.dumps(sorted({key.alg for key in signing}))
            raise ImportInvalid(
                f'{record.id} may not sign with any of its keys; its record says "algorithms": {named}?'
            )


def _require_current(records: Sequence[Record], given: Given, directory: Directory) -> None:
    """Raise ImportInvalid where a record has no signing key but such as are out of use, and drops what is in use."""
    for record in records:
        known, signing = directory.get(record.id), _signing(given[record.id].values())
        if known is None or not signing:
            continue
        used = _signing(key.parsed for key in known.keys if key.removed is None)
        if used and signing <= _signing(key.parsed for key in known.keys if key.removed is not None):
            raise ImportInvalid(
                f"the record of {record.id} has only signing keys that were taken out of use, and not "
                f"{', '.join(sorted(used))}, which is in use: an old file? xieban keys show prints the record as it "
                "is; --reinstate takes this one all the same"
            )


def _signing(keys: Iterable[Public]) -> set[str]:
    return {key.kid for key in keys if isinstance(key, VerifyingKey)}


def _known(directory: Directory, vouched: Vouched) -> bool:
    """Whether the organisation is in the directory already, as the chain has it: then nothing new is to be logged."""
    known = directory.get(vouched.organisation)
    if known is None:
        return False
    held = {key.kid for key in known.keys if key.removed is None}
    return (known.superior, held) == (vouched.path[1], {parse_public(key).kid for key in vouched.jwks["keys"]})
