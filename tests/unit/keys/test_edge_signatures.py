"""Signatures at the edges of the arithmetic, made for it: those that hold verify, those that look like them do not.

The kinds of cases are those that Project Wycheproof lists; every number here is worked out from the standards' own
equations (FIPS 186-5 §6.4.2, RFC 8032 §5.1.7, GB/T 32918.2 §7.1).
"""

import hashlib
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from keys import base64url
from keys.errors import BadSignature
from keys.jwk import VerifyingKey, parse_public
from tests.vectors.curves import P256, SM2, Curve, Point

DATA = b"to be signed"
N = P256.order
H = int.from_bytes(hashlib.sha256(DATA).digest(), "big") % N


def verifies(curve: Curve, public: Point, r: int, s: int) -> bool:
    """Whether r and s are the key's signature over DATA."""
    key = parse_public(curve.jwk(public))
    assert isinstance(key, VerifyingKey)
    try:
        key.verify(DATA, r.to_bytes(32, "big") + s.to_bytes(32, "big"))
    except BadSignature:
        return False
    return True


def x_of(point: Point) -> int:
    assert point is not None
    return point[0]


def inverse(value: int, modulus: int = N) -> int:
    return pow(value, -1, modulus)


# ES256: with k and s chosen, the key is d = (s·k - h) / r.
@pytest.mark.parametrize("k", [1, 2, N - 1, N - 2, (N + 1) // 2], ids=lambda k: f"k={k % 1000}")
@pytest.mark.parametrize("s", [1, 2, 3, N - 1, N - 2, (N - 1) // 2, (N + 1) // 2, 2**128, 2**255], ids=hex)
def test_an_es256_signature_of_an_extreme_k_and_s_holds_and_its_neighbours_do_not(k: int, s: int) -> None:
    r = x_of(P256.times(k)) % N
    d = (s * k - H) * inverse(r) % N
    public = P256.times(d)
    assert verifies(P256, public, r, s)
    assert verifies(P256, public, r, N - s)  # the standard has no rule for the lower of the two
    for other in ((r, 3 * s % N), (r ^ 1, s), (s, r), (N - r, s), (1, s)):
        assert not verifies(P256, public, *other)


def test_an_es256_signature_whose_point_has_an_x_beyond_the_order_holds() -> None:
    """r is x reduced by the order; who compares r with x unreduced refuses what holds (one signature in 2**32)."""
    x = next(x for x in range(N, P256.p) if P256.at(x) is not None)
    for s in (1, 7, N - 1):
        r = x - N
        u1, u2 = H * inverse(s) % N, r * inverse(s) % N
        public = P256.times(inverse(u2), P256.add(P256.at(x), P256.times(N - u1)))
        assert verifies(P256, public, r, s)
        assert not verifies(P256, public, r + 1, s)


def test_an_es256_signature_whose_two_parts_are_one_point_holds() -> None:
    """u1·G = u2·Q: a sum that is a doubling, which an addition without cases gets wrong."""
    for k in (3, 5, N - 4):
        r = x_of(P256.times(k)) % N
        assert verifies(P256, P256.times(H * inverse(r)), r, 2 * H * inverse(k) % N)


@pytest.mark.parametrize("s", [1, 2, H, N - H, N - 1], ids=lambda s: f"s={s % 1000}")
@pytest.mark.parametrize("r", [1, 2, H, N - 1, P256.generator[0]], ids=lambda r: f"r={r % 1000}")
def test_an_es256_signature_that_leads_to_the_point_at_infinity_is_refused(r: int, s: int) -> None:
    """d = -h / r: u1·G + u2·Q is no point with an x, whatever s is."""
    assert not verifies(P256, P256.times(-H * inverse(r)), r, s)


# Ed25519.
L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19
SEED = hashlib.sha256(b"xieban edge cases").digest()
T8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7


def ed25519() -> tuple[VerifyingKey, bytes, int]:
    """A key, its public bytes, and its secret scalar (RFC 8032 §5.1.5)."""
    public = Ed25519PrivateKey.from_private_bytes(SEED).public_key().public_bytes_raw()
    key = parse_public({"kty": "OKP", "crv": "Ed25519", "x": base64url.encode(public)})
    assert isinstance(key, VerifyingKey)
    scalar = int.from_bytes(hashlib.sha512(SEED).digest()[:32], "little")
    return key, public, (scalar & ((1 << 254) - 8)) | (1 << 254)


def crafted(point: bytes) -> bytes:
    """R as given and S = h·a: what holds if R stands for the neutral element, or for one that 8 makes it."""
    _, public, scalar = ed25519()
    h = int.from_bytes(hashlib.sha512(point + public + DATA).digest(), "little")
    return point + (h * scalar % L).to_bytes(32, "little")


def little(y: int, sign: int = 0) -> bytes:
    return (y | sign << 255).to_bytes(32, "little")


def test_an_ed25519_signature_whose_r_is_the_neutral_element_holds_in_its_one_encoding() -> None:
    key, _, _ = ed25519()
    key.verify(DATA, crafted(little(1)))
    for other in (little(1, 1), little(1 + P), little(1 + P, 1)):
        with pytest.raises(BadSignature):
            key.verify(DATA, crafted(other))


@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize("y", [0, P, P - 1, T8, P - T8, 2**255 - 1, 2, P + 2], ids=lambda y: f"y={y % 1000}")
def test_an_ed25519_signature_with_an_r_of_small_order_is_refused(y: int, sign: int) -> None:
    """Multiplied by 8 it would hold; as the standard's equation stands, it does not."""
    with pytest.raises(BadSignature):
        ed25519()[0].verify(DATA, crafted(little(y, sign)))


# SM2.
def sm2_digest(public: Point) -> int:
    """e: SM3 of Z and the data, Z naming the signer, the curve and the key (GB/T 32918.2 §5.5)."""
    assert public is not None
    user = b"1234567812345678"
    curve = [SM2.p - 3, SM2.b, *SM2.generator, *public]
    z = (8 * len(user)).to_bytes(2, "big") + user + b"".join(value.to_bytes(32, "big") for value in curve)
    return int.from_bytes(_sm3(_sm3(z) + DATA), "big")


def _sm3(data: bytes) -> bytes:
    made: Any = hashlib.new("sm3", data)
    return bytes(made.digest())


@pytest.mark.parametrize("k", [1, 2, SM2.order - 1, 2**255], ids=lambda k: f"k={k % 1000}")
@pytest.mark.parametrize("d", [1, 2, SM2.order - 2, 2**128], ids=lambda d: f"d={d % 1000}")
def test_an_sm2_signature_of_an_extreme_k_and_key_holds_and_its_neighbours_do_not(k: int, d: int) -> None:
    n, public = SM2.order, SM2.times(d)
    r = (sm2_digest(public) + x_of(SM2.times(k))) % n
    s = inverse(1 + d, n) * (k - r * d) % n
    assert verifies(SM2, public, r, s)
    for other in ((r, n - s), (n - r, s), (s, r), (r, n - r), (r ^ 1, s), (r, s ^ 1)):
        assert not verifies(SM2, public, *other)


@pytest.mark.parametrize("r", [1, 2, SM2.order - 1, SM2.order // 2], ids=lambda r: f"r={r % 1000}")
def test_an_sm2_signature_whose_parts_add_up_to_nothing_is_refused(r: int) -> None:
    """t = r + s = 0 modulo the order, which the standard refuses before any point (§7.1 B5)."""
    public = SM2.times(7)
    assert not verifies(SM2, public, r, SM2.order - r)


@pytest.mark.parametrize("s", [1, 5, SM2.order - 2], ids=lambda s: f"s={s % 1000}")
def test_an_sm2_signature_that_leads_to_the_point_at_infinity_is_refused(s: int) -> None:
    """s·G + t·P is infinity for d = -s / t; r = e is what an x of zero would make of it."""
    n = SM2.order
    for t in (2, 9, n - 3):
        public = SM2.times(-s * inverse(t, n))
        assert not verifies(SM2, public, (t - s) % n, s)
        assert not verifies(SM2, public, sm2_digest(public) % n, s)
