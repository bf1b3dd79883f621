"""Which key counts when: validity, revocation, and that old signatures stay verifiable."""

from datetime import UTC, datetime, timedelta

import pytest

from keys.errors import AlgorithmNotAllowed, KeyNotValid, KeyUnknown
from keys.jwk import generate_encryption, generate_signing
from keys.trust import KeyRing

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
DAY = timedelta(days=1)
OLD = generate_signing(not_before=NOW - 9 * DAY, expires=NOW)
NEW = generate_signing("ES256", not_before=NOW - DAY)
SEALING, RETIRED = generate_encryption(), generate_encryption("P-256", expires=NOW)
RING = KeyRing([OLD.public, NEW.public, SEALING.public, RETIRED.public])


def test_a_key_counts_at_the_moment_in_question_and_not_at_another() -> None:
    assert RING.verifying(OLD.kid, NOW - DAY) == OLD.public
    assert RING.verifying(NEW.kid, NOW - DAY) == NEW.public
    for kid, at in ((OLD.kid, NOW), (OLD.kid, NOW - 10 * DAY), (NEW.kid, NOW - 2 * DAY)):
        with pytest.raises(KeyNotValid) as refused:
            RING.verifying(kid, at)
        assert refused.value.data["kid"] == kid


def test_a_revoked_key_counts_until_the_moment_of_its_revocation() -> None:
    ring = KeyRing([NEW.public, SEALING.public], {NEW.kid: NOW, SEALING.kid: NOW})
    before = NOW - timedelta(microseconds=1)
    assert ring.verifying(NEW.kid, before) == NEW.public
    assert ring.encryption_keys(before) == [SEALING.public]
    assert ring.encryption_keys(NOW) == []
    with pytest.raises(KeyNotValid) as refused:
        ring.verifying(NEW.kid, NOW)
    assert refused.value.data["revoked"] == ring.revoked(NEW.kid) == NOW


@pytest.mark.parametrize("kid", [None, "", "x", SEALING.kid, generate_signing().kid], ids=range(5))
def test_a_kid_that_is_no_verifying_key_of_this_party_is_unknown(kid: str | None) -> None:
    with pytest.raises(KeyUnknown):
        RING.verifying(kid, NOW)


def test_a_party_may_be_held_to_fewer_algorithms() -> None:
    with pytest.raises(AlgorithmNotAllowed):
        RING.verifying(NEW.kid, NOW, {"Ed25519"})
    assert RING.verifying(NEW.kid, NOW, {"ES256"}) == NEW.public


def test_content_is_sealed_to_keys_in_force_only() -> None:
    assert RING.encryption_keys(NOW) == [SEALING.public]
    assert RING.encryption_keys(NOW - DAY) == [SEALING.public, RETIRED.public]


def test_the_kids_there_ever_were_stay_known() -> None:
    assert RING.signing_kids() == {OLD.kid, NEW.kid}
    assert RING.revoked(OLD.kid) is None


def test_a_ring_is_not_changed_through_what_it_was_made_from() -> None:
    revoked = {NEW.kid: NOW}
    ring = KeyRing([NEW.public], revoked)
    revoked.clear()
    assert ring.revoked(NEW.kid) == NOW
