"""What the adapter needs of a bus, and nothing more."""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

MEDIA: Final = "application/cloudevents+json"
"""The content type of every event: JSON in structured mode (CloudEvents 1.0, NATS and AMQP bindings)."""
SPARE: Final = 4096
"""What headers may take of the largest message, in bytes."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event that a system published for `organisation`; `number` is the bus's own name for it.

    `done` is called once it is kept for good: True takes it off the bus, False says that it never will be taken.
    """

    organisation: str
    number: str
    body: bytes
    done: Callable[[bool], Awaitable[None]]


class Bus:
    """A bus. It connects when it is used, and again after it failed; every method raises PartnerUnreachable."""

    largest: int = (1 << 20) - SPARE
    """The longest event that it takes, in bytes."""

    def check(self) -> None:
        """Whether what lets it in can be read. Raises AdapterConfigInvalid."""

    @abstractmethod
    async def publish(self, subject: str, event: bytes, id: str) -> None:
        """Publish; returns once the bus has it in durable storage. The same id again is the same event.

        Raises PartnerRejected for one that is too large.
        """

    @abstractmethod
    async def last(self, subject: str) -> str | None:
        """The id of the last event on a subject; None where there is none, or where this bus can't say."""

    @abstractmethod
    async def fetch(self, seconds: float) -> Sequence[Arrived]:
        """What systems published meanwhile, waited for; what was fetched and is not done comes again."""

    @abstractmethod
    async def close(self) -> None:
        """Leave."""
