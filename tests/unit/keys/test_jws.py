"""Compact JWS: what is signed, what is refused before any key is touched, and no way to confuse algorithms or keys."""

import hashlib
import hmac
import json
from typing import Any

import pytest

from keys import base64url, jws
from keys.errors import AlgorithmNotAllowed, BadSignature, KeyUnknown, MalformedJWS
from keys.jwk import SigningKey, generate_signing, parse_private
from tests.vectors import vectors


def known(name: str) -> SigningKey:
    """A key that a standard prints."""
    key = parse_private(vectors("jose")[name]["key"] | {"use": "sig"})
    assert isinstance(key, SigningKey)
    return key


TYP = "xieban+jws"
CTY = "application/cloudevents+json"
# Known keys, not fresh ones: the names of the cases must not change from run to run.
ED25519, ES256 = (known(name) for name in ("ed25519", "es256"))
PAYLOAD = '{"消息":1}'.encode()
HEADER = {"alg": "Ed25519", "kid": ED25519.kid, "typ": TYP}


def token(header: object, payload: bytes = PAYLOAD, key: SigningKey = ED25519) -> bytes:
    """A JWS of any header at all, its signature in order."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    signing_input = f"{base64url.encode(text)}.{base64url.encode(payload)}".encode()
    return signing_input + b"." + base64url.encode(key.sign(signing_input)).encode()


def refusal(data: bytes, **options: Any) -> MalformedJWS:
    with pytest.raises(MalformedJWS) as refused:
        jws.decode(data, **({"typ": TYP} | options))
    return refused.value


@pytest.mark.parametrize("key", [ED25519, ES256], ids=lambda key: key.alg)
@pytest.mark.parametrize("cty", [None, CTY])
def test_what_was_signed_is_verified(key: SigningKey, cty: str | None) -> None:
    compact = jws.decode(jws.sign(PAYLOAD, key, typ=TYP, cty=cty), typ=TYP)
    assert jws.verify(compact, key.public) == PAYLOAD
    assert compact.header == jws.Header(key.alg, key.kid, TYP, cty)
    assert compact.token.startswith(compact.signing_input + b".")


def test_the_header_is_exactly_that_of_the_contract() -> None:
    header = jws.sign(b"", ED25519, typ=TYP, cty=CTY).split(b".")[0]
    assert json.loads(base64url.decode(header)) == {"alg": "Ed25519", "kid": ED25519.kid, "typ": TYP, "cty": CTY}


def test_eddsa_is_ed25519_by_its_older_name() -> None:
    assert jws.verify(jws.decode(token(HEADER | {"alg": "EdDSA"}), typ=TYP), ED25519.public) == PAYLOAD


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "HS256", "HS512", "RS256", "PS256", "ES384", "ES256K", "", "ed25519"]
)
def test_an_algorithm_that_is_not_in_the_table_does_not_exist(alg: str) -> None:
    for signed in (token(HEADER | {"alg": alg}), token(HEADER | {"alg": alg}).rsplit(b".", 1)[0] + b"."):
        with pytest.raises(AlgorithmNotAllowed):
            jws.verify(jws.decode(signed, typ=TYP), ED25519.public)


@pytest.mark.parametrize(
    "secret",
    [
        base64url.decode(ED25519.public.jwk["x"]),
        ED25519.public.jwk["x"].encode(),
        json.dumps(ED25519.public.jwk).encode(),
        b"",
    ],
)
def test_a_public_key_is_no_hmac_secret(secret: bytes) -> None:
    signing_input = token(HEADER | {"alg": "HS256"}).rsplit(b".", 1)[0]
    mac = hmac.digest(secret, signing_input, hashlib.sha256)
    forged = signing_input + b"." + base64url.encode(mac).encode()
    with pytest.raises(AlgorithmNotAllowed):
        jws.verify(jws.decode(forged, typ=TYP), ED25519.public)


@pytest.mark.parametrize(
    ("alg", "signer", "key"),
    [("ES256", ED25519, ED25519), ("EdDSA", ES256, ES256), ("Ed25519", ES256, ES256), ("ES256", ES256, ED25519)],
)
def test_the_algorithm_is_the_keys_and_never_the_headers_choice(alg: str, signer: SigningKey, key: SigningKey) -> None:
    with pytest.raises(AlgorithmNotAllowed):
        jws.verify(jws.decode(token({"alg": alg, "kid": key.kid, "typ": TYP}, key=signer), typ=TYP), key.public)


def test_an_algorithm_that_this_party_may_not_use_is_refused() -> None:
    compact = jws.decode(jws.sign(PAYLOAD, ES256, typ=TYP), typ=TYP)
    with pytest.raises(AlgorithmNotAllowed):
        jws.verify(compact, ES256.public, {"Ed25519"})
    with pytest.raises(AlgorithmNotAllowed):
        jws.verify(compact, ES256.public, frozenset())


def test_a_token_that_names_another_key_is_not_verified_with_this_one() -> None:
    other = generate_signing()
    with pytest.raises(KeyUnknown):
        jws.verify(jws.decode(token(HEADER | {"kid": other.kid}), typ=TYP), ED25519.public)
    with pytest.raises(BadSignature):
        jws.verify(jws.decode(token(HEADER, key=other), typ=TYP), ED25519.public)


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "key-1",
        "../../../../dev/null",
        "x' UNION SELECT 'k",
        ED25519.kid + "\0",
        ED25519.kid + "\n",
        ED25519.kid[:-1],
        ED25519.kid + "A",
        " " + ED25519.kid[1:],
        "é" * 43,
        "٣" * 43,
        None,
        43,
        [ED25519.kid],
        {"kid": ED25519.kid},
    ],
)
def test_a_kid_that_is_no_thumbprint_reaches_nothing(kid: object) -> None:
    assert "kid" in refusal(token(HEADER | {"kid": kid})).data.values()


@pytest.mark.parametrize(
    "more",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": []},
        {"b64": False},
        {"b64": True},
        {"zip": "DEF"},
    ],
)
@pytest.mark.parametrize("extra", [False, True])
def test_members_that_change_what_is_signed_are_refused_everywhere(more: dict[str, object], extra: bool) -> None:
    assert refusal(token(HEADER | more), extra_headers=extra).data["member"] in ("crit", "b64", "zip")


@pytest.mark.parametrize(
    "more",
    [
        {"jwk": ED25519.public.jwk},
        {"jku": "https://attacker.example/jwks.json"},
        {"x5u": "https://attacker.example/"},
        {"x5c": ["MII"]},
        {"x5t": "AA"},
        {"iss": "411002-health"},
        {"ALG": "none"},
        {"cty": CTY, "url": ""},
    ],
)
def test_a_message_header_has_nothing_but_the_members_of_the_contract(more: dict[str, object]) -> None:
    assert "exactly" in refusal(token(HEADER | more)).detail
    compact = jws.decode(token(HEADER | more), typ=TYP, extra_headers=True)
    assert jws.verify(compact, ED25519.public) == PAYLOAD


@pytest.mark.parametrize("missing", ["alg", "kid", "typ"])
def test_a_message_header_lacks_none_of_its_members(missing: str) -> None:
    header = {name: value for name, value in HEADER.items() if name != missing}
    assert "exactly" in refusal(token(header)).detail


def test_the_algorithm_is_named_even_where_other_headers_are_let_pass() -> None:
    assert refusal(token({"typ": TYP}), extra_headers=True).data == {"member": "alg"}
    assert jws.decode(token({"alg": "Ed25519"}), typ=None, extra_headers=True).header.kid is None


@pytest.mark.parametrize("typ", ["JWT", "xieban-ack+jws", "XIEBAN+JWS", "application/xieban+jws", "xieban+jws ", ""])
def test_what_was_signed_as_something_else_is_no_message(typ: str) -> None:
    refused = refusal(token(HEADER | {"typ": typ}))
    assert refused.data == {"typ": typ, "expected": TYP} and f"typ must be {TYP}" in refused.detail


@pytest.mark.parametrize("name", ["alg", "typ", "cty"])
@pytest.mark.parametrize("value", [None, 1, True, ["a"], {"a": 1}])
def test_a_header_member_that_is_no_string_is_refused(name: str, value: object) -> None:
    assert refusal(token(HEADER | {name: value})).data == {"member": name}


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"null",
        b"[]",
        b'"alg"',
        b"{}",
        b'{"alg":"Ed25519"',
        b"\xef\xbb\xbf{}",
        b'{"alg":"\xff"}',
        b'{"alg":"\\ud800"}',
        b"[" * 500,
        b'{"alg":NaN}',
        json.dumps(HEADER).encode()[:-1] + b',"alg":"none"}',
        json.dumps(HEADER).encode()[:-1] + b',"\\u0061lg":"none"}',
        json.dumps(HEADER).encode() + b"{}",
        json.dumps(HEADER).encode() + b"\0",
    ],
)
def test_a_header_that_readers_could_differ_about_is_refused(header: bytes) -> None:
    refusal(token(header))
    refusal(token(header), extra_headers=True)


def test_a_header_of_absurd_length_is_not_even_decoded() -> None:
    assert refusal(token(HEADER | {"cty": "x" * 2000})).data == {"limit": jws.MAX_HEADER}


@pytest.mark.parametrize("data", [b"", b".", b"..", b"a.b", b"a.b.c.d", b"....", b"\xff.\xff.\xff", b"{}", b" . . "])
def test_what_has_not_three_segments_of_base64url_is_refused(data: bytes) -> None:
    refusal(data)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_one_value_has_one_text_only(segment: int) -> None:
    parts = jws.sign(b"four", ED25519, typ=TYP).split(b".")
    text = parts[segment]
    spoiled = [text + b"=", text + b"==", text + b"\n", b" " + text, text[:2] + b"\n" + text[2:], text + b"A"]
    spoiled += [text.replace(text[:1], b"+", 1), text.replace(text[:1], b"/", 1), text + "é".encode()]
    if len(text) % 4:
        spoiled.append(text[:-1] + bytes([text[-1] + 1]))
    for wrong in spoiled:
        altered = b".".join([*parts[:segment], wrong, *parts[segment + 1 :]])
        with pytest.raises((MalformedJWS, BadSignature)):
            jws.verify(jws.decode(altered, typ=TYP), ED25519.public)


def test_a_whole_tokens_segments_can_not_be_mixed_with_anothers() -> None:
    one, two = (jws.sign(payload, ED25519, typ=TYP).split(b".") for payload in (b"one", b"two"))
    ack = jws.sign(b"one", ED25519, typ="xieban-ack+jws").split(b".")
    for mixed in ([one[0], two[1], one[2]], [one[0], one[1], two[2]], [one[0], ack[1], ack[2]]):
        with pytest.raises(BadSignature):
            jws.verify(jws.decode(b".".join(mixed), typ=TYP), ED25519.public)
