"""Step 1: the bytes taken apart, believed in nothing."""

import hashlib
from dataclasses import dataclass
from typing import Any

from hub.errors import TooLarge
from keys import jws
from keys.jws import Compact
from protocols import envelope

MAX_MESSAGE = 1 << 20


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as it arrived."""

    compact: Compact
    attributes: dict[str, Any]
    signing_digest: bytes

    @property
    def key(self) -> tuple[str, str] | None:
        """`(source, id)` where they can be one, None otherwise."""
        source, id = self.attributes.get("source"), self.attributes.get("id")
        fits = isinstance(source, str) and isinstance(id, str) and envelope.is_id(id)
        return (source, id) if fits else None  # type: ignore[return-value]


def decode(token: bytes) -> Incoming:
    """Take a compact JWS apart. Raises TooLarge, MalformedJWS, PayloadMalformed."""
    if len(token) > MAX_MESSAGE:
        raise TooLarge(f"a message is at most {MAX_MESSAGE} bytes")
    compact = jws.decode(token, typ=envelope.TYP)
    attributes = envelope.read(compact.payload)
    return Incoming(compact, attributes, hashlib.sha256(compact.signing_input).digest())
