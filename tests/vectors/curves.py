"""Points and numbers for edge cases of signatures, made by plain arithmetic on short Weierstrass curves."""

from dataclasses import dataclass

from keys import base64url, curves, sm2

Point = tuple[int, int] | None
"""None is the point at infinity."""


@dataclass(frozen=True)
class Curve:
    """y² = x³ − 3x + b over the field of p elements, with a generator of prime order."""

    name: str
    p: int
    b: int
    order: int
    generator: tuple[int, int]

    def add(self, one: Point, other: Point) -> Point:
        """The sum of two points (SEC 1 §2.2.1)."""
        if one is None or other is None:
            return other if one is None else one
        (x, y), (u, v) = one, other
        if x == u and (y + v) % self.p == 0:
            return None
        rise, run = (3 * x * x - 3, 2 * y) if one == other else (v - y, u - x)
        slope = rise * pow(run, -1, self.p)
        w = (slope * slope - x - u) % self.p
        return w, (slope * (x - w) - y) % self.p

    def times(self, factor: int, point: Point = None) -> Point:
        """A multiple of a point, of the generator where none is given."""
        doubled: Point = self.generator if point is None else point
        total: Point = None
        for bit in bin(factor % self.order)[:1:-1]:
            if bit == "1":
                total = self.add(total, doubled)
            doubled = self.add(doubled, doubled)
        return total

    def at(self, x: int) -> Point:
        """A point with this x, None where there is none."""
        square = (x * x * x - 3 * x + self.b) % self.p
        y = pow(square, (self.p + 1) // 4, self.p)  # p is 3 modulo 4 for both curves
        return (x, y) if y * y % self.p == square else None

    def jwk(self, point: Point) -> dict[str, str]:
        """The public key of a point, for signing."""
        assert point is not None
        texts = {
            name: base64url.encode(value.to_bytes(32, "big")) for name, value in zip(("x", "y"), point, strict=True)
        }
        return {"kty": "EC", "crv": self.name, "use": "sig"} | texts


P256 = Curve(
    "P-256",
    2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
    curves.P256_ORDER,
    (
        0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
        0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
    ),
)
SM2 = Curve(
    "SM2",
    sm2.P,
    sm2.B,
    sm2.ORDER,
    (
        0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
        0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
    ),
)
