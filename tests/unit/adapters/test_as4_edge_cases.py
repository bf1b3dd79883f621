"""RSA and ECDSA at the edges, as AS4 uses them: encodings that only look like a padding, numbers that only look small.

The kinds of cases are those that Project Wycheproof lists (RSASSA-PKCS1-v1_5, RSAES-OAEP); every value is worked out
from RFC 8017 §8.2 and §7.1 with the private exponent.
"""

import base64
import dataclasses
from collections.abc import Callable
from hashlib import sha1, sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from lxml import etree

from adapters.as4 import messaging, mime, packing, signing
from adapters.as4.encryption import OAEP
from adapters.as4.errors import FailedAuthentication, FailedDecryption
from adapters.as4.mime import Package
from adapters.as4.names import tag
from adapters.as4.packing import Opened, Sealed
from tests.acceptance.as4.parties import identity, keys
from tests.unit.adapters.test_as4_packing import MESSAGE, NOW, PAYLOADS

SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
SHA256_WITHOUT_NULL = bytes.fromhex("302f300b0609608648016503040201" + "0420")
SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")


def rsa(name: str) -> RSAPrivateKey:
    found = keys(name).key
    assert isinstance(found, RSAPrivateKey)
    return found


def sealed(encrypt: bool = False, kind: str = "rsa") -> Sealed:
    parts, attachments = packing.attached(PAYLOADS)
    who = identity("here", "there", encrypt, kind)
    return packing.sealed(who, messaging.user_message(MESSAGE, parts), attachments)


async def opened(message: Sealed, encrypt: bool = False, kind: str = "rsa") -> Opened:
    who = identity("there", "here", encrypt, kind)
    return await packing.opened(who, message.content_type, message.body, NOW)


async def replaced(message: Sealed, name: str, change: Callable[[etree._Element, bytes], bytes]) -> Sealed:
    """The message with the base64 content of one element made another; `change` also sees the root."""
    package = await mime.unpacked(message.content_type, message.body)
    root = etree.fromstring(package.envelope)
    one = next(root.iter(tag(name)))
    one.text = base64.b64encode(change(root, base64.b64decode(one.text or ""))).decode()
    kind, body = mime.packed(Package(etree.tostring(root), package.attachments))
    return dataclasses.replace(message, content_type=kind, body=body)


def raw(key: RSAPrivateKey, encoded: bytes) -> bytes:
    """The encoded message under the private exponent, however it is padded (RFC 8017 §5.2.1)."""
    numbers = key.private_numbers()
    n = numbers.public_numbers.n
    return pow(int.from_bytes(encoded, "big"), numbers.d, n).to_bytes(256, "big")


def padded(content: bytes, filler: bytes = b"\xff", kind: bytes = b"\x00\x01", separator: bytes = b"\x00") -> bytes:
    """EMSA-PKCS1-v1_5, or nearly so."""
    length = 256 - len(kind) - len(separator) - len(content)
    return kind + filler * length + separator + content


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "no NULL among the parameters": lambda held: padded(SHA256_WITHOUT_NULL + sha256(held).digest()),
    "SHA-1 where SHA-256 is said": lambda held: padded(SHA1_INFO + sha1(held).digest()),
    "the digest without its name": lambda held: padded(sha256(held).digest()),
    "a digest cut short": lambda held: padded(SHA256_INFO + sha256(held).digest()[:-1]),
    "block type 0": lambda held: padded(SHA256_INFO + sha256(held).digest(), kind=b"\x00\x00"),
    "block type 2": lambda held: padded(SHA256_INFO + sha256(held).digest(), kind=b"\x00\x02"),
    "zeros for a filler": lambda held: padded(SHA256_INFO + sha256(held).digest(), filler=b"\x00"),
    "another filler": lambda held: padded(SHA256_INFO + sha256(held).digest(), filler=b"\xfe"),
    "a separator that is none": lambda held: padded(SHA256_INFO + sha256(held).digest(), separator=b"\x01"),
    "no filler, and what the attacker likes at the end": lambda held: (
        b"\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff\x00" + SHA256_INFO + sha256(held).digest()
    ).ljust(256, b"\x00"),
    "a longer length than there is": lambda held: padded(SHA256_INFO[:-1] + b"\x21" + sha256(held).digest() + b"\x00"),
    "a length in the long form": lambda held: padded(b"\x30\x81" + SHA256_INFO[1:] + sha256(held).digest()),
    "something behind the digest": lambda held: padded(SHA256_INFO + sha256(held).digest() + b"\x00"),
    "the digest of other data": lambda held: padded(SHA256_INFO + sha256(held + b"\x00").digest()),
}


