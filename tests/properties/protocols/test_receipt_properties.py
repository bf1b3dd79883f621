"""A receipt proves exactly what it says: any other character anywhere in it, and it proves nothing."""

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keys import checkpoint as notes
from keys import jwk, merkle
from keys.checkpoint import Checkpoint
from keys.jwk import SigningKey, VerifyingKey
from keys.tiles import Edge
from protocols import entries, receipt
from protocols.entries import Accepted, Fetched
from protocols.receipt import LogProof, Receipt
from protocols.refusals import ReceiptInvalid

ORIGIN = "hub.example/log"
COMPACT = b"eyJh.eyJi.c2ln"


@dataclass(frozen=True)
class Log:
    """A log of some entries, the message's among them, under one checkpoint."""

    key: SigningKey
    accepted: Accepted
    receipts: tuple[Receipt, ...]


def accepted_entry(number: int) -> Accepted:
    return Accepted(
        id="019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7",
        digest=receipt.digest(COMPACT),
        source="411002-health",
        type="case-assistance.request",
        subject="019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8",
        causationid=None,
        recipients={"440306-health": number + 1},
        at="2026-06-01T04:00:00.000000Z",
        due="2026-06-08",
    )


@cache
def log() -> Log:
    key = jwk.generate_signing()
    leaves = [entries.encode(accepted_entry(number)) for number in range(13)]
    edge = Edge.empty()
    edge.append([merkle.leaf_hash(leaf) for leaf in leaves])
    note = notes.sign_checkpoint(Checkpoint(ORIGIN, edge.size, edge.root()), key)
    proofs = [merkle.inclusion_proof(index, edge.size, edge.node) for index in range(edge.size)]
    logged = [receipt.log_proof(ORIGIN, index, leaves[index], proof, note) for index, proof in enumerate(proofs)]
    return Log(key, accepted_entry(0), tuple(receipt.build(accepted_entry(n), one) for n, one in enumerate(logged)))


def refused(changed: Receipt, origin: str | None = None) -> bool:
    try:
        receipt.verify(changed, [log().key.public], compact=COMPACT, origin=origin)
    except ReceiptInvalid:
        return True
    return False


def spoiled(text: str) -> Iterator[str]:
    """The text with one character left out, put in, or turned into another, at every place."""
    for at, character in enumerate(text):
        yield text[:at] + text[at + 1 :]
        for other in {"A", "B", "/", "0", "=", " ", "\n", "é", chr(ord(character) ^ 1), character.swapcase()} - {
            character
        }:
            yield text[:at] + other + text[at + 1 :]
    yield from (text + other for other in "A= \n")


def test_every_receipt_of_the_log_proves_its_message() -> None:
    for index, one in enumerate(log().receipts):
        proven = receipt.verify(one, [log().key.public], compact=COMPACT, origin=ORIGIN)
        assert (proven.entry, proven.index) == (accepted_entry(index), index)
        assert receipt.parse(msgspec.json.encode(one)) == one


@pytest.mark.parametrize("field", ["message", "digest", "accepted"])
def test_no_outer_field_can_be_changed_by_a_character(field: str) -> None:
    one = log().receipts[5]
    for text in spoiled(getattr(one, field)):
        assert refused(msgspec.structs.replace(one, **{field: text})), text


@pytest.mark.parametrize("given_origin", [None, ORIGIN])
@pytest.mark.parametrize("field", ["origin", "entry", "checkpoint"])
def test_no_field_of_the_proof_can_be_changed_by_a_character(field: str, given_origin: str | None) -> None:
    one = log().receipts[5]
    for text in spoiled(getattr(one.log, field)):
        changed = msgspec.structs.replace(one.log, **{field: text})
        assert refused(msgspec.structs.replace(one, log=changed), given_origin), text


def test_no_hash_of_the_path_can_be_changed_moved_left_out_or_put_in() -> None:
    one = log().receipts[5]
    path = one.log.proof
    wrong = [[*path[:at], text, *path[at + 1 :]] for at in range(len(path)) for text in spoiled(path[at])]
    wrong += [path[:at] + path[at + 1 :] for at in range(len(path))]
    wrong += [[*path[:at], path[0], *path[at:]] for at in range(len(path) + 1)]
    wrong += [path[::-1], []]
    for proof in wrong:
        assert refused(msgspec.structs.replace(one, log=msgspec.structs.replace(one.log, proof=proof))), proof


