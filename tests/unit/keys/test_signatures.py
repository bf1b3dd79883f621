"""What no verifier may take for a signature, and no parser for a key: the well-known ways of forging both."""

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from keys import base64url, curves
from keys.errors import BadSignature, MalformedKey
from keys.jwk import SigningKey, generate_encryption, generate_signing, parse_private, parse_public

ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
P25519 = 2**255 - 19
P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = curves.P256_ORDER
DATA = b"to be signed"
ED25519, ES256 = generate_signing("Ed25519"), generate_signing("ES256")
EDWARDS, P256 = ED25519.public.jwk, ES256.public.jwk


def refused(key: SigningKey, signature: bytes, data: bytes = DATA) -> None:
    with pytest.raises(BadSignature):
        key.public.verify(data, signature)


@pytest.mark.parametrize("key", [ED25519, ES256], ids=lambda key: key.alg)
def test_a_signature_of_another_length_is_refused(key: SigningKey) -> None:
    signature = key.sign(DATA)
    for wrong in (b"", signature[:-1], signature + b"\0", b"\0" + signature, signature * 2, signature[:32], bytes(64)):
        refused(key, wrong)


@pytest.mark.parametrize("key", [ED25519, ES256], ids=lambda key: key.alg)
def test_every_flipped_bit_of_a_signature_is_noticed(key: SigningKey) -> None:
    signature = key.sign(DATA)
    for bit in range(8 * len(signature)):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        refused(key, bytes(changed))


@pytest.mark.parametrize("key", [ED25519, ES256], ids=lambda key: key.alg)
def test_a_signature_of_other_data_or_by_another_key_is_refused(key: SigningKey) -> None:
    refused(key, key.sign(DATA), DATA + b"\0")
    refused(key, key.sign(DATA), b"")
    refused(key, generate_signing(key.alg).sign(DATA))


@pytest.mark.parametrize("times", range(1, 16))
def test_an_ed25519_signature_whose_s_was_raised_by_the_order_is_refused(times: int) -> None:
    signature = ED25519.sign(DATA)
    s = int.from_bytes(signature[32:], "little") + times * ED25519_ORDER
    assert s < 2**256
    refused(ED25519, signature[:32] + s.to_bytes(32, "little"))


def test_an_ed25519_signature_of_trivial_parts_is_refused() -> None:
    for point in (bytes(32), b"\1" + bytes(31), b"\xff" * 32, (P25519 - 1).to_bytes(32, "little")):
        for s in (0, 1, ED25519_ORDER - 1, ED25519_ORDER, 2**256 - 1):
            refused(ED25519, point + s.to_bytes(32, "little"))


