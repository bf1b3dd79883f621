"""A sealed part that is crafted to open differently for two recipients: the content cipher alone would let it pass.

AES-GCM does not commit to its key: a sender who knows both content keys can solve for one block of ciphertext under
which one tag fits both. What stops it is `sealed_digest`, which the sender signed and both recipients hold.
"""

import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from keys import base64url, jwe, jwk
from keys.errors import BadSeal
from protocols import sealing

ONE, OTHER = jwk.generate_encryption(), jwk.generate_encryption("P-256")
SOURCE, ID, CASE = "411002-health", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d7", "019aa5b0-7c3e-7d41-9b52-3f0c6a8e21d8"
BLOCK = 16


def times(x: int, y: int) -> int:
    """Multiplication in GF(2^128) as GCM has it (NIST SP 800-38D §6.3)."""
    product, factor = 0, y
    for bit in range(127, -1, -1):
        if x >> bit & 1:
            product ^= factor
        factor = factor >> 1 ^ (0xE1 << 120 if factor & 1 else 0)
    return product


def power(x: int, exponent: int) -> int:
    result, square = 1 << 127, x
    while exponent:
        if exponent & 1:
            result = times(result, square)
        square, exponent = times(square, square), exponent >> 1
    return result


def encrypted(key: bytes, block: bytes) -> int:
    return int.from_bytes(Cipher(algorithms.AES(key), modes.ECB()).encryptor().update(block), "big")


def keystream(key: bytes, iv: bytes, length: int) -> bytes:
    counter = iv + (2).to_bytes(4, "big")
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(bytes(length))


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def two_faced(keys: tuple[bytes, bytes], iv: bytes, aad: bytes, ciphertext: bytes, free: int) -> tuple[bytes, bytes]:
    """`ciphertext` with the block number `free` solved for, and the tag that fits under both keys."""
    padded = aad + bytes(-len(aad) % BLOCK)
    lengths = (8 * len(aad)).to_bytes(8, "big") + (8 * len(ciphertext)).to_bytes(8, "big")
    hashes = [encrypted(key, bytes(BLOCK)) for key in keys]
    masks = [encrypted(key, iv + (1).to_bytes(4, "big")) for key in keys]

    def tag(number: int, body: bytes) -> int:
        blocks = padded + body + lengths
        total = 0
        for start in range(0, len(blocks), BLOCK):
            total = times(total ^ int.from_bytes(blocks[start : start + BLOCK], "big"), hashes[number])
        return total ^ masks[number]

    place = slice(free * BLOCK, (free + 1) * BLOCK)
    blank = ciphertext[: place.start] + bytes(BLOCK) + ciphertext[place.stop :]
    after = (len(ciphertext) // BLOCK - free) + 1
    factor = power(hashes[0], after) ^ power(hashes[1], after)
    solved = times(tag(0, blank) ^ tag(1, blank), power(factor, 2**128 - 2))
    body = blank[: place.start] + solved.to_bytes(BLOCK, "big") + blank[place.stop :]
    assert tag(0, body) == tag(1, body)
    return body, tag(0, body).to_bytes(BLOCK, "big")


def crafted() -> tuple[dict[str, Any], bytes, bytes]:
    """A JWE that both open, each to another text; and the two texts."""
    texts = [sealing.compose(SOURCE, ID, CASE, {"narrative": said}, os.urandom(16)) for said in ("属实。", "不属实。")]
    keys, iv = (os.urandom(32), os.urandom(32)), os.urandom(12)
    protected = base64url.encode(json.dumps({"enc": "A256GCM"}, separators=(",", ":")).encode())
    streams = [keystream(key, iv, len(text)) for key, text in zip(keys, texts, strict=True)]
    # The first text whole, but for one block within its padding; the other recipient gets what that makes.
    body, tag = two_faced(keys, iv, protected.encode(), xor(texts[0], streams[0]), free=len(texts[0]) // BLOCK - 1)
    shares = [jwe._share(key, to.public) for key, to in zip(keys, (ONE, OTHER), strict=True)]
    sealed = {
        "protected": protected,
        "recipients": shares,
        "iv": base64url.encode(iv),
        "ciphertext": base64url.encode(body),
        "tag": base64url.encode(tag),
    }
    return sealed, xor(body, streams[0]), xor(body, streams[1])


def test_the_cipher_alone_lets_it_pass() -> None:
    sealed, first, second = crafted()
    assert jwe.unseal(sealed, ONE) == first
    assert jwe.unseal(sealed, OTHER) == second
    assert first != second and b"narrative" in first


@pytest.mark.parametrize("signed", [0, 1])
def test_only_what_the_signed_digest_names_is_read(signed: int) -> None:
    sealed, *texts = crafted()
    named = sealing.digest(texts[signed])
    for number, key in enumerate((ONE, OTHER)):
        with pytest.raises(BadSeal) as refused:
            sealing.unseal(sealed, named, SOURCE, ID, CASE, key)
        assert (refused.value.data["check"] == "digest") == (number != signed)


def test_an_honest_seal_is_read_by_both_alike() -> None:
    part = sealing.seal(SOURCE, ID, CASE, {"narrative": "属实。"}, [ONE.public, OTHER.public])
    read = [sealing.unseal(part["sealed"], part["sealed_digest"], SOURCE, ID, CASE, key) for key in (ONE, OTHER)]
    assert read == [{"narrative": "属实。"}] * 2
