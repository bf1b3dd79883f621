"""The bearer token: whose it is, for whom, for how long, and nothing else signed passes for one."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys import base64url, jws, jwt
from keys.errors import TokenInvalid
from keys.jwk import generate_encryption, generate_signing
from keys.trust import KeyRing

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
AT = int(NOW.timestamp())
BUREAU, HUB = "411002-health", "410000-hub"
KEY, OTHER = generate_signing(), generate_signing("ES256")
RING = KeyRing([KEY.public, generate_encryption().public])
CLAIMS = {"iss": BUREAU, "sub": BUREAU, "aud": HUB, "iat": AT, "exp": AT + 300, "jti": "1"}


def verify(token: str, at: datetime = NOW, keys: KeyRing = RING) -> jwt.Claims:
    return jwt.verify(token, issuer=BUREAU, audience=HUB, keys=keys, now=at)


def refusal(token: str, **options: Any) -> dict[str, object]:
    with pytest.raises(TokenInvalid) as refused:
        verify(token, **options)
    return refused.value.data


def claims(**changes: object) -> str:
    """A token of changed claims; those set to ... are left out."""
    return jwt.issue({k: v for k, v in (CLAIMS | changes).items() if v is not ...}, KEY)


def test_a_fresh_token_is_its_organisations_for_this_hub() -> None:
    told = verify(jwt.bearer(BUREAU, HUB, KEY, NOW))
    assert (told.organisation, told.audience, told.kid) == (BUREAU, HUB, KEY.kid)
    assert (told.issued, told.expires) == (NOW, NOW + timedelta(minutes=5))


def test_no_two_tokens_are_the_same() -> None:
    assert jwt.bearer(BUREAU, HUB, KEY, NOW) != jwt.bearer(BUREAU, HUB, KEY, NOW)


@pytest.mark.parametrize(("seconds", "accepted"), [(-31, False), (-30, True), (0, True), (329, True), (330, False)])
def test_a_token_is_in_force_from_its_issue_to_its_expiry_give_or_take_thirty_seconds(
    seconds: int, accepted: bool
) -> None:
    at = NOW + timedelta(seconds=seconds)
    if accepted:
        assert verify(claims(), at).expires == NOW + timedelta(minutes=5)
    else:
        assert refusal(claims(), at=at)["claim"] in ("iat", "exp")


@pytest.mark.parametrize(
    ("changes", "claim"),
    [
        ({"iss": "440306-health"}, "iss"),
        ({"sub": "440306-health"}, "iss"),
        ({"iss": ...}, "iss"),
        ({"sub": ...}, "sub"),
        ({"iss": [BUREAU]}, "iss"),
        ({"iss": ""}, "iss"),
        ({"aud": "440000-hub"}, "aud"),
        ({"aud": [HUB, "440000-hub"]}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": ...}, "aud"),
        ({"aud": {HUB: 1}}, "aud"),
        ({"exp": AT + 301}, "exp"),
        ({"exp": AT}, "exp"),
        ({"exp": AT - 1}, "exp"),
        ({"exp": ...}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": str(AT + 300)}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 10**17}, "exp"),
        ({"iat": ...}, "iat"),
        ({"iat": -1}, "iat"),
        ({"iat": AT - 10**6}, "exp"),
        ({"iat": 253402300500, "exp": 253402300799}, "iat"),
        ({"nbf": AT + 31}, "nbf"),
        ({"nbf": "soon"}, "nbf"),
        ({"jti": ...}, "jti"),
        ({"jti": ""}, "jti"),
        ({"jti": 1}, "jti"),
        ({"jti": "x" * 129}, "jti"),
    ],
)
def test_a_token_that_says_something_else_is_refused_naming_the_claim(changes: dict[str, object], claim: str) -> None:
    assert refusal(claims(**changes)) == {"claim": claim}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"aud": "440000-hub"}, f"aud must be {HUB}"),
        ({"iat": AT + 100, "exp": AT + 200}, f"({AT}), the time here"),
        ({"iat": AT - 200, "exp": AT - 100}, f"({AT}), the time here"),
        ({"jti": ...}, "the claim jti"),
        ({"exp": ...}, "the claim exp"),
    ],
)
def test_who_is_refused_is_told_what_is_wanted_instead(changes: dict[str, object], said: str) -> None:
    with pytest.raises(TokenInvalid) as refused:
        verify(claims(**changes))
    assert said in refused.value.detail


@pytest.mark.parametrize("changes", [{"aud": [HUB]}, {"nbf": AT + 30}, {"exp": AT + 299.5}, {"scope": "anything"}])
def test_what_other_libraries_write_is_taken(changes: dict[str, object]) -> None:
    assert verify(claims(**changes)).jti == "1"


def test_a_token_by_a_key_that_is_unknown_revoked_or_expired_is_refused() -> None:
    assert refusal(jwt.issue(CLAIMS, OTHER))["reason"] == "key-unknown"
    revoked = KeyRing([KEY.public], {KEY.kid: NOW})
    assert refusal(claims(), keys=revoked)["reason"] == "key-not-valid"
    expired = generate_signing(expires=NOW)
    assert refusal(jwt.issue(CLAIMS, expired), keys=KeyRing([expired.public]))["reason"] == "key-not-valid"
    assert refusal(claims()[:-8] + "AAAAAAAA")["reason"] == "signature-invalid"


def test_a_token_without_kid_or_signature_is_refused() -> None:
    def forged(header: dict[str, object], signature: str = "") -> str:
        parts = [base64url.encode(json.dumps(part).encode()) for part in (header, CLAIMS)]
        return ".".join([*parts, signature])

    assert refusal(forged({"alg": "none"}))["reason"] == "key-unknown"
    assert refusal(forged({"alg": "none", "kid": KEY.kid}))["reason"] == "algorithm-not-allowed"
    assert refusal(forged({"alg": "Ed25519", "kid": KEY.kid}))["reason"] == "signature-invalid"
    assert refusal(forged({"alg": "HS256", "kid": KEY.kid}, "AAAA"))["reason"] == "algorithm-not-allowed"
    assert refusal(forged({"alg": "Ed25519", "kid": KEY.kid, "crit": ["exp"]}))["reason"] == "jws-malformed"


@pytest.mark.parametrize("typ", ["xieban+jws", "xieban-ack+jws", "at+jwt", "JOSE"])
def test_a_message_or_an_acknowledgement_is_no_token(typ: str) -> None:
    token = jws.sign(json.dumps(CLAIMS).encode(), KEY, typ=typ).decode()
    assert refusal(token) == {"typ": typ}
    with pytest.raises(TokenInvalid):
        jwt.peek_issuer(token)


@pytest.mark.parametrize("payload", [b"", b"[]", b'"x"', b"{", b'{"iss":"a","iss":"b"}', b"\xff", b"[" * 200])
def test_claims_that_are_no_object_are_refused(payload: bytes) -> None:
    token = jws.sign(payload, KEY, typ="JWT").decode()
    refusal(token)
    with pytest.raises(TokenInvalid):
        jwt.peek_issuer(token)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "\ud800", "x" * 8193, "Bearer x"])
def test_what_is_no_token_at_all_is_refused(token: str) -> None:
    assert "claim" not in refusal(token)
    with pytest.raises(TokenInvalid):
        jwt.peek_issuer(token)


def test_whose_a_token_claims_to_be_is_read_before_it_is_believed() -> None:
    assert jwt.peek_issuer(claims(iss="440306-health")) == "440306-health"
