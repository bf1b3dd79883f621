"""A new key's thumbprint can be typed as an argument of a command."""

from hub.commands.keys import typeable
from keys import jwk
from keys.jwk import SigningKey


def test_a_thumbprint_that_reads_as_an_option_is_drawn_again() -> None:
    drawn: list[SigningKey] = []
    while not drawn or not drawn[-1].kid.startswith("-"):
        drawn.append(jwk.generate_signing())
    plain = next(key for key in iter(jwk.generate_signing, None) if not key.kid.startswith("-"))
    assert typeable(iter([drawn[-1], plain]).__next__) is plain
