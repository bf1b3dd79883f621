"""Messages made beforehand: organisations with keys, signed requests, whole cases, so that no signing is timed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from keys import jwk, jws
from keys.jwk import DecryptionKey, SigningKey
from protocols import envelope, sealing
from protocols.loading import Protocol, catalogue

HUB = "410000-hub"
NARRATIVE = "请协助查明当事人在贵地的从业单位、从业起止时间及有关证照情况，并附相关材料。" * 3
CASE = (("request", 0), ("accept", 1), ("ask", 1), ("answer", 0), ("answer", 1), ("close", 0))
"""A case from opening to close: which message, and which of the two sends it."""
STEPS = len(CASE)


@dataclass(frozen=True)
class Bureau:
    """An organisation of the benchmark."""

    id: str
    signing: SigningKey
    sealing: DecryptionKey

    def record(self) -> dict[str, Any]:
        """Its line in the file of organisations."""
        name = {"zh": self.id, "en": self.id}
        jwks = jwk.public_jwks([self.signing.public, self.sealing.public])
        return {"id": self.id, "name": name, "superior": None, "roles": ["bureau"], "jwks": jwks}


def bureaus(count: int, first: int = 100_000) -> list[Bureau]:
    """Bureaus with fresh keys; their codes are numbers that no division has."""
    return [
        Bureau(f"{first + number}-health", jwk.generate_signing(), jwk.generate_encryption()) for number in range(count)
    ]


class Writer:
    """Signs messages; the sealed part is made once a pair, for the hub can't open it anyway."""

    def __init__(self, organisations: Sequence[Bureau]) -> None:
        self.bureaus = list(organisations)
        self._places = {bureau.id: place for place, bureau in enumerate(self.bureaus)}
        self._protocol: Protocol = catalogue().protocols["case-assistance", "1.0"]
        self._sealed: dict[tuple[str, str], dict[str, Any]] = {}

    def message(self, name: str, case: str, here: Bureau, there: Bureau) -> bytes:
        """One signed message of case assistance."""
        declared = self._protocol.messages[name]
        data = dict(declared.schema.document["examples"][0])
        if declared.declared.sealed != "none":
            data |= self._seal(here, there)
        attributes = envelope.compose(
            source=here.id,
            type=f"{self._protocol.name}.{name}",
            dataschema=declared.schema.id,
            subject=case,
            recipients=[there.id],
            hub=HUB,
            time=datetime.now(UTC),
            data=data,
        )
        return jws.sign(envelope.encode(attributes), here.signing, typ=envelope.TYP, cty=envelope.CTY)

    def requests(self, count: int) -> list[bytes]:
        """Openings of `count` cases, the bureaus in turn."""
        size = len(self.bureaus)
        pairs = ((self.bureaus[n % size], self.bureaus[(n * 7 + 1) % size]) for n in range(count))
        return [
            self.message("request", envelope.new_id(), here, there if there is not here else self._other(here))
            for here, there in pairs
        ]

    def whole_cases(self, count: int) -> Iterator[list[bytes]]:
        """Cases from opening to close, the messages of each in order."""
        for number in range(count):
            here = self.bureaus[number % len(self.bureaus)]
            pair, case = (here, self._other(here)), envelope.new_id()
            yield [self.message(name, case, pair[side], pair[1 - side]) for name, side in CASE]

    def _other(self, here: Bureau) -> Bureau:
        return self.bureaus[(self._places[here.id] + 1) % len(self.bureaus)]

    def _seal(self, here: Bureau, there: Bureau) -> dict[str, Any]:
        pair = here.id, there.id
        if pair not in self._sealed:
            id, keys = envelope.new_id(), [here.sealing.public, there.sealing.public]
            self._sealed[pair] = sealing.seal(here.id, id, envelope.new_id(), {"narrative": NARRATIVE}, keys)
        return self._sealed[pair]
