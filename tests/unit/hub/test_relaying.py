"""What another hub hands over, judged without a database: what it proves, and that nothing else gets through."""

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.identity import Identity
from hub.neighbours import Neighbour
from hub.organisations import Directory, Key, Organisation
from hub.relaying import reading
from hub.relaying.faults import RelayInvalid
from keys import checkpoint, jwk, jws, merkle
from keys.algorithms import EVERY_ALGORITHM
from keys.checkpoint import Checkpoint
from keys.errors import Fault
from keys.jwk import SigningKey
from protocols import entries, envelope, receipt
from protocols.entries import Accepted
from tests.acceptance.bureaus import example

NOW = datetime(2026, 6, 1, 4, tzinfo=UTC)
HOME, HERE = "440000-hub", "410000-hub"
HUB, SENDER, OWN = (jwk.generate_signing() for _ in range(3))
LIMITS = Neighbour(HOME, "https://hub.gd.example", ("44",), ("health",), NOW + timedelta(days=1), None)
IDENTITY = Identity(HERE, OWN)
ORIGIN = f"xieban.example/{HOME}/20260101-2"


def organisation(id: str, key: SigningKey, home: str | None, removed: datetime | None = None) -> Organisation:
    held = Key(key.kid, json.dumps(key.public.jwk), NOW, removed)
    roles = frozenset({"bureau"})
    return Organisation(id, {"zh": id, "en": id}, None, roles, EVERY_ALGORITHM, (held,), home=home)


def directory(removed: datetime | None = None, neighbour: Neighbour = LIMITS) -> Directory:
    known = (
        organisation(HOME, HUB, HOME),
        organisation("440306-health", SENDER, HOME, removed),
        organisation("411002-health", OWN, None),
    )
    return Directory(1, {one.id: one for one in known}, neighbours={HOME: neighbour})


@cache
def body() -> bytes:
    """A message that its home took, with the home's receipt."""
    attributes = envelope.compose(
        source="440306-health", type="case-assistance.request", subject=envelope.new_id(), hub=HOME, time=NOW,
        dataschema="https://xieban.example/v1/protocols/case-assistance/1.0/request", recipients=["411002-health"],
        data=example("case-assistance", "request"),
    )  # fmt: skip
    compact = jws.sign(envelope.encode(attributes), SENDER, typ=envelope.TYP, cty=envelope.CTY)
    entry = Accepted(attributes["id"], receipt.digest(compact), "440306-health", "case-assistance.request",
                     attributes["subject"], None, {"411002-health": 1}, envelope.rfc3339(NOW), None,
                     via={HERE: 1})  # fmt: skip
    leaf = entries.encode(entry)
    note = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, 1, merkle.leaf_hash(leaf)), HUB)
    proof = receipt.log_proof(ORIGIN, 0, leaf, [], note)
    given: dict[str, Any] = {"message": entry.id, "digest": entry.digest, "accepted": entry.at}
    given["log"] = {name: getattr(proof, name) for name in proof.__struct_fields__}
    return json.dumps({"message": compact.decode(), "receipts": [given]}).encode()


def test_what_the_home_proves_is_read() -> None:
    passage = reading.read(body(), IDENTITY, directory(), NOW)
    assert (passage.hub, passage.there.index, passage.there.position) == (HOME, 0, 1)
    assert passage.first == passage.there and passage.event.source == "440306-health"


def test_a_key_counts_as_of_when_the_first_hub_took_the_message() -> None:
    later = directory(removed=NOW + timedelta(seconds=1))
    assert reading.read(body(), IDENTITY, later, NOW + timedelta(hours=20)).event.source == "440306-health"
    with pytest.raises(Fault, match="not valid"):
        reading.read(body(), IDENTITY, directory(removed=NOW), NOW)


@pytest.mark.parametrize("changed", [
    Neighbour(HOME, "", None, None, NOW, None),
    Neighbour(HOME, "", None, None, NOW + timedelta(days=9), NOW),
])  # fmt: skip
def test_nothing_is_taken_from_who_is_no_neighbour_now(changed: Neighbour) -> None:
    with pytest.raises(Fault, match="no neighbour"):
        reading.read(body(), IDENTITY, directory(neighbour=changed), NOW)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_one_byte_changed_is_refused_or_changes_nothing(at: int, byte: int) -> None:
    true = reading.read(body(), IDENTITY, directory(), NOW)
    changed = bytearray(body())
    changed[at % len(changed)] = byte
    try:
        passage = reading.read(bytes(changed), IDENTITY, directory(), NOW)
    except Fault:
        return
    assert (passage.event, passage.entry, passage.there) == (true.event, true.entry, true.there)


NAMES = st.sampled_from(["message", "receipts", "log", "digest"])
JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
)


@given(st.binary(max_size=200) | JSON.map(json.dumps).map(str.encode))
def test_arbitrary_bytes_are_a_fault(raw: bytes) -> None:
    with pytest.raises(Fault):
        reading.read(raw, IDENTITY, directory(), NOW)


def test_a_repeated_word_is_no_receipt() -> None:
    document = json.loads(body())
    document["receipts"] *= 2
    with pytest.raises(RelayInvalid, match="more receipts than hubs"):
        reading.read(json.dumps(document).encode(), IDENTITY, directory(), NOW)


@pytest.mark.parametrize(
    ("organisation", "covered"),
    [
        ("440306-health", True),
        ("440306123-health", True),
        ("411002-health", False),
        ("440306-education", False),
        ("440000-hub", False),
        ("44-health", False),
        ("", False),
    ],
)
def test_a_neighbour_speaks_for_whom_its_limits_let_it(organisation: str, covered: bool) -> None:
    assert LIMITS.covers(organisation) is covered
    assert Neighbour(HOME, "", None, None, NOW, None).covers("440000-hub") is False