def signed_info(root: etree._Element) -> bytes:
    return signing.canonical(next(root.iter(tag("ds:SignedInfo"))))


async def test_what_is_encoded_by_hand_verifies_where_it_is_encoded_right() -> None:
    """So that the cases below fail for what they say."""

    def change(root: etree._Element, _: bytes) -> bytes:
        return raw(rsa("here"), padded(SHA256_INFO + sha256(signed_info(root)).digest()))

    assert (await opened(await replaced(sealed(), "ds:SignatureValue", change))).payloads == PAYLOADS


@pytest.mark.parametrize("case", ENCODINGS)
async def test_an_rsa_signature_over_a_wrong_encoding_is_refused(case: str) -> None:
    def change(root: etree._Element, _: bytes) -> bytes:
        return raw(rsa("here"), ENCODINGS[case](signed_info(root)))

    with pytest.raises(FailedAuthentication):
        await opened(await replaced(sealed(), "ds:SignatureValue", change))


def _plus_modulus(signature: bytes) -> bytes:
    value = int.from_bytes(signature, "big") + rsa("here").public_key().public_numbers().n
    return value.to_bytes(257, "big")


NUMBERS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda _: b"",
    "zero": lambda _: bytes(256),
    "one": lambda _: (1).to_bytes(256, "big"),
    "one, in a byte": lambda _: b"\x01",
    "the modulus": lambda _: rsa("here").public_key().public_numbers().n.to_bytes(256, "big"),
    "one less than the modulus": lambda _: (rsa("here").public_key().public_numbers().n - 1).to_bytes(256, "big"),
    "with the modulus added": _plus_modulus,
    "the other root": lambda held: (rsa("here").public_key().public_numbers().n - int.from_bytes(held, "big")).to_bytes(
        256, "big"
    ),
    "a zero before it": lambda held: b"\x00" + held,
    "a zero behind it": lambda held: held + b"\x00",
    "cut short": lambda held: held[:-1],
    "all ones": lambda _: b"\xff" * 256,
}


@pytest.mark.parametrize("case", NUMBERS)
async def test_an_rsa_signature_that_is_another_number_is_refused(case: str) -> None:
    with pytest.raises(FailedAuthentication):
        await opened(await replaced(sealed(), "ds:SignatureValue", lambda _, held: NUMBERS[case](held)))


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize("r", [0, 1, ORDER, 2**256 - 1], ids=lambda r: f"r={r % 1000}")
@pytest.mark.parametrize("s", [0, 1, ORDER, 2**256 - 1], ids=lambda s: f"s={s % 1000}")
async def test_an_ecdsa_signature_of_trivial_numbers_is_refused(r: int, s: int) -> None:
    message = await replaced(
        sealed(kind="ec"), "ds:SignatureValue", lambda *_: r.to_bytes(32, "big") + s.to_bytes(32, "big")
    )
    with pytest.raises(FailedAuthentication):
        await opened(message, kind="ec")


