"""Tokens, seals, keys and checkpoints: what was made is taken, and whatever was changed is not."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import base64url, jwe, jws
from keys.checkpoint import MAX_SIZE, Checkpoint, sign_checkpoint, verify_checkpoint
from keys.errors import BadCheckpoint, BadSeal, BadSignature, Fault, MalformedJWS
from keys.jwk import DecryptionKey, SigningKey, generate_signing, parse_private, parse_public
from tests.strategies import (
    SIGNING_KEYS,
    bit_of,
    ed25519_keys,
    hashes,
    json_values,
    origins,
    recipients,
    signing_keys,
)

TYP = "xieban+jws"
moments = st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))


@given(st.binary(max_size=300), signing_keys, st.none() | st.text("abc/+", min_size=1))
def test_a_token_gives_back_its_payload(payload: bytes, key: SigningKey, cty: str | None) -> None:
    compact = jws.decode(jws.sign(payload, key, typ=TYP, cty=cty), typ=TYP)
    assert jws.verify(compact, key.public) == compact.payload == payload
    assert compact.header == jws.Header(key.alg, key.kid, TYP, cty)


@given(st.binary(max_size=60), signing_keys, st.data())
def test_a_token_with_one_bit_changed_is_refused(payload: bytes, key: SigningKey, data: st.DataObject) -> None:
    changed = data.draw(bit_of(jws.sign(payload, key, typ=TYP)))
    with pytest.raises(Fault):
        jws.verify(jws.decode(changed, typ=TYP), key.public)


@given(st.binary(max_size=60), signing_keys, signing_keys)
def test_only_the_signers_key_verifies(payload: bytes, signer: SigningKey, other: SigningKey) -> None:
    compact = jws.decode(jws.sign(payload, signer, typ=TYP), typ=TYP)
    if signer is other:
        assert jws.verify(compact, other.public) == payload
    else:
        with pytest.raises(Fault):
            jws.verify(compact, other.public)
        with pytest.raises(BadSignature):
            other.public.verify(compact.signing_input, compact.signature)


@given(st.binary(max_size=200) | st.lists(st.binary(max_size=40), max_size=5).map(b".".join), st.booleans())
def test_arbitrary_bytes_are_no_token(data: bytes, extra: bool) -> None:
    with pytest.raises(MalformedJWS):
        jws.decode(data, typ=TYP, extra_headers=extra)


@given(json_values, st.binary(max_size=20), st.binary(max_size=20))
def test_any_json_as_a_header_is_refused_in_good_order(header: object, payload: bytes, signature: bytes) -> None:
    parts = [json.dumps(header).encode(), payload, signature]
    token = ".".join(base64url.encode(part) for part in parts).encode()
    with pytest.raises(MalformedJWS):
        jws.decode(token, typ=TYP)


@given(json_values)
def test_any_json_as_a_key_is_refused_in_good_order(value: object) -> None:
    for parse in (parse_public, parse_private):
        with pytest.raises(Fault):
            parse(value)


@given(
    signing_keys, st.sampled_from(["kty", "crv", "x", "y", "use", "alg", "kid", "nbf", "exp", "key_ops"]), json_values
)
def test_any_json_as_a_keys_member_is_taken_or_refused_in_good_order(key: SigningKey, name: str, value: object) -> None:
    try:
        public = parse_public(key.public.jwk | {name: value})
    except Fault:
        return
    assert public.kid == key.kid


@given(moments, moments, moments)
def test_a_key_is_valid_from_its_beginning_to_before_its_end(one: datetime, two: datetime, at: datetime) -> None:
    begin, end = sorted(moment.replace(microsecond=0) for moment in (one, two))
    if begin == end:
        return
    public = generate_signing(not_before=begin, expires=end).public
    assert parse_public(json.loads(json.dumps(public.jwk))) == public
    assert public.valid_at(at) == (begin <= at < end)


@given(st.binary(max_size=2000), recipients)
def test_every_recipient_opens_a_seal(plaintext: bytes, keys: list[DecryptionKey]) -> None:
    sealed = json.loads(json.dumps(jwe.seal(plaintext, [key.public for key in keys])))
    assert {jwe.unseal(sealed, key) for key in keys} == {plaintext}
    assert jwe.recipient_kids(sealed) == [key.kid for key in keys]


@given(st.binary(min_size=1, max_size=60), recipients, st.sampled_from(["iv", "ciphertext", "tag"]), st.data())
def test_a_seal_with_one_bit_changed_does_not_open(
    plaintext: bytes, keys: list[DecryptionKey], name: str, data: st.DataObject
) -> None:
    sealed = jwe.seal(plaintext, [key.public for key in keys])
    changed = data.draw(bit_of(base64url.decode(sealed[name])))
    with pytest.raises(BadSeal) as refused:
        jwe.unseal(sealed | {name: base64url.encode(changed)}, keys[0])
    assert refused.value.data["check"] == "opening"


@given(recipients, st.data())
def test_any_json_in_a_seals_place_is_refused_in_good_order(keys: list[DecryptionKey], data: st.DataObject) -> None:
    sealed = json.loads(json.dumps(jwe.seal(b"", [key.public for key in keys])))
    places = [
        sealed,
        sealed["recipients"][0],
        sealed["recipients"][0]["header"],
        sealed["recipients"][0]["header"]["epk"],
    ]
    place = data.draw(st.sampled_from(places))
    name = data.draw(st.sampled_from(sorted(place)))
    before, place[name] = place[name], data.draw(json_values)
    if place[name] == before:
        return
    for kid in jwe.recipient_kids(sealed):
        assert isinstance(kid, str)
    with pytest.raises(BadSeal):
        jwe.unseal(sealed, keys[0])


@given(json_values, recipients)
def test_any_json_at_all_as_a_seal_is_malformed(value: object, keys: list[DecryptionKey]) -> None:
    assert jwe.recipient_kids(value) == []
    with pytest.raises(BadSeal) as refused:
        jwe.unseal(value, keys[0])
    assert refused.value.data["check"] == "form"


@given(origins, st.integers(0, MAX_SIZE), hashes, ed25519_keys)
def test_a_checkpoint_is_read_as_it_was_signed(origin: str, size: int, root: bytes, key: SigningKey) -> None:
    checkpoint = Checkpoint(origin, size, root)
    note = sign_checkpoint(checkpoint, key)
    publics = [other.public for other in SIGNING_KEYS]
    assert verify_checkpoint(note, publics, origin) == verify_checkpoint(note.encode(), publics) == checkpoint


@given(origins, st.integers(0, MAX_SIZE), hashes, ed25519_keys, st.data())
def test_a_checkpoint_with_one_bit_changed_is_refused(
    origin: str, size: int, root: bytes, key: SigningKey, data: st.DataObject
) -> None:
    changed = data.draw(bit_of(sign_checkpoint(Checkpoint(origin, size, root), key).encode()))
    with pytest.raises(BadCheckpoint):
        verify_checkpoint(changed, [key.public])


@given(st.binary(max_size=200) | st.text(max_size=200), ed25519_keys)
def test_arbitrary_text_is_no_checkpoint(note: bytes | str, key: SigningKey) -> None:
    with pytest.raises(BadCheckpoint):
        verify_checkpoint(note, [key.public])