@pytest.mark.parametrize("r", [0, 1, N - 1, N, N + 1, P256_PRIME, 2**256 - 1])
@pytest.mark.parametrize("s", [0, 1, N - 1, N, N + 1, P256_PRIME, 2**256 - 1])
def test_an_es256_signature_of_trivial_or_excessive_numbers_is_refused(r: int, s: int) -> None:
    refused(ES256, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_an_es256_signature_reduced_or_raised_by_the_order_is_refused() -> None:
    signature = ES256.sign(DATA)
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    for wrong in ((N - r, s), (s, r), (0, s), (r, 0), (r, (s + 1) % N)):
        refused(ES256, wrong[0].to_bytes(32, "big") + wrong[1].to_bytes(32, "big"))
    for width in (33, 64):
        refused(ES256, (r + N).to_bytes(width, "big") + (s + N).to_bytes(width, "big"))
        refused(ES256, r.to_bytes(width, "big") + s.to_bytes(width, "big"))


def test_an_es256_signature_in_der_is_refused() -> None:
    signature = ES256.sign(DATA)
    der = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
    for wrong in (der, der.ljust(64, b"\0"), der[:64]):
        refused(ES256, wrong)


def okp(crv: str, encoded: bytes) -> dict[str, str]:
    return {"kty": "OKP", "crv": crv, "x": base64url.encode(encoded)}


def refused_key(jwk: dict[str, object] | dict[str, str], reason: str) -> None:
    with pytest.raises(MalformedKey, match=reason):
        parse_public(jwk)


# y of every point whose order divides 8, with both signs of x, and their encodings above p.
SMALL_Y = [
    0,
    1,
    P25519 - 1,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7,
    P25519 - 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7,
]


@pytest.mark.parametrize("sign", [0, 2**255])
@pytest.mark.parametrize("y", [*SMALL_Y, P25519, P25519 + 1])
def test_an_ed25519_key_of_small_order_is_refused_in_every_encoding(y: int, sign: int) -> None:
    refused_key(okp("Ed25519", (y | sign).to_bytes(32, "little")), r"small order|not on the curve")


@pytest.mark.parametrize("y", [2, P25519 + 3, P25519 + 18, 2**255 - 1])
def test_an_ed25519_key_that_is_no_point_or_not_canonical_is_refused(y: int) -> None:
    refused_key(okp("Ed25519", y.to_bytes(32, "little")), "not on the curve")


@pytest.mark.parametrize(
    "u",
    [
        0,
        1,
        P25519 - 1,
        325606250916557431795983626356110631294008115727848805560023387167927233504,
        39382357235489614581723060781553021112529911719440698176882885853963445705823,
    ],
)
def test_an_x25519_key_of_small_order_is_refused(u: int) -> None:
    refused_key(okp("X25519", u.to_bytes(32, "little")), "small order")


@pytest.mark.parametrize("u", [P25519, P25519 + 1, P25519 + 9, 2**255 - 1, 2**255 + 9, 2**256 - 1])
def test_an_x25519_key_in_another_than_its_one_encoding_is_refused(u: int) -> None:
    refused_key(okp("X25519", u.to_bytes(32, "little")), "canonical")


def p256(x: int, y: int) -> dict[str, str]:
    coordinates = {name: base64url.encode(value.to_bytes(32, "big")) for name, value in (("x", x), ("y", y))}
    return {"kty": "EC", "crv": "P-256", "use": "sig"} | coordinates


def test_a_p256_point_off_the_curve_is_refused() -> None:
    x, y = (int.from_bytes(curves.octets(P256, name), "big") for name in ("x", "y"))
    assert parse_public(p256(x, P256_PRIME - y)).kid != ES256.kid
    for point in ((0, 0), (x, 0), (0, y), (y, x), (x, y ^ 1), (x, P256_PRIME), (P256_PRIME, y), (2**256 - 1, y)):
        refused_key(p256(*point), "not on the curve")
    # (5, 1) lies on a curve of the same shape with another constant, one of small order among them.
    refused_key(p256(5, 1), "not on the curve")


@pytest.mark.parametrize("member", ["x", "y"])
def test_a_coordinate_of_another_length_or_encoding_is_refused(member: str) -> None:
    value = curves.octets(P256, member)
    point = {name: P256[name] for name in ("kty", "crv", "use", "x", "y")}
    for wrong in (value[1:], b"\0" + value, b""):
        refused_key(point | {member: base64url.encode(wrong)}, "wrong length")
    text = base64url.encode(value)
    stray = text[:-1] + chr(ord(text[-1]) + 1)
    for other in (text + "=", text + "\n", " " + text, stray, text.replace(text[0], "+", 1), "é"):
        refused_key(point | {member: other}, "base64url")
    for none in (None, 1, [text]):
        refused_key(point | {member: none}, "string")


PRIVATE = [
    generate_signing().jwk(),
    generate_signing("ES256").jwk(),
    generate_encryption().jwk(),
    generate_encryption("P-256").jwk(),
]


@pytest.mark.parametrize("jwk", PRIVATE, ids=lambda jwk: f"{jwk['use']}-{jwk['crv']}")
def test_a_private_part_that_is_not_the_public_ones_is_refused(jwk: dict[str, object]) -> None:
    other = base64url.encode(bytes(31) + b"\1")
    with pytest.raises(MalformedKey, match="do not belong together"):
        parse_private(jwk | {"d": other})
    for wrong in (None, "", "AA", 7):
        with pytest.raises(MalformedKey):
            parse_private(jwk | {"d": wrong})


@pytest.mark.parametrize("d", [0, N, N + 1, 2**256 - 1])
def test_a_p256_scalar_out_of_range_is_refused(d: int) -> None:
    with pytest.raises(MalformedKey, match="out of range"):
        parse_private(ES256.jwk() | {"d": base64url.encode(d.to_bytes(32, "big"))})