@pytest.mark.parametrize(
    "change",
    [lambda held: b"", lambda held: held[:32], lambda held: held[:-1], lambda held: held[32:] + held[:32],
     lambda held: held + b"\0", lambda held: b"\0" + held[:32] + b"\0" + held[32:]],
)  # fmt: skip
async def test_an_ecdsa_signature_of_another_form_is_refused(change: Any) -> None:
    message = await replaced(sealed(kind="ec"), "ds:SignatureValue", lambda _, held: change(held))
    with pytest.raises(FailedAuthentication):
        await opened(message, kind="ec")


def _mask(seed: bytes, length: int) -> bytes:
    """MGF1 with SHA-256 (RFC 8017 §B.2.1)."""
    blocks = [sha256(seed + count.to_bytes(4, "big")).digest() for count in range(-(-length // 32))]
    return b"".join(blocks)[:length]


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def oaep(
    message: bytes, label: bytes = b"", first: bytes = b"\x00", filler: bytes = b"\x00", separator: bytes = b"\x01"
) -> bytes:
    """EME-OAEP with SHA-256 (RFC 8017 §7.1.1), or nearly so."""
    seed = sha256(message).digest()
    block = sha256(label).digest()
    block += filler * (256 - 2 - 2 * 32 - len(message)) + separator + message
    masked = _xor(block[: 256 - 33], _mask(seed, 256 - 33))
    return first + _xor(seed, _mask(masked, 32)) + masked


def encrypted(encoded: bytes) -> bytes:
    numbers = rsa("there").public_key().public_numbers()
    return pow(int.from_bytes(encoded, "big"), numbers.e, numbers.n).to_bytes(256, "big")


def _session(held: bytes) -> bytes:
    return rsa("there").decrypt(held, OAEP)


OAEP_CASES: dict[str, Callable[[bytes], bytes]] = {
    "another label": lambda held: encrypted(oaep(_session(held), label=b"x")),
    "a first byte that is not zero": lambda held: encrypted(oaep(_session(held), first=b"\x01")),
    "a filler that is not zero": lambda held: encrypted(oaep(_session(held), filler=b"\x02")),
    "no separator": lambda held: encrypted(oaep(_session(held), separator=b"\x00")),
    "another separator": lambda held: encrypted(oaep(_session(held), separator=b"\x02")),
    "an empty key": lambda _: encrypted(oaep(b"")),
    "a key too short": lambda held: encrypted(oaep(_session(held)[:-1])),
    "a key too long": lambda held: encrypted(oaep(_session(held) + b"\x00")),
    "a key of another size of AES": lambda held: encrypted(oaep(_session(held) * 2)),
    "PKCS #1 v1.5": lambda held: encrypted(b"\x00\x02" + b"\xaa" * (256 - 3 - 16) + b"\x00" + _session(held)),
    "zero": lambda _: bytes(256),
    "one": lambda _: (1).to_bytes(256, "big"),
    "the modulus": lambda _: rsa("there").public_key().public_numbers().n.to_bytes(256, "big"),
    "cut short": lambda held: held[:-1],
    "a zero before it": lambda held: b"\x00" + held,
    "nothing": lambda _: b"",
}


async def test_a_key_wrapped_by_hand_opens_where_it_is_wrapped_right() -> None:
    message = await replaced(sealed(encrypt=True), "xenc:CipherValue", lambda _, held: encrypted(oaep(_session(held))))
    assert (await opened(message, encrypt=True)).payloads == PAYLOADS


@pytest.mark.parametrize("case", OAEP_CASES)
async def test_a_key_wrapped_wrong_is_refused_in_the_words_of_any_other(case: str) -> None:
    """Who is told apart what went wrong can decrypt by asking (Manger's attack)."""
    message = await replaced(sealed(encrypt=True), "xenc:CipherValue", lambda _, held: OAEP_CASES[case](held))
    with pytest.raises(FailedDecryption) as refused:
        await opened(message, encrypt=True)
    assert (refused.value.number, refused.value.detail) == ("EBMS:0102", FailedDecryption().detail)
