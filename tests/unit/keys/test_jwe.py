"""Seals: who can open them, and every malformed or altered one told apart before or by the opening."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keys import agreement, base64url, jwe
from keys.errors import BadSeal
from keys.jwk import DecryptionKey, generate_encryption

OURS, THEIRS, STRANGERS = generate_encryption(), generate_encryption("P-256"), generate_encryption()
PLAINTEXT = "只给收件机构看".encode().ljust(1024)
SEALED = jwe.seal(PLAINTEXT, [OURS.public, THEIRS.public])


def header(index: int, sealed: dict[str, Any]) -> dict[str, Any]:
    members = sealed["recipients"][index]["header"]
    assert isinstance(members, dict)
    return members


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    sealed = copy.deepcopy(SEALED)
    change(sealed)
    return sealed


def refusal(sealed: object, key: DecryptionKey = OURS) -> object:
    with pytest.raises(BadSeal) as refused:
        jwe.unseal(sealed, key)
    return refused.value.data["check"]


def protected(text: bytes) -> dict[str, Any]:
    return changed(lambda sealed: sealed.update(protected=base64url.encode(text)))


@pytest.mark.parametrize("key", [OURS, THEIRS], ids=lambda key: key.public.jwk["crv"])
@pytest.mark.parametrize("length", [0, 1, 1024, 1 << 20])
def test_each_recipient_opens_what_was_sealed(key: DecryptionKey, length: int) -> None:
    plaintext = bytes(length)
    assert jwe.unseal(jwe.seal(plaintext, [OURS.public, THEIRS.public]), key) == plaintext


def test_a_stranger_is_not_among_the_recipients() -> None:
    assert refusal(SEALED, STRANGERS) == "recipient"


def test_a_sealed_part_has_the_form_of_the_contract() -> None:
    assert json.loads(json.dumps(SEALED)) == SEALED
    assert json.loads(base64url.decode(SEALED["protected"])) == {"enc": "A256GCM"}
    assert [set(header(index, SEALED)) for index in (0, 1)] == [{"alg", "kid", "epk"}] * 2
    assert set(header(0, SEALED)["epk"]) == {"kty", "crv", "x"}
    assert set(header(1, SEALED)["epk"]) == {"kty", "crv", "x", "y"}
    assert jwe.recipient_kids(SEALED) == [OURS.kid, THEIRS.kid]


def test_no_two_seals_share_anything() -> None:
    again = jwe.seal(PLAINTEXT, [OURS.public, THEIRS.public])
    for name in ("iv", "ciphertext", "tag"):
        assert again[name] != SEALED[name]
    for index in (0, 1):
        assert header(index, again)["epk"]["x"] != header(index, SEALED)["epk"]["x"]


def test_a_message_to_thirty_two_and_the_sender_each_with_two_keys_can_be_sealed() -> None:
    keys = [generate_encryption("P-256" if number % 2 else "X25519") for number in range(jwe.MAX_RECIPIENTS)]
    sealed = jwe.seal(PLAINTEXT, [key.public for key in keys])
    assert {jwe.unseal(sealed, key) for key in (keys[0], keys[33], keys[-1])} == {PLAINTEXT}
    with pytest.raises(BadSeal, match="too many"):
        jwe.seal(PLAINTEXT, [key.public for key in [*keys, OURS]])


def test_a_key_given_twice_counts_once_and_nobody_is_no_recipient() -> None:
    assert jwe.recipient_kids(jwe.seal(b"", [OURS.public, OURS.public])) == [OURS.kid]
    with pytest.raises(BadSeal, match="nobody"):
        jwe.seal(b"", [])


def test_too_much_is_not_sealed() -> None:
    with pytest.raises(BadSeal, match="too much"):
        jwe.seal(bytes(jwe.MAX_CIPHERTEXT + 1), [OURS.public])


@pytest.mark.parametrize(
    "text",
    [
        b'{"enc": "A256GCM"}',
        b' {\n"enc":\t"A256GCM" } ',
        b'{"\\u0065nc":"A256GCM"}',
        b'{"enc":"A256GCM","typ":"JOSE+JSON","cty":"json"}',
    ],
)
def test_the_protected_header_is_authenticated_as_it_was_sent(text: bytes) -> None:
    # Sealed by hand with this header's very bytes, as another library might write them.
    sealed = reseal(text)
    assert jwe.unseal(sealed, OURS) == PLAINTEXT
    assert refusal(protected(text)) == "opening"


def reseal(header_text: bytes, aad: bytes | None = None) -> dict[str, Any]:
    """Sealed to us with any protected header and AAD."""
    content_key, iv = bytes(range(32)), bytes(12)
    segment = base64url.encode(header_text)
    authenticated = segment + ("" if aad is None else "." + base64url.encode(aad))
    ephemeral, wrapped = agreement.wrap(content_key, OURS.public.jwk)
    text = AESGCM(content_key).encrypt(iv, PLAINTEXT, authenticated.encode())
    entry = {
        "header": {"alg": jwe.ALG, "kid": OURS.kid, "epk": ephemeral},
        "encrypted_key": base64url.encode(wrapped),
    }
    sealed: dict[str, Any] = {"protected": segment, "recipients": [entry], "iv": base64url.encode(iv)}
    sealed |= {"ciphertext": base64url.encode(text[:-16]), "tag": base64url.encode(text[-16:])}
    return sealed if aad is None else sealed | {"aad": base64url.encode(aad)}


def test_for_a_single_recipient_the_whole_header_but_the_kid_may_be_protected() -> None:
    # As npm's jose writes it; each member still stands in one place only.
    content_key, iv = bytes(range(32)), bytes(12)
    ephemeral, wrapped = agreement.wrap(content_key, OURS.public.jwk)
    segment = base64url.encode(json.dumps({"enc": jwe.ENC, "alg": jwe.ALG, "epk": ephemeral}).encode())
    text = AESGCM(content_key).encrypt(iv, PLAINTEXT, segment.encode())
    entry: dict[str, Any] = {"header": {"kid": OURS.kid}, "encrypted_key": base64url.encode(wrapped)}
    sealed: dict[str, Any] = {"protected": segment, "recipients": [entry], "iv": base64url.encode(iv)}
    sealed |= {"ciphertext": base64url.encode(text[:-16]), "tag": base64url.encode(text[-16:])}
    assert jwe.unseal(sealed, OURS) == PLAINTEXT
    entry["header"]["epk"] = ephemeral
    assert refusal(sealed) == "form"


def test_additional_data_is_authenticated() -> None:
    sealed = reseal(b'{"enc":"A256GCM"}', b"additional")
    assert jwe.unseal(sealed, OURS) == PLAINTEXT
    assert refusal(sealed | {"aad": base64url.encode(b"Additional")}) == "opening"
    assert refusal({name: value for name, value in sealed.items() if name != "aad"}) == "opening"
    assert refusal(SEALED | {"aad": "AAAA"}) == "opening"


@pytest.mark.parametrize("name", ["iv", "ciphertext", "tag"])
def test_one_changed_byte_does_not_open(name: str) -> None:
    value = bytearray(base64url.decode(SEALED[name]))
    for at in (0, len(value) // 2, len(value) - 1):
        value[at] ^= 1
        assert refusal(SEALED | {name: base64url.encode(bytes(value))}) == "opening"
        value[at] ^= 1


def test_another_recipients_share_does_not_open() -> None:
    other = generate_encryption()
    sealed = jwe.seal(PLAINTEXT, [OURS.public, other.public])
    one, two = sealed["recipients"]
    swapped = [{**one, "encrypted_key": two["encrypted_key"]}, {**two, "encrypted_key": one["encrypted_key"]}]
    assert refusal(sealed | {"recipients": swapped}) == "opening"
    renamed = [{**two, "header": two["header"] | {"kid": OURS.kid}}]
    assert refusal(sealed | {"recipients": renamed}) == "opening"


def test_names_of_the_parties_enter_the_agreed_key() -> None:
    assert refusal(changed(lambda sealed: header(0, sealed).update(apu="QWxpY2U"))) == "opening"
    assert refusal(changed(lambda sealed: header(0, sealed).update(apv="Qm9i"))) == "opening"


KIDS: list[object] = [None, 1, "", "x", ["x"], {}, "../" * 15, OURS.kid + "\n", OURS.kid + "="]
TEXTS: list[object] = [None, 1, True, [], {}, "=", "A", "AA==", "AB", "a b", "é", "+/+/", "\n"]
PARTIES: list[object] = [None, 1, "A", "A=", base64url.encode(bytes(jwe.MAX_PARTY + 1))]
EPKS: list[object] = [
    None,
    "x",
    [],
    {},
    {"kty": "OKP"},
    {"kty": "OKP", "crv": "X25519", "x": 1},
    {"kty": "OKP", "crv": "X25519", "x": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes(32))},
    {"kty": "OKP", "crv": "X25519", "x": base64url.encode(b"\xff" * 32)},
    {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes([9, *bytes(31)])), "y": "AA"},
    {"kty": "OKP", "crv": "X25519", "x": base64url.encode(bytes([9, *bytes(31)])), "d": "AA"},
    {"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(bytes([9, *bytes(31)]))},
    {"kty": ["OKP"], "crv": "X25519", "x": "AA"},
    {"kty": "oct", "k": "AA"},
    THEIRS.public.jwk,
    {name: THEIRS.public.jwk[name] for name in ("kty", "crv", "x", "y")},
]

# What no JSON parser would call wrong, and no key may be tried on.
MALFORMED: list[Callable[[dict[str, Any]], object]] = [
    lambda sealed: sealed.pop("protected"),
    lambda sealed: sealed.pop("recipients"),
    lambda sealed: sealed.pop("iv"),
    lambda sealed: sealed.pop("ciphertext"),
    lambda sealed: sealed.pop("tag"),
    lambda sealed: sealed.update(unprotected={"alg": jwe.ALG}),
    lambda sealed: sealed.update(header=sealed["recipients"][0]["header"]),
    lambda sealed: sealed.update(encrypted_key="AA"),
    lambda sealed: sealed.update(note="张三"),
    lambda sealed: sealed.update(aad=""),
    lambda sealed: sealed.update(aad=None),
    lambda sealed: sealed.update(aad=base64url.encode(bytes(jwe.MAX_AAD + 1))),
    lambda sealed: sealed.update(recipients=[]),
    lambda sealed: sealed.update(recipients={}),
    lambda sealed: sealed.update(recipients="x"),
    lambda sealed: sealed.update(recipients=[None]),
    lambda sealed: sealed.update(recipients=[[]]),
    lambda sealed: sealed.update(recipients=sealed["recipients"] * 34),
    lambda sealed: sealed.update(recipients=[sealed["recipients"][0]] * 2),
    lambda sealed: sealed["recipients"].append({"header": {}, "encrypted_key": ""}),
    lambda sealed: sealed["recipients"][1].pop("encrypted_key"),
    lambda sealed: sealed["recipients"][1].pop("header"),
    lambda sealed: sealed["recipients"][1].update(header=None),
    lambda sealed: sealed["recipients"][1].update(header=[["alg", jwe.ALG]]),
    lambda sealed: sealed["recipients"][1].update(note="张三"),
    lambda sealed: sealed["recipients"][0].update(encrypted_key=""),
    lambda sealed: sealed["recipients"][0].update(encrypted_key="A" * 43),
    lambda sealed: sealed["recipients"][0].update(encrypted_key=1),
    lambda sealed: sealed["recipients"][0].update(encrypted_key="A" * 10_000_000),
    *(
        lambda sealed, alg=alg: header(0, sealed).update(alg=alg)
        for alg in ("ECDH-ES", "ECDH-ES+A128KW", "dir", "A256KW", "PBES2-HS512+A256KW", "RSA1_5", "none", "", None, 1)
    ),
    *(
        lambda sealed, name=name: header(0, sealed).update({name: "x"})
        for name in ("zip", "crit", "jku", "jwk", "x5u", "x5c", "p2c", "enc", "note", "b64")
    ),
    *(lambda sealed, name=name: header(0, sealed).pop(name) for name in ("alg", "kid", "epk")),
    *(lambda sealed, kid=kid: header(0, sealed).update(kid=kid) for kid in KIDS),
    *(
        lambda sealed, name=name, value=value: header(0, sealed).update({name: value})
        for name in ("apu", "apv")
        for value in PARTIES
    ),
    *(lambda sealed, name=name: header(0, sealed).update({name: 1}) for name in ("typ", "cty")),
    *(lambda sealed, epk=epk: header(0, sealed).update(epk=epk) for epk in EPKS),
    *(
        lambda sealed, name=name, value=value: sealed.update({name: value})
        for name in ("iv", "tag", "ciphertext", "protected")
        for value in TEXTS
    ),
    lambda sealed: sealed.update(iv=base64url.encode(bytes(16))),
    lambda sealed: sealed.update(iv=base64url.encode(bytes(8))),
    lambda sealed: sealed.update(tag=base64url.encode(bytes(12))),
    lambda sealed: sealed.update(tag=sealed["tag"][:-2]),
    lambda sealed: sealed.update(ciphertext=base64url.encode(bytes(jwe.MAX_CIPHERTEXT + 1))),
]


@pytest.mark.parametrize("change", MALFORMED)
def test_a_malformed_seal_is_refused_before_any_key_decrypts(change: Callable[[dict[str, Any]], object]) -> None:
    assert refusal(changed(change)) == "form"


def test_a_point_off_the_curve_never_meets_the_private_key() -> None:
    def off(sealed: dict[str, Any]) -> None:
        epk = header(1, sealed)["epk"]
        epk["y"] = epk["x"]

    assert refusal(changed(off), THEIRS) == "form"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'"A256GCM"',
        b'{"enc":"A256GCM"',
        b'{"enc":"A128GCM"}',
        b'{"enc":"A256CBC-HS512"}',
        b'{"enc":["A256GCM"]}',
        b'{"enc":"A256GCM","zip":"DEF"}',
        b'{"enc":"A256GCM","crit":["exp"],"exp":1}',
        b'{"enc":"A256GCM","enc":"A256GCM"}',
        b'{"enc":"A256GCM","alg":"ECDH-ES+A256KW"}',
        b'{"enc":"A256GCM","kid":"x"}',
        b'{"enc":"A256GCM","note":"x"}',
        b'{"enc":"A256GCM","typ":1}',
        b"\xff",
        b"[" * 700,
        b'{"enc":"A256GCM","typ":"' + b"x" * 1000 + b'"}',
    ],
)
def test_another_protected_header_is_refused_before_any_key_decrypts(text: bytes) -> None:
    assert refusal(protected(text)) == "form"


@pytest.mark.parametrize("value", [None, True, 1, 1.5, "x", b"x", [], ["recipients"], {}, object()])
def test_what_is_no_object_at_all_is_malformed(value: object) -> None:
    assert refusal(value) == "form"
    assert jwe.recipient_kids(value) == []


@pytest.mark.parametrize(
    ("recipients", "kids"),
    [
        (None, []),
        ("abc", []),
        ({"header": {"kid": "x"}}, []),
        ([None, 1, "x", [], {}], []),
        ([{"header": None}, {"header": "x"}, {"header": ["kid"]}, {"header": {}}], []),
        ([{"header": {"kid": None}}, {"header": {"kid": 1}}, {"header": {"kid": "a"}}], ["a"]),
    ],
)
def test_the_recipients_of_anything_at_all_can_be_asked_for(recipients: object, kids: list[str]) -> None:
    assert jwe.recipient_kids({"recipients": recipients}) == kids
    assert refusal({"recipients": recipients}) == "form"