@given(st.integers())
def test_no_other_index_will_do(index: int) -> None:
    one = log().receipts[5]
    changed = msgspec.structs.replace(one, log=msgspec.structs.replace(one.log, index=index))
    assert refused(changed) == (index != 5)


@given(st.integers(0, 12), st.integers(0, 12))
def test_the_parts_of_two_receipts_prove_nothing_together(one: int, other: int) -> None:
    a, b = log().receipts[one], log().receipts[other]
    mixed = msgspec.structs.replace(a, log=msgspec.structs.replace(a.log, entry=b.log.entry))
    assert refused(mixed) == (one != other)


def test_a_receipt_is_of_one_message_one_log_and_one_hub() -> None:
    one = log().receipts[0]
    public = [log().key.public]
    wrong: list[tuple[list[VerifyingKey], bytes, str]] = [
        (public, COMPACT + b"A", ORIGIN),
        (public, COMPACT, "other.example/log"),
        ([jwk.generate_signing().public], COMPACT, ORIGIN),
        ([], COMPACT, ORIGIN),
    ]
    for keys, compact, origin in wrong:
        with pytest.raises(ReceiptInvalid):
            receipt.verify(one, keys, compact=compact, origin=origin)


def lone(leaf: bytes) -> LogProof:
    """A log of this leaf alone, signed by the hub."""
    note = notes.sign_checkpoint(Checkpoint(ORIGIN, 1, merkle.leaf_hash(leaf)), log().key)
    return receipt.log_proof(ORIGIN, 0, leaf, [], note)


DEEP = b'{"kind":"key-added","organisation":"a","kid":"b","at":"c","jwk":{"a":' + b"[" * 4000 + b"]" * 4000 + b"}}"


@pytest.mark.parametrize(
    "leaf",
    [b"", b"{}", b"\xff", b"null", b"[" * 5000, DEEP, b'{"kind":"rumour"}', entries.encode(Fetched("a", 1, 2, "b"))],
)
def test_a_proven_leaf_that_is_no_acceptance_is_no_receipt(leaf: bytes) -> None:
    accepted = log().accepted
    with pytest.raises(ReceiptInvalid):
        receipt.verify(receipt.build(accepted, lone(leaf)), [log().key.public])


TEXTS = st.text(max_size=30)
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [found for key in keys for found in ((*path, key), *places(value[key], (*path, key)))]


@settings(max_examples=300)
@given(st.data())
def test_a_receipt_changed_anywhere_into_anything_is_refused_and_nothing_else(data: st.DataObject) -> None:
    document = msgspec.to_builtins(log().receipts[7])
    path = data.draw(st.sampled_from(places(document)))
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = data.draw(ANY)
    try:
        changed = receipt.parse(document)
    except ReceiptInvalid:
        return
    assert refused(changed) == (changed != log().receipts[7])


@given(st.binary(max_size=120))
def test_any_bytes_for_a_receipt_are_refused(noise: bytes) -> None:
    with pytest.raises(ReceiptInvalid):
        receipt.parse(noise)


@given(TEXTS, TEXTS, TEXTS, TEXTS, st.integers(), TEXTS, st.lists(TEXTS, max_size=3), TEXTS)
def test_any_texts_for_a_receipts_fields_prove_nothing(
    message: str, digest: str, at: str, origin: str, index: int, entry: str, proof: list[str], note: str
) -> None:
    encoded = base64.b64encode(entry.encode("utf-8", "surrogatepass")).decode()
    made = Receipt(message, digest, at, LogProof(origin, index, encoded, proof, note))
    assert refused(made)
    one = log().receipts[0]
    for changed in (msgspec.structs.replace(one.log, entry=entry), msgspec.structs.replace(one.log, checkpoint=note)):
        assert refused(msgspec.structs.replace(one, log=changed))


@pytest.mark.parametrize("field", ["message", "digest", "accepted", "log"])
def test_a_receipt_that_readers_disagree_on_is_none(field: str) -> None:
    document = msgspec.json.encode(log().receipts[0])
    assert receipt.parse(document) == log().receipts[0]
    twice = b'{"%b":%b,' % (field.encode(), b'"x"' if field != "log" else b"{}") + document[1:]
    for other in (twice, document + b"x", b"\xef\xbb\xbf" + document, document.replace(b'"origin"', b'"\\ud800"')):
        with pytest.raises(ReceiptInvalid):
            receipt.parse(other)
