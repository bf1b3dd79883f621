"""Revocations for any moments, and any bytes in their place."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys import jws
from keys.errors import Fault
from keys.jwk import SigningKey
from protocols import revocation
from protocols.revocation import RevocationInvalid
from tests.strategies import SIGNING_KEYS, bit_of, json_like, json_values, signing_keys

CITY, COUNTY, HUB = "411000-supervision", "411002-health", "410000-hub"
LOST = SIGNING_KEYS[0].kid
moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
WORD = revocation.revoke(CITY, COUNTY, LOST, HUB, SIGNING_KEYS[-1], datetime(2026, 11, 24, tzinfo=UTC)).encode()


@given(key=signing_keys, now=moments, since=st.none() | moments, lifetime=st.integers(1, 86_400))
def test_what_was_said_is_what_is_read(key: SigningKey, now: datetime, since: datetime | None, lifetime: int) -> None:
    token = revocation.revoke(CITY, COUNTY, LOST, HUB, key, now, since, timedelta(seconds=lifetime))
    compact, said = revocation.read(token)
    jws.verify(compact, key.public)
    assert (said.signer, said.organisation, said.kid, said.hub) == (CITY, COUNTY, LOST, HUB)
    assert said.compromised_since == since
    assert said.issued <= now < said.issued + timedelta(seconds=1)
    assert said.expires - said.issued == timedelta(seconds=lifetime)


@given(token=st.binary(max_size=300) | st.text("ey.J01aZ_-", max_size=80).map(str.encode))
def test_any_bytes_are_refused_as_what_they_are(token: bytes) -> None:
    with pytest.raises(RevocationInvalid):
        revocation.read(token)


@given(key=signing_keys, payload=json_like | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_signed_payload_is_refused(key: SigningKey, payload: bytes) -> None:
    with pytest.raises(RevocationInvalid):
        revocation.read(jws.sign(payload, key, typ=revocation.TYP))


@given(changed=bit_of(WORD))
def test_no_bit_of_it_can_be_changed(changed: bytes) -> None:
    with pytest.raises(Fault):
        compact, _ = revocation.read(changed)
        jws.verify(compact, SIGNING_KEYS[-1].public)
