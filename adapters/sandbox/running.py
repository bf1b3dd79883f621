"""A sandbox that runs: a hub on a folder that is thrown away, the proxy before it, the counterparts at work."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from msgspec.structs import replace

from adapters.conformance import kit
from adapters.conformance.proxy import Proxy
from adapters.conformance.running import Hub
from adapters.sandbox import misbehaving, scripts
from adapters.sandbox.actor import Actor, Tell, World
from adapters.sandbox.words import COUNTERPARTS, Told

FIRST, FORWARDED_TO = "opens", "answers"
"""The counterpart that opens a case as soon as there is a sandbox, and the one to which others forward."""
SPARE = "411003-health"
"""Who takes the part of a counterpart whose id is the partner's own."""


@dataclass(frozen=True)
class Settings:
    """Whose sandbox it is (id and public keys, RFC 7517), where it listens, and what late and slow mean, in seconds."""

    partner: str
    jwks: Mapping[str, Any]
    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    delay: float = 20.0

    def cast(self) -> list[Told]:
        """The counterparts: none has the partner's own id."""
        return [replace(one, id=SPARE) if one.id == self.partner else one for one in COUNTERPARTS]


@dataclass(frozen=True)
class Sandbox:
    """Where the partner finds its hub, by which keys that signs, and who is there."""

    url: str
    hub_jwks: str
    counterparts: tuple[Told, ...]


@contextlib.asynccontextmanager
async def sandbox(settings: Settings, tell: Tell) -> AsyncIterator[Sandbox]:
    """While it lasts there is a hub with all counterparts. Raises AddressUnavailable, NotRunning, Fault."""
    tested = kit.Settings(settings.partner, settings.jwks, settings.folder)
    record = tested.record() | {"name": {"zh": "接入方", "en": "Partner"}}
    cast = settings.cast()
    ids = {one.plays: one.id for one in cast}
    hub = Hub(settings.folder / "run")
    async with contextlib.AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(Proxy(hub.tested_url, settings.host, settings.port))
        stack.push_async_callback(hub.stop)
        await hub.prepare()
        begin = await stack.enter_async_context(_beginning())
        world = World(hub, settings.partner, tested.readable(), settings.delay, ids[FORWARDED_TO], tell, begin)
        actors = {one.plays: _actor(one, hub, world) for one in cast}
        await hub.enrol([record, *(_named(one, actors[one.plays]) for one in cast)])
        stack.enter_context(proxy.under(*misbehaving.rules(ids, settings.delay, proxy)))
        for actor in actors.values():
            await stack.enter_async_context(actor.working())
        await scripts.open_case(actors[FIRST])
        async with aiohttp.ClientSession() as session, session.get(f"{hub.url}/.well-known/jwks.json") as answer:
            jwks = await answer.text()
        yield Sandbox(proxy.url, jwks, tuple(cast))


@contextlib.asynccontextmanager
async def _beginning() -> AsyncIterator[Any]:
    """What begins a task; all that are not done are cancelled at the end."""
    begun: set[asyncio.Task[None]] = set()
    async with asyncio.TaskGroup() as tasks:

        def begin(work: Coroutine[Any, Any, None]) -> None:
            task = tasks.create_task(work)
            begun.add(task)
            task.add_done_callback(begun.discard)

        try:
            yield begin
        finally:
            for task in begun:
                task.cancel()


def _actor(one: Told, hub: Hub, world: World) -> Actor:
    return Actor(one.id, hub.url, world=world, plays=scripts.scripts(one.plays), signs=one.plays != "silent")


def _named(one: Told, actor: Actor) -> dict[str, Any]:
    return actor.record() | {"name": {"zh": f"沙箱对端 {one.plays}", "en": f"Sandbox: {one.plays}"}}
