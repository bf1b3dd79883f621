"""A system on a province's bus (NATS JetStream): it reacts to events, and publishes what it wants sent."""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import nats
from nats.aio.msg import Msg
from nats.errors import Error, NoServersError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError

from adapters.client import Client, messages
from adapters.conformance.running import free_port
from keys import jwe
from keys.errors import Fault
from keys.jwk import DecryptionKey
from keys.keystore import KeyStore
from protocols.envelope import Event
from tests.acceptance.conforming.common import ASKED, KNOWN, LOOK, PASSPHRASE, WAIT, Given, replies, run

NATS: Final = shutil.which("nats-server", path=f"{os.environ['PATH']}:/usr/sbin")
WANTED: Final = "xieban.wanted"


class System:
    """It holds the organisation's own keys: what is sealed is on no bus."""

    def __init__(self, given: Given, stream: JetStreamContext, keys: list[DecryptionKey], client: Client) -> None:
        self.given, self.stream, self.keys, self.client = given, stream, keys, client

    async def react(self, event: dict[str, Any]) -> None:
        """To a request that can be opened: accept it, and answer."""
        said = event["data"]
        if event["type"] != ASKED or said["message"]["dataschema"] != KNOWN:
            return
        original = await self.original(event)
        try:
            content = messages.unseal(original, self.keys)
        except Fault:
            return
        for message, data, told in replies(content["reference"]):
            await self.want(f"{original.id}.{message}", f"case-assistance.{message}", data, told,
                            case=event["subject"], cause=original.id)  # fmt: skip

    async def original(self, event: dict[str, Any]) -> Event:
        """The message itself: beside its event, or where the event says; one of 1 MiB fits on no bus."""
        compact = event["data"].get("jws")
        if compact is not None:
            return messages.read(compact.encode())[1]
        return (await self.client.message(event["data"]["message"]["source"], event["id"])).event

    async def want(self, id: str, type: str, data: dict[str, Any], content: dict[str, Any] | None,
                   case: str | None = None, cause: str | None = None, to: str | None = None) -> None:  # fmt: skip
        """Publish a message to be sent, its content sealed to the organisation itself."""
        asked: dict[str, Any] = {"message": data}
        if content is not None:
            asked["content"] = jwe.seal(json.dumps(content).encode(), [key.public for key in self.keys])
        asked |= {"causationid": cause} if cause else {}
        asked |= {"to": [to]} if to else {}
        event = {"specversion": "1.0", "source": "our-system", "id": id, "type": type, "data": asked}
        body = json.dumps(event | ({"subject": case} if case else {})).encode()
        await self.stream.publish(f"{WANTED}.{self.given.organisation}", body, headers={"Nats-Msg-Id": id})

    async def open(self) -> None:
        """Publish the requests that are wanted."""
        for name, wanted in self.given.wishes():
            await self.want(name, ASKED, wanted["data"], wanted["content"], to=wanted["to"])
            self.given.handed(name)

    def told(self, event: dict[str, Any]) -> None:
        """What became of what was wanted."""
        if event["data"]["taken"]:
            self.given.opened(event["data"]["of"]["id"])


async def work(given: Given) -> None:
    """React to what is on the bus."""
    store = KeyStore(given.keys)
    signing, keys = store.signing_key(PASSPHRASE, datetime.now(UTC)), given.openers()
    async with bus(given) as (server, stream):
        own = {"servers": [server], "create": True, "wanted": WANTED, "with_message": True, "every": 2.0}
        async with given.adapter("bus", own):
            cases = await subscribed(stream, f"xieban.{given.organisation}.>", "cases")
            results = await subscribed(stream, f"xieban.result.{given.organisation}", "results")
            system = System(given, stream, keys, Client(given.hub, given.organisation, signing, keys))
            while True:
                async with system.client:
                    with contextlib.suppress(Fault):  # the hub is away: what is not done comes again
                        while True:
                            for one in await fetched(results):
                                system.told(json.loads(one.data))
                                await one.ack()
                            for one in await fetched(cases):
                                await system.react(json.loads(one.data))
                                await one.ack()
                            await system.open()
                await asyncio.sleep(LOOK)


async def fetched(consumer: JetStreamContext.PullSubscription) -> list[Msg]:
    """What came, waited for a moment."""
    try:
        return await consumer.fetch(50, timeout=LOOK)
    except TimeoutError:
        return []


async def subscribed(stream: JetStreamContext, subject: str, name: str) -> JetStreamContext.PullSubscription:
    """A durable consumer, once the adapter has made the stream."""
    async with asyncio.timeout(WAIT):
        while True:
            with contextlib.suppress(NotFoundError):
                return await stream.pull_subscribe(subject, durable=name, stream="XIEBAN")
            await asyncio.sleep(LOOK)


@contextlib.asynccontextmanager
async def bus(given: Given) -> AsyncIterator[tuple[str, JetStreamContext]]:
    """The server of the province, and a connection to it."""
    assert NATS is not None
    port = free_port()
    options = {"-a": "127.0.0.1", "-p": port, "-sd": given.state / "nats", "-l": given.state / "log"}
    process = await asyncio.create_subprocess_exec(NATS, "-js", *(str(one) for pair in options.items() for one in pair))
    address = f"nats://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(WAIT):
            while True:
                try:
                    connection = await nats.connect(address, max_reconnect_attempts=1, allow_reconnect=False)
                    break
                except (Error, NoServersError, OSError):
                    await asyncio.sleep(LOOK)
        yield address, connection.jetstream()
        await connection.close()
    finally:
        process.terminate()
        await process.wait()


if __name__ == "__main__":
    run(work)
