"""A counterpart with a script: each case that comes to it is played by a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapters.client import Draft, Item
from adapters.conformance.counterpart import Counterpart
from adapters.conformance.running import Hub
from keys.errors import Fault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey

PROTOCOL = "case-assistance"
Tell = Callable[[str], None]
Play = Callable[["Case"], Awaitable[None]]
"""What is done in a case, from its first message to its last."""


@dataclass(frozen=True)
class World:
    """What all counterparts share: the hub, whom they work with, how patient they are, where they say what they do."""

    hub: Hub
    partner: str
    keys: Sequence[EncryptionKey]
    delay: float
    forwarded_to: str
    tell: Tell
    begin: Callable[[Coroutine[Any, Any, None]], object]
    """Has something done beside all else."""


@dataclass(kw_only=True)
class Actor(Counterpart):
    """One counterpart: `plays` are its scripts, by the message that brings a case to it."""

    world: World
    plays: Mapping[str, Play]
    signs: bool = True
    """Whether it signs for what it receives."""
    cases: dict[str, "Case"] = field(default_factory=dict)
    earlier: list[DecryptionKey] = field(default_factory=list)
    """Keys that it had; what was sealed to them can still be opened."""

    def take(self, item: Item) -> None:
        """Sign for what came in, and go on with its case."""
        super().take(item)
        if self.signs:
            self.world.begin(self._signed(item))
        protocol, _, message = item.event.type.partition(".")
        case = self.cases.get(item.event.subject)
        if protocol == PROTOCOL and (play := self.plays.get(message)):
            self.begin(Case(self, item.event.subject, item), play)
        elif case is not None:
            case.came.put_nowait(item)
        elif protocol != PROTOCOL:
            self.say(item.event.subject, f"{item.event.type}: 沙箱只会办案件协查 · the sandbox knows {PROTOCOL} alone")

    def begin(self, case: "Case", play: Play) -> None:
        """Play a case."""
        self.cases[case.id] = case
        self.world.begin(self._played(case, play))

    def say(self, case: str, text: str) -> None:
        """Tell whoever watches."""
        self.world.tell(f"{self.id} {case}: {text}")

    async def rekeyed(self, signing: SigningKey, sealing: DecryptionKey) -> None:
        """From now on it has these keys, and opens with those from before."""
        self.earlier.append(self.sealing)
        await super().rekeyed(signing, sealing)

    async def _signed(self, item: Item) -> None:
        try:
            await self.client.acknowledge(item)
        except Fault as fault:
            self.say(item.event.subject, str(fault))

    async def _played(self, case: "Case", play: Play) -> None:
        try:
            await play(case)
        except Fault as fault:
            self.say(case.id, str(fault))


@dataclass
class Case:
    """A case as one counterpart sees it: the message that brought it, None where it opened it itself, and what came
    since.
    """

    me: Actor
    id: str
    first: Item | None = None
    came: asyncio.Queue[Item] = field(default_factory=asyncio.Queue)

    @property
    def cause(self) -> str | None:
        """The id of the message that brought the case."""
        return None if self.first is None else self.first.event.id

    async def draft(
        self, message: str, data: Mapping[str, Any] | None = None, content: Mapping[str, Any] | None = None
    ) -> Draft:
        """What would be said, signed and not sent."""
        return await self.me.client.prepare_reply(
            self.id, message, dict(data or {}), None if content is None else dict(content), causationid=self.cause
        )

    async def send(self, draft: Draft) -> str:
        """Say it; the message's id. Raises Refused."""
        sent = await self.me.client.resend(draft)
        self.me.say(self.id, f"→ {draft.event.type.partition('.')[2]} {sent.id}")
        return sent.id

    async def say(
        self, message: str, data: Mapping[str, Any] | None = None, content: Mapping[str, Any] | None = None
    ) -> str:
        """Say something in the case; the message's id. Raises Refused."""
        return await self.send(await self.draft(message, data, content))

    async def until(self, message: str) -> Item:
        """Wait for such a message; what else comes meanwhile needs no reply."""
        while True:
            item = await self.came.get()
            if item.event.type == f"{PROTOCOL}.{message}":
                return item
