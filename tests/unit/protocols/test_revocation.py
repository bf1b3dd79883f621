"""The signed word that a key counts no more: what it says, and everything that it may not be."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from keys import jwk, jws
from protocols import delegation, revocation
from protocols.revocation import Revocation, RevocationInvalid, check, read

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
CITY, COUNTY, HUB = "411000-supervision", "411002-health", "410000-hub"
KEY, LOST = jwk.generate_signing(), jwk.generate_signing()
SINCE = datetime(2026, 11, 24, 3, 7, 21, 123456, tzinfo=UTC)


def word(**options: Any) -> str:
    return revocation.revoke(CITY, COUNTY, LOST.kid, HUB, KEY, NOW, **options)


def claims_of(token: str) -> dict[str, Any]:
    return dict(json.loads(jws.decode(token.encode(), typ=revocation.TYP).payload))


def resigned(typ: str = revocation.TYP, without: str = "", **claims: Any) -> str:
    said = {name: value for name, value in (claims_of(word()) | claims).items() if name != without}
    return jws.sign(json.dumps(said).encode(), KEY, typ=typ).decode()


def test_it_says_who_revokes_which_key_towards_which_hub() -> None:
    compact, said = read(word())
    assert jws.verify(compact, KEY.public)
    assert said == Revocation(CITY, COUNTY, LOST.kid, HUB, NOW, NOW + timedelta(hours=1), None)
    assert claims_of(word()).keys() == {"iss", "sub", "aud", "iat", "exp", "kid"}


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=8))])
def test_the_moment_of_a_leak_is_kept_to_the_microsecond(zone: timezone) -> None:
    assert read(word(compromised_since=SINCE.astimezone(zone)))[1].compromised_since == SINCE


WRONG = {
    "a delegation": resigned(typ=delegation.TYP),
    "a token": resigned(typ="JWT"),
    "no key": resigned(without="kid"),
    "no audience": resigned(without="aud"),
    "no end": resigned(without="exp"),
    "a claim more": resigned(reason="lost"),
    "what is no thumbprint": resigned(kid="K"),
    "a thumbprint and a line": resigned(kid=LOST.kid + "\n"),
    "what is no organisation": resigned(sub="Xuchang"),
    "a signer that is none": resigned(iss="http://evil.example"),
    "an end before its beginning": resigned(exp=int(NOW.timestamp())),
    "an end too far away": resigned(exp=int((NOW + timedelta(days=2)).timestamp())),
    "no moments": resigned(iat=10**18, exp=10**18 + 60),
    "a moment in words": resigned(iat="now"),
    "a leak without a zone": resigned(compromised_since="2026-11-24T03:07:21"),
    "a leak before all time": resigned(compromised_since="0001-01-01T00:00:00+08:00"),
    "a leak in words": resigned(compromised_since="yesterday"),
    "a leak that is null": resigned(compromised_since=None),
    "nothing": "",
    "no JWS": "a.b.c",
    "not ASCII": "停用",
    "very long": "A" * 9000,
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_not_quite_it_is_refused(what: str) -> None:
    with pytest.raises(RevocationInvalid):
        read(WRONG[what])


def test_none_is_made_that_could_not_be_read() -> None:
    with pytest.raises(RevocationInvalid):
        word(compromised_since=SINCE.replace(tzinfo=None))
    with pytest.raises(RevocationInvalid):
        word(lifetime=timedelta(days=2))
    with pytest.raises(RevocationInvalid):
        revocation.revoke(CITY, COUNTY, "nonsense", HUB, KEY, NOW)


@pytest.mark.parametrize(
    ("hub", "later", "holds"),
    [
        (HUB, timedelta(0), True),
        (HUB, timedelta(minutes=59, seconds=59), True),
        (HUB, timedelta(minutes=-5), True),
        (HUB, timedelta(hours=1), False),
        (HUB, timedelta(minutes=-6), False),
        ("440000-hub", timedelta(0), False),
    ],
)
def test_it_holds_at_its_hub_and_in_its_time(hub: str, later: timedelta, holds: bool) -> None:
    said = read(word())[1]
    if holds:
        check(said, hub, NOW + later)
    else:
        with pytest.raises(RevocationInvalid):
            check(said, hub, NOW + later)


def test_no_key_has_leaked_in_the_future() -> None:
    check(read(word(compromised_since=NOW))[1], HUB, NOW)
    with pytest.raises(RevocationInvalid, match="future"):
        check(read(word(compromised_since=NOW + timedelta(microseconds=1)))[1], HUB, NOW)


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "0001-01-01T00:00:00+08:00"])
def test_a_leak_of_another_age_is_refused(moment: str) -> None:
    since = datetime.fromisoformat("1999-12-31T00:00:00+00:00")
    with pytest.raises(RevocationInvalid):
        revocation.revoke("411000-health", "411002-health", "a" * 43, "410000-hub", jwk.generate_signing(),
                          datetime.now(UTC), since)  # fmt: skip
    claims = {"iss": "411000-health", "sub": "411002-health", "aud": "410000-hub", "iat": 1, "exp": 2, "kid": "a" * 43,
              "compromised_since": moment}  # fmt: skip
    token = jws.sign(json.dumps(claims).encode(), jwk.generate_signing(), typ=revocation.TYP)
    with pytest.raises(RevocationInvalid):
        revocation.read(token)
