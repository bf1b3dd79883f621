"""SM2 with SM3: the standard's own example, OpenSSL as the counterpart, forgeries, and life without the extra."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from keys import base64url, jws, sm2
from keys.errors import AlgorithmNotAllowed, BadSignature, MalformedKey
from keys.jwk import SigningKey, VerifyingKey, generate_signing, parse_private, parse_public

KEY = generate_signing("SM2")
DATA = b"to be signed"


def text(value: int) -> str:
    return base64url.encode(value.to_bytes(32, "big"))


def example() -> dict[str, str]:
    """GB/T 32918.5-2017, annex A.2: the key pair."""
    return {
        "kty": "EC",
        "crv": "SM2",
        "x": text(0x09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020),
        "y": text(0xCCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13),
        "d": text(0x3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8),
    }


def test_the_signature_printed_in_the_standard_verifies() -> None:
    key = parse_private(example())
    assert isinstance(key, SigningKey) and key.alg == "SM2"
    r = 0xF5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
    s = 0xB1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA
    key.public.verify(b"message digest", r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_what_is_signed_verifies_and_nothing_else_does() -> None:
    signature = KEY.sign(DATA)
    assert len(signature) == 64
    KEY.public.verify(DATA, signature)
    for wrong in (b"", signature[:-1], signature + b"\0", bytes(64), signature[32:] + signature[:32]):
        with pytest.raises(BadSignature):
            KEY.public.verify(DATA, wrong)
    for bit in range(512):
        changed = bytearray(signature)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadSignature):
            KEY.public.verify(DATA, bytes(changed))
    with pytest.raises(BadSignature):
        generate_signing("SM2").public.verify(DATA, signature)
    with pytest.raises(BadSignature):
        KEY.public.verify(DATA + b"\0", signature)


@pytest.mark.parametrize("number", [0, sm2.ORDER, sm2.ORDER + 1, 2**256 - 1])
def test_numbers_out_of_range_are_no_signature(number: int) -> None:
    signature = KEY.sign(DATA)
    for forged in (number.to_bytes(32, "big") + signature[32:], signature[:32] + number.to_bytes(32, "big")):
        with pytest.raises(BadSignature):
            KEY.public.verify(DATA, forged)


@pytest.mark.parametrize(
    "change",
    [
        {"x": text(1)},
        {"y": text(0)},
        {"x": text(sm2.P + 5)},
        {"crv": "P-256"},
        {"alg": "ES256"},
        {"use": "enc"},
        {"alg": "ECDH-ES+A256KW"},
    ],
)
def test_a_point_off_the_curve_and_another_purpose_are_refused(change: dict[str, str]) -> None:
    public = {name: value for name, value in example().items() if name != "d"}
    assert isinstance(parse_public(public), VerifyingKey)
    with pytest.raises(MalformedKey):
        parse_public(public | change)


@pytest.mark.parametrize("scalar", [0, sm2.ORDER - 1, sm2.ORDER, 5])
def test_a_private_key_out_of_range_or_of_another_pair_is_refused(scalar: int) -> None:
    with pytest.raises(MalformedKey):
        parse_private(example() | {"d": text(scalar)})


def test_an_allow_list_decides_and_the_key_fixes_the_algorithm() -> None:
    token = jws.decode(jws.sign(DATA, KEY, typ="a+b"), typ="a+b")
    assert jws.verify(token, KEY.public, {"SM2"}) == DATA
    with pytest.raises(AlgorithmNotAllowed):
        jws.verify(token, KEY.public)
    with pytest.raises(AlgorithmNotAllowed):
        jws.verify(token, generate_signing("ES256").public, {"SM2", "ES256"})


# OpenSSL as the other side -----------------------------------------------------------------------------

ID = ("-pkeyopt", "distid:" + sm2.USER_ID.decode())


def openssl(*arguments: str, folder: Path) -> bytes:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True, timeout=30)
    return done.stdout


def pem(folder: Path, jwk: dict[str, str]) -> None:
    """The key pair as OpenSSL reads it (SEC 1 §C.4, by its own ASN.1 generator)."""
    d, x, y = (base64url.decode(jwk[name]).hex() for name in ("d", "x", "y"))
    (folder / "key.asn1").write_text(
        "asn1=SEQUENCE:key\n[key]\nversion=INTEGER:1\n"
        f"d=FORMAT:HEX,OCTETSTRING:{d}\n"
        "curve=EXPLICIT:0,OID:1.2.156.10197.1.301\n"
        f"point=EXPLICIT:1,FORMAT:HEX,BITSTRING:04{x}{y}\n"
    )
    openssl("asn1parse", "-genconf", "key.asn1", "-noout", "-out", "key.der", folder=folder)
    openssl("ec", "-inform", "DER", "-in", "key.der", "-out", "key.pem", folder=folder)
    openssl("ec", "-in", "key.pem", "-pubout", "-out", "public.pem", folder=folder)


def test_openssl_verifies_our_signature_and_we_verify_its(tmp_path: Path) -> None:
    pem(tmp_path, KEY.jwk())
    (tmp_path / "data").write_bytes(DATA)
    ours = KEY.sign(DATA)
    r, s = (int.from_bytes(half, "big") for half in (ours[:32], ours[32:]))
    (tmp_path / "ours").write_bytes(encode_dss_signature(r, s))
    options = ("-rawin", "-digest", "sm3", "-in", "data", *ID)
    said = openssl(
        "pkeyutl", "-verify", "-pubin", "-inkey", "public.pem", "-sigfile", "ours", *options, folder=tmp_path
    )
    assert b"Verified Successfully" in said
    openssl("pkeyutl", "-sign", "-inkey", "key.pem", "-out", "theirs", *options, folder=tmp_path)
    r, s = decode_dss_signature((tmp_path / "theirs").read_bytes())
    KEY.public.verify(DATA, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_without_the_extra_keys_are_read_and_only_signatures_refused() -> None:
    token = jws.sign(DATA, KEY, typ="a+b").decode()
    script = f"""
import sys
sys.modules["tongsuopy"] = None
from keys import jwk, jws
from keys.errors import AlgorithmNotAllowed
key = jwk.parse_public({KEY.public.jwk!r})
token = jws.decode({token!r}.encode(), typ="a+b")
for step in (lambda: jws.verify(token, key, {{"SM2"}}), lambda: jwk.generate_signing("SM2")):
    try:
        step()
    except AlgorithmNotAllowed as fault:
        print(fault.detail)
"""
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.stdout.count("pip install 'xieban[sm]'") == 2, done.stderr
