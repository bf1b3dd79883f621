"""Chains of entity statements: what holds, and every way in which one does not."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keys import jwk, jws
from keys.jwk import SigningKey
from protocols import vouching
from protocols.vouching import Constraints, Described, Name, VouchingInvalid, verify_chain

NOW = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
ANCHOR, PROVINCE, CITY, COUNTY = "100000-supervision", "410000-supervision", "411000-supervision", "411002-health"
KEYS: dict[str, SigningKey] = {name: jwk.generate_signing() for name in (ANCHOR, PROVINCE, CITY, COUNTY)}
SEAL = jwk.generate_encryption()
TRUSTED = jwk.public_jwks([KEYS[ANCHOR].public])
DESCRIBED = Described(Name("魏都区卫生健康委员会", "Weidu Health Commission"), ["bureau"])
FREE = Constraints()


def asked(name: str, superior: str, now: datetime = NOW, described: Described = DESCRIBED) -> str:
    return vouching.apply(name, described, superior, [KEYS[name].public, SEAL.public], KEYS[name], now)


def chain(limits: Constraints = FREE) -> list[str]:
    """County, vouched for by its city, that by the province, that by the anchor."""
    application = asked(COUNTY, CITY)
    return [
        application,
        vouching.vouch(CITY, application, KEYS[CITY], FREE, NOW),
        vouching.vouch(PROVINCE, asked(CITY, PROVINCE), KEYS[PROVINCE], FREE, NOW),
        vouching.vouch(ANCHOR, asked(PROVINCE, ANCHOR), KEYS[ANCHOR], limits, NOW),
    ]


def test_a_chain_that_holds_tells_who_vouched_up_to_the_anchor() -> None:
    found = verify_chain(chain(), ANCHOR, TRUSTED, NOW)
    assert found.path == (COUNTY, CITY, PROVINCE, ANCHOR)
    assert found.described == DESCRIBED
    assert {key["kid"] for key in found.jwks["keys"]} == {KEYS[COUNTY].kid, SEAL.public.kid}
    assert found.expires == NOW + timedelta(days=90)


def claims_of(statement: str) -> dict[str, Any]:
    return dict(json.loads(jws.decode(statement.encode(), typ="entity-statement+jwt", extra_headers=True).payload))


def test_the_statements_are_what_the_standard_says() -> None:
    own, above = claims_of(chain()[0]), claims_of(chain()[1])
    assert (above["iss"], above["sub"]) == (CITY, COUNTY)
    assert above["jwks"]["keys"] and above["exp"] > above["iat"]
    assert own["iss"] == own["sub"] == COUNTY and own["authority_hints"] == [CITY]
    assert "authority_hints" not in above


@pytest.mark.parametrize(
    ("limits", "holds"),
    [
        (Constraints(divisions=["41"]), True),
        (Constraints(divisions=["42", "4110"]), False),
        (Constraints(divisions=["44"]), False),
        (Constraints(departments=["health", "supervision"]), True),
        (Constraints(departments=["health"]), False),
        (Constraints(max_path_length=2), True),
        (Constraints(max_path_length=1), False),
    ],
)
def test_whom_an_anchor_vouches_for_has_limits(limits: Constraints, holds: bool) -> None:
    if holds:
        assert verify_chain(chain(limits), ANCHOR, TRUSTED, NOW).organisation == COUNTY
    else:
        with pytest.raises(VouchingInvalid):
            verify_chain(chain(limits), ANCHOR, TRUSTED, NOW)


def resigned(statement: str, key: SigningKey, **claims: Any) -> str:
    return jws.sign(json.dumps({**claims_of(statement), **claims}).encode(), key, typ=vouching.TYP).decode()


def at(number: int, **claims: Any) -> Callable[[list[str]], list[str]]:
    """One statement with other claims, signed by its own issuer."""
    signers = (COUNTY, CITY, PROVINCE, ANCHOR)
    return lambda c: [resigned(s, KEYS[signers[n]], **claims) if n == number else s for n, s in enumerate(c)]


def described(*roles: str) -> dict[str, Any]:
    return {vouching.KIND: {"name": {"zh": "某机构", "en": "Some body"}, "roles": list(roles)}}


STRANGER = jwk.generate_signing()
CHANGES: dict[str, Callable[[list[str]], list[str]]] = {
    "nobody vouches": lambda c: c[:1],
    "a link is missing": lambda c: [c[0], c[1], c[3]],
    "the anchor is missing": lambda c: c[:3],
    "out of order": lambda c: [c[0], c[2], c[1], c[3]],
    "too long": lambda c: [c[0], *c[1:] * 3],
    "signed by a stranger": lambda c: [c[0], resigned(c[1], STRANGER), *c[2:]],
    "the anchor's by a stranger": lambda c: [*c[:3], resigned(c[3], STRANGER)],
    "the application by a stranger": lambda c: [resigned(c[0], STRANGER), *c[1:]],
    "other keys than asked for": at(1, jwks=jwk.public_jwks([STRANGER.public])),
    "another description": at(1, metadata={}),
    "more roles than asked for": at(1, metadata=described("supervisor")),
    "a role that there is not": at(0, metadata=described("emperor")),
    "from the future": at(1, iat=int((NOW + timedelta(hours=1)).timestamp())),
    "expired": at(2, exp=int(NOW.timestamp())),
    "no moment": at(2, exp=10**18),
    "on somebody else": at(1, sub="411003-health"),
    "a superior that is not above": at(1, iss="441900-supervision"),
    "no keys": at(1, jwks={"keys": []}),
    "a broken key": at(1, jwks={"keys": [{"kty": "OKP"}]}),
    "no statement at all": lambda c: [c[0], "x.y.z", *c[2:]],
    "a message instead": lambda c: [c[0], jws.sign(b"{}", KEYS[CITY], typ="xieban+jws").decode(), *c[2:]],
    "very long": lambda c: [c[0], c[1] + "A" * 40_000, *c[2:]],
    "not ASCII": lambda c: [c[0], "担保", *c[2:]],
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_chain_that_does_not_hold_admits_nobody(what: str) -> None:
    with pytest.raises(VouchingInvalid):
        verify_chain(CHANGES[what](chain()), ANCHOR, TRUSTED, NOW)


def test_a_chain_holds_only_under_the_anchors_own_name_and_keys_and_in_its_time() -> None:
    for anchor, jwks, now in (
        (PROVINCE, TRUSTED, NOW),
        (ANCHOR, jwk.public_jwks([STRANGER.public]), NOW),
        (ANCHOR, {}, NOW),
        (ANCHOR, TRUSTED, NOW + timedelta(days=91)),
        (ANCHOR, TRUSTED, NOW - timedelta(days=1)),
    ):
        with pytest.raises(VouchingInvalid):
            verify_chain(chain(), anchor, jwks, now)


def test_a_superior_vouches_for_what_was_asked_of_it_alone() -> None:
    with pytest.raises(VouchingInvalid):
        vouching.vouch(PROVINCE, asked(COUNTY, CITY), KEYS[PROVINCE], FREE, NOW)
    wrong = (
        Described(Name("", "x"), ["bureau"]),
        Described(Name("某", "x\ny"), ["bureau"]),
        Described(Name("某", "x"), []),
    )
    for one in wrong:
        with pytest.raises(VouchingInvalid):
            vouching.vouch(CITY, asked(COUNTY, CITY, NOW, one), KEYS[CITY], FREE, NOW)
