"""Organisations come in from a file: as a whole or not at all, again and again, each key event in the log."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hub import enrolment, revocations
from hub.enrolment import Enrolled, ImportInvalid, enrol, parse
from hub.identity import establish
from hub.organisations import load
from hub.store import Connection
from hub.store.migrate import migrate
from keys import jwk
from keys.errors import KeyNotValid
from keys.jwk import SigningKey
from protocols import entries


def record(id: str, *keys: SigningKey, **more: Any) -> dict[str, Any]:
    """A record of the file."""
    jwks = jwk.public_jwks([key.public for key in keys])
    return {"id": id, "name": {"zh": "机构", "en": id}, "superior": None, "roles": ["bureau"], "jwks": jwks} | more


async def take(connection: Connection, *records: dict[str, Any], reinstate: bool = False) -> int:
    """Import records; how many key events that made."""
    return (await taken(connection, *records, reinstate=reinstate)).entries


async def taken(connection: Connection, *records: dict[str, Any], reinstate: bool = False) -> Enrolled:
    await migrate(connection)
    identity = await establish(connection, "410000-hub", HUB)
    return await enrol(connection, identity, parse(json.dumps(list(records)).encode()), reinstate=reinstate)


HUB = jwk.generate_signing()
OLD, NEW = jwk.generate_signing(), jwk.generate_signing("ES256")


async def kinds(connection: Connection) -> list[str]:
    """The kinds of the log's entries, in order."""
    rows = await connection.fetch("SELECT leaf FROM log_entry ORDER BY index")
    return [entries.as_object(row["leaf"])["kind"] for row in rows]


async def test_importing_the_same_again_changes_nothing(empty: Connection) -> None:
    assert await take(empty, record("411002-health", OLD), record("411003-health")) == 1
    assert await take(empty, record("411002-health", OLD), record("411003-health")) == 0
    assert await kinds(empty) == ["key-added"]


async def test_rotation_adds_the_new_key_and_removes_the_old_one(empty: Connection) -> None:
    await take(empty, record("411002-health", OLD))
    await take(empty, record("411002-health", OLD, NEW))
    assert (await taken(empty, record("411002-health", NEW))).changes == [("411002-health", OLD.kid, "removed")]
    assert await in_use(empty) == {NEW.kid}
    found = await taken(empty, record("411002-health", NEW, OLD))
    assert found == (1, [("411002-health", OLD.kid, "taken up again")])
    assert await kinds(empty) == ["key-added", "key-added", "key-removed", "key-added"]
    assert await in_use(empty) == {OLD.kid, NEW.kid}


async def test_an_old_file_does_not_put_old_keys_in_the_place_of_those_in_use(empty: Connection) -> None:
    await take(empty, record("411002-health", OLD))
    await take(empty, record("411002-health", NEW))
    with pytest.raises(ImportInvalid, match=f"not {NEW.kid}, which is in use: an old file"):
        await take(empty, record("411003-health", jwk.generate_signing()), record("411002-health", OLD))
    assert await in_use(empty) == {NEW.kid} and (await load(empty)).get("411003-health") is None
    assert await take(empty, record("411002-health", OLD), reinstate=True) == 2
    assert await in_use(empty) == {OLD.kid}


