"""Keys as JWK: what each member may say, what is derived, what is refused, and that nothing shows a secret."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from keys import jwk
from keys.errors import AlgorithmNotAllowed, MalformedKey
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey
from tests.vectors import vectors

JOSE = vectors("jose")
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
# Known keys, not fresh ones: the names of the cases must not change from run to run.
ED25519, ES256 = (jwk.parse_private(JOSE[name]["key"] | {"use": "sig"}) for name in ("ed25519", "es256"))
X25519, P256 = jwk.generate_encryption(), jwk.generate_encryption("P-256")
ALL: list[SigningKey | DecryptionKey] = [ED25519, ES256, X25519, P256]


def bare(key: SigningKey | DecryptionKey, **more: Any) -> dict[str, Any]:
    """The members that make the key what it is, and `more`."""
    return {name: value for name, value in key.public.jwk.items() if name in ("kty", "crv", "x", "y")} | more


@pytest.mark.parametrize("key", ALL, ids=lambda key: f"{key.alg}-{key.public.jwk['crv']}")
def test_a_key_is_read_as_it_was_written(key: SigningKey | DecryptionKey) -> None:
    assert jwk.parse_private(json.loads(json.dumps(key.jwk()))).public == key.public
    assert jwk.parse_public(json.loads(json.dumps(key.public.jwk))) == key.public
    assert key.kid == jwk.thumbprint(key.public.jwk) == key.public.jwk["kid"]


@pytest.mark.parametrize(
    ("members", "kind", "alg"),
    [
        (bare(ED25519), VerifyingKey, "Ed25519"),
        (bare(ED25519, alg="EdDSA"), VerifyingKey, "Ed25519"),
        (bare(X25519), EncryptionKey, "ECDH-ES+A256KW"),
        (bare(ES256, use="sig"), VerifyingKey, "ES256"),
        (bare(ES256, alg="ES256"), VerifyingKey, "ES256"),
        (bare(ES256, key_ops=["verify"]), VerifyingKey, "ES256"),
        (bare(ES256, use="enc"), EncryptionKey, "ECDH-ES+A256KW"),
        (bare(ES256, alg="ECDH-ES+A256KW"), EncryptionKey, "ECDH-ES+A256KW"),
    ],
)
def test_what_one_member_says_need_not_be_said_by_the_others(members: dict[str, Any], kind: type, alg: str) -> None:
    key = jwk.parse_public(members)
    assert (type(key), key.alg, key.jwk["alg"]) == (kind, alg, alg)


@pytest.mark.parametrize(
    "members",
    [
        bare(ES256),
        bare(ES256, key_ops=[]),
        bare(ED25519, use="enc"),
        bare(ED25519, alg="ES256"),
        bare(ED25519, alg="none"),
        bare(ED25519, alg="HS256"),
        bare(ED25519, alg=["Ed25519"]),
        bare(ED25519, use=["sig"]),
        bare(ED25519, use="sig", key_ops=["deriveKey"]),
        bare(ED25519, key_ops="sign"),
        bare(ED25519, key_ops=[["sign"]]),
        bare(X25519, alg="ECDH-ES"),
        bare(X25519, alg="dir"),
        bare(X25519, use="sig"),
        bare(ES256, use="sig", alg="ECDH-ES+A256KW"),
        bare(ES256, use="sig", alg="ES384"),
        bare(ED25519, crv="X25519", use="sig"),
        bare(ED25519, kty="EC"),
        bare(ED25519, kty=None),
        bare(ED25519, crv=["Ed25519"]),
        bare(ED25519, crv="Ed448"),
        {"kty": "oct", "k": "AAAA"},
        {"kty": "oct", "k": "AAAA", "crv": "P-256"},
        JOSE["rsa_thumbprint"]["key"],
    ],
)
def test_what_leaves_a_keys_purpose_open_or_contradicts_it_is_refused(members: dict[str, Any]) -> None:
    with pytest.raises(MalformedKey):
        jwk.parse_public(members)


@pytest.mark.parametrize("kid", ["", "../../etc/passwd", "' OR 1=1 --", ED25519.kid + "=", ES256.kid, 1, None, ["x"]])
def test_a_kid_that_is_not_the_thumbprint_is_refused(kid: object) -> None:
    with pytest.raises(MalformedKey, match="thumbprint"):
        jwk.parse_public(bare(ED25519, kid=kid))


@pytest.mark.parametrize("member", ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
def test_a_private_member_in_a_public_key_is_refused(member: str) -> None:
    with pytest.raises(MalformedKey, match="private member") as refused:
        jwk.parse_public(bare(ED25519) | {member: "c2VjcmV0LXZhbHVl"})
    assert "c2VjcmV0LXZhbHVl" not in f"{refused.value}{refused.value.data}"


@pytest.mark.parametrize("document", [None, [], "key", 1, b"{}"])
def test_what_is_not_an_object_is_no_key(document: object) -> None:
    for parse in (jwk.parse_public, jwk.parse_private):
        with pytest.raises(MalformedKey, match="object"):
            parse(document)


def test_members_without_a_meaning_here_are_dropped() -> None:
    noisy = bare(ED25519, x5u="https://attacker.example/", jku="https://attacker.example/", x5c=["MII"], foo={"a": 1})
    assert jwk.parse_public(noisy).jwk == ED25519.public.jwk


def test_a_validity_interval_begins_with_nbf_and_ends_before_exp() -> None:
    key = jwk.generate_signing(not_before=NOW, expires=NOW + timedelta(days=1)).public
    assert key.jwk["nbf"] == int(NOW.timestamp())
    assert [key.valid_at(NOW + timedelta(seconds=s)) for s in (-1, 0, 86_399, 86_400)] == [False, True, True, False]
    other_zone = NOW.astimezone(timezone(timedelta(hours=8)))
    assert key.valid_at(other_zone)
    assert X25519.public.valid_at(datetime.min.replace(tzinfo=UTC))


@pytest.mark.parametrize("value", ["1", 1.5, True, None, [1], 10**18, -(10**18)])
@pytest.mark.parametrize("name", ["nbf", "exp"])
def test_a_moment_that_is_none_is_refused(name: str, value: object) -> None:
    with pytest.raises(MalformedKey, match="moment"):
        jwk.parse_public(bare(ED25519) | {name: value})


def test_a_key_that_expires_before_it_is_valid_is_refused() -> None:
    for nbf, exp in ((10, 10), (10, 9)):
        with pytest.raises(MalformedKey, match="expires before"):
            jwk.parse_public(bare(ED25519, nbf=nbf, exp=exp))


def test_keys_are_not_made_for_algorithms_that_are_not_allowed_or_moments_without_a_zone() -> None:
    for alg in ("none", "HS256", "RS256", "ES384", "", "ed25519"):
        with pytest.raises(AlgorithmNotAllowed):
            jwk.generate_signing(alg)
    for crv in ("P-384", "Ed25519", ""):
        with pytest.raises(AlgorithmNotAllowed):
            jwk.generate_encryption(crv)
    with pytest.raises(ValueError, match="time zone"):
        jwk.generate_signing(not_before=NOW.replace(tzinfo=None))


@pytest.mark.parametrize("key", ALL, ids=lambda key: key.alg)
def test_nothing_a_key_prints_shows_the_private_part(key: SigningKey | DecryptionKey) -> None:
    secret = key.jwk()["d"]
    for text in (repr(key), str(key), f"{key!r:>5}", repr(key.public), str([key]), str({"key": key})):
        assert secret not in text
    assert "d" not in key.public.jwk


def test_a_set_is_read_in_order_and_published_as_it_was_read() -> None:
    document = jwk.public_jwks([key.public for key in ALL])
    assert [key.kid for key in jwk.parse_jwks(document)] == [key.kid for key in ALL]
    assert jwk.public_jwks(jwk.parse_jwks(document)) == document


@pytest.mark.parametrize(
    "document",
    [None, [], {}, {"keys": None}, {"keys": {}}, {"keys": [None]}, {"keys": [bare(ED25519), bare(ED25519)]}],
)
def test_a_set_with_anything_but_keys_or_with_a_key_twice_is_refused(document: object) -> None:
    with pytest.raises(MalformedKey):
        jwk.parse_jwks(document)


def test_a_thumbprint_sees_the_required_members_only() -> None:
    assert jwk.thumbprint(bare(ES256, use="enc", alg="x", d="secret", kid="y")) == ES256.kid


@pytest.mark.parametrize(
    "members", [{}, {"kty": "XY"}, {"kty": ["EC"]}, {"kty": "EC", "crv": "P-256", "x": 1, "y": "a"}]
)
def test_there_is_no_thumbprint_of_what_is_no_key(members: dict[str, Any]) -> None:
    with pytest.raises(MalformedKey):
        jwk.thumbprint(members)
