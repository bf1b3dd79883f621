"""The far side of an adapter: what a partner takes, what it has to say, and how it says no."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Self

import msgspec
from aiohttp import web

from adapters.client import Client, Item, Refused
from keys.errors import Fault
from keys.jwk import SigningKey
from protocols.receipt import Receipt


class PartnerUnreachable(Fault):
    """The partner can't be reached, or asks to be left alone; `after` are the seconds it asks for. Tried again."""

    code: ClassVar[str] = "partner-unreachable"


class PartnerRejected(Fault):
    """The partner does not take this one, and would not the next time: it becomes a dead letter."""

    code: ClassVar[str] = "partner-rejected"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way down: verified, and opened where this side can. Its id makes a second delivery known.

    `organisation` is whose mailbox it lay in; `unopened` says why there is no content where there should be some.
    """

    organisation: str
    item: Item
    content: Any
    unopened: str | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A message as a partner wants it sent: in the `case`, or opening one with `to`. Sealed here, signed here."""

    source: str
    type: str
    data: dict[str, Any]
    content: dict[str, Any] | None = None
    case: str | None = None
    to: tuple[str, ...] = ()
    causationid: str | None = None


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """Something a partner has for the hub, under a `key` of its own by which it is known again.

    Either `wanted`, or `compact`: bytes that the partner signed itself. `problem` says why it is neither. `raw` is what
    the partner sent, for people who look into it.
    """

    key: str
    wanted: Wanted | None = None
    compact: bytes | None = None
    problem: str | None = None
    raw: Any = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an offer: the hub's receipt with the message's id and case, or why there is none."""

    message: str | None = None
    case: str | None = None
    receipt: Receipt | None = None
    problem: str | None = None
    refusal: Refused | None = field(default=None, compare=False)

    @property
    def taken(self) -> bool:
        """Whether the hub took it."""
        return self.receipt is not None


@dataclass(frozen=True, slots=True)
class Collected:
    """What a partner has now; `cursor` is kept with it, in one step, and given to the next call."""

    offers: Sequence[Offer]
    cursor: str | None = None
    more: bool = False
    """Whether the partner has more at once."""


@dataclass(frozen=True, slots=True)
class Own:
    """This side, for a partner that needs more of it than messages: clients by organisation, and the key that signs."""

    clients: Mapping[str, Callable[[], Client]]
    signing: SigningKey


class Partner:
    """One far side. Use as an async context manager; methods raise PartnerUnreachable where it can't be reached."""

    in_order: ClassVar[bool] = False
    """Whether what it does not take holds up all that is behind it, instead of becoming a dead letter."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def meet(self, own: Own) -> None:
        """Told once, before anything else, who stands on this side."""

    @abstractmethod
    async def deliver(self, delivery: Delivery) -> None:
        """Hand a message over; the same one may come again after a crash. Raises PartnerRejected."""

    async def position(self, organisation: str, kept: int) -> int:
        """How far a mailbox was delivered: what this side `kept`, but for a partner that knows it itself."""
        return kept

    async def collect(self, cursor: str | None) -> Collected:
        """What it has for the hub since the cursor; an offer that is not settled yet may come again."""
        return Collected((), cursor)

    def reconsider(self, offer: Offer) -> Offer:
        """An offer that had a problem, tried again by hand: as this partner makes it of its `raw` now."""
        return offer

    async def settle(self, offer: Offer, outcome: Outcome) -> None:
        """Tell it what became of an offer; called until it returns."""

    def ends(self) -> Sequence[datetime]:
        """When the certificates between it and us end, (aware) moments."""
        return ()

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """What it may call by itself, where the adapter listens."""
        return ()