async def test_many_are_taken_in_some_at_a_time_and_all_or_none_are_right(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(enrolment, "TOGETHER", 2)
    many = [record(f"41100{n}-health", jwk.generate_signing()) for n in range(2, 7)]
    assert await take(empty, *many) == 5
    assert await take(empty, *many) == 0
    assert (await load(empty)).organisations.keys() == {one["id"] for one in many}
    await take(empty, record("411002-health", NEW))
    with pytest.raises(ImportInvalid, match="411002-health"):
        await take(empty, record("411008-health", OLD), *many[1:], many[0])
    assert (await load(empty)).get("411008-health") is None


async def in_use(connection: Connection) -> set[str]:
    found = (await load(connection)).get("411002-health")
    assert found is not None
    return {key.parsed.kid for key in found.keys if key.removed is None}


async def test_what_a_file_does_not_name_stays_as_it_is(empty: Connection) -> None:
    await take(empty, record("411002-health", OLD))
    await take(empty, record("411003-health", NEW))
    assert (await load(empty)).organisations.keys() == {"411002-health", "411003-health"}


async def test_a_changed_validity_is_a_key_event(empty: Connection) -> None:
    await take(empty, record("411002-health", OLD))
    changed = record("411002-health", OLD)
    changed["jwks"]["keys"][0]["exp"] = 1924992000
    assert await take(empty, changed) == 1
    found = (await load(empty)).get("411002-health")
    assert found is not None
    assert found.keys[0].jwk["exp"] == 1924992000


async def test_the_hub_itself_can_not_be_given_keys(empty: Connection) -> None:
    with pytest.raises(ImportInvalid, match="this hub itself"):
        await take(empty, record("410000-hub", OLD, roles=["partner"]))


PRIVATE = OLD.jwk()
BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (b"[", "JSON"),
    "not an array": ({}, "array of organisations"),
    "a record that is no object": ([5], "record 0"),
    "an unknown member": ([record("411002-health", secret=1)], "unknown field `secret`"),
    "no name": ([{"id": "411002-health"}], "missing required field `name`"),
    "a malformed id": ([record("Xuchang")], "record 0 (Xuchang)"),
    "an unknown department": ([record("411002-magic")], "magic"),
    "an unknown role": ([record("411002-health", roles=["king"])], "unknown roles king"),
    "a role twice": ([record("411002-health", roles=["bureau", "bureau"])], "a role stands twice"),
    "no role": ([record("411002-health", roles=[])], "has a role"),
    "an empty name": ([record("411002-health", name={"zh": " ", "en": "x"})], "name.zh"),
    "a name of two lines": ([record("411002-health", name={"zh": "机构", "en": "a\nb"})], "name.en"),
    "a name with NUL": ([record("411002-health", name={"zh": "机\0构", "en": "x"})], "name.zh"),
    "a name too long": ([record("411002-health", name={"zh": "机" * 201, "en": "x"})], "name.zh"),
    "another hub as a bureau": ([record("440000-hub")], "a partner and nothing else"),
    "a malformed superior": ([record("411002-health", superior="x")], "organisation id"),
    "one that stands twice": ([record("411002-health"), record("411002-health")], "stands twice"),
    "a private key": ([record("411002-health", jwks={"keys": [PRIVATE]})], "private member"),
    "a key that is no key": ([record("411002-health", jwks={"keys": [{"kty": "oct", "k": "AA"}]})], "/jwks/keys/0"),
    "jwks without keys": ([record("411002-health", jwks={})], "array `keys`"),
    "a key twice": ([record("411002-health", OLD, OLD)], "a key stands twice"),
    "a circle of superiors": (
        [
            record("411002-health", superior="411000-supervision"),
            record("411000-supervision", superior="411002-health"),
        ],
        "stands above itself",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_with_a_fault_is_refused_naming_it(name: str) -> None:
    document, word = BAD[name]
    with pytest.raises(ImportInvalid) as refused:
        parse(document if isinstance(document, bytes) else json.dumps(document).encode())
    assert word in refused.value.detail


def test_every_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ImportInvalid) as refused:
        parse(json.dumps([record("x"), record("411002-health"), record("y", roles=["king"])]).encode())
    problems = refused.value.data["problems"]
    assert isinstance(problems, list)
    assert [problem.partition(":")[0] for problem in problems] == ["record 0 (x)", "record 2 (y)", "record 2 (y)"]


async def test_nothing_of_a_file_with_a_fault_is_taken(empty: Connection) -> None:
    with pytest.raises(ImportInvalid):
        await take(empty, record("411002-health", OLD), record("x"))
    assert (await load(empty)).organisations == {}


async def test_of_many_organisations_those_alone_are_read_again_that_changed(empty: Connection) -> None:
    await take(empty, *(record(f"41100{n}-health", jwk.generate_signing()) for n in range(2, 7)))
    before = await load(empty)
    assert await load(empty, before) is before
    await take(empty, record("411003-health", NEW))
    after, whole = await load(empty, before), await load(empty)
    assert after.epoch > before.epoch and after.organisations == whole.organisations
    again = [id for id, one in after.organisations.items() if one is not before.organisations[id]]
    assert again == ["411003-health"]
    identity = await establish(empty, "410000-hub", HUB)
    await revocations.revoke(empty, identity, "411003-health", NEW.kid, None)
    found = (await load(empty, after)).organisations["411003-health"]
    with pytest.raises(KeyNotValid):
        found.ring.verifying(NEW.kid, datetime.now(UTC))
