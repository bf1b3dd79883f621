"""RabbitMQ behind the port (AMQP 0-9-1). An event is on it once the broker confirmed it into a durable queue.

The broker knows no event again: its `message_id` is for those who read, and `last` can't say anything.
"""

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from aiormq.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp.common import FieldTable
from yarl import URL

from adapters.bus.port import MEDIA, Arrived, Bus
from adapters.bus.settings import Settings, secret, tls
from adapters.running.partner import PartnerRejected, PartnerUnreachable

BATCH: Final = 50
LOOK: Final = 0.2
"""Seconds between two looks into the queues."""


class RabbitMQ(Bus):
    """A topic exchange, with a queue that keeps everything, and one for each organisation where systems want."""

    def __init__(self, known: Settings, organisations: Sequence[str]) -> None:
        self._known, self._organisations = known, organisations
        self.largest = 16 << 20
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None
        self._wanted: Mapping[str, AbstractQueue] = {}
        self._alone = asyncio.Lock()

    def check(self) -> None:
        """Read every file, call nobody."""
        for server in self._known.servers:
            self._let_in(server)

    async def publish(self, subject: str, event: bytes, id: str) -> None:
        """Publish, and wait for the broker's confirmation; an event that no queue takes is not published."""
        if len(event) > self.largest:
            raise PartnerRejected(f"the event has {len(event)} bytes, the bus takes {self.largest}")
        said = aio_pika.Message(event, content_type=MEDIA, message_id=id,
                                delivery_mode=aio_pika.DeliveryMode.PERSISTENT)  # fmt: skip
        async with self._at_work() as exchange:
            try:
                await exchange.publish(said, routing_key=subject, mandatory=True, timeout=self._known.timeout)
            except (PublishError, DeliveryError):
                raise PartnerUnreachable(f"no queue takes {subject}: bind one to {self._known.stream}") from None

    async def last(self, subject: str) -> str | None:
        """Nothing: a queue is not looked into."""
        return None

    async def fetch(self, seconds: float) -> Sequence[Arrived]:
        """What lies in the queues; what is not done comes again when the channel ends."""
        until = asyncio.get_running_loop().time() + seconds
        while True:
            async with self._at_work():
                pages = [await _page(organisation, queue) for organisation, queue in self._wanted.items()]
            found = [one for page in pages for one in page]
            if found or asyncio.get_running_loop().time() >= until:
                return found
            await asyncio.sleep(LOOK)

    async def close(self) -> None:
        """Leave."""
        connection, self._connection, self._exchange, self._wanted = self._connection, None, None, {}
        if connection is not None:
            with contextlib.suppress(AMQPError, OSError, RuntimeError, TimeoutError):
                await asyncio.wait_for(connection.close(), 2.0)

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[AbstractExchange]:
        try:
            async with self._alone:
                exchange = await self._connected()
            yield exchange
        except (AMQPError, OSError, TimeoutError, RuntimeError) as error:
            await self.close()
            raise PartnerUnreachable(f"the bus: {str(error) or type(error).__name__}"[:300]) from None

    async def _connected(self) -> AbstractExchange:
        if self._exchange is not None and self._connection is not None and not self._connection.is_closed:
            return self._exchange
        await self.close()
        for number, server in enumerate(self._known.servers, start=1):
            try:
                self._connection = await self._at(server)
                break
            except (AMQPError, OSError, TimeoutError):
                if number == len(self._known.servers):
                    raise
        assert self._connection is not None
        # Whatever can't be routed is given back before the confirmation comes.
        channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        try:
            await self._prepared(channel)
        except ChannelNotFoundEntity as error:
            raise PartnerUnreachable(f"the bus has no exchange or queue of this name: {error}") from None
        assert self._exchange is not None
        return self._exchange

    async def _at(self, server: str) -> AbstractConnection:
        url, context = self._let_in(server)
        return await aio_pika.connect(url, timeout=self._known.timeout, ssl_context=context)

    def _let_in(self, server: str) -> tuple[URL, ssl.SSLContext | None]:
        known, url = self._known, URL(server)
        if known.user is not None and known.password_file is not None:
            url = url.with_user(known.user).with_password(secret(known.password_file))
        return url, tls(known) if url.scheme == "amqps" else None

    async def _prepared(self, channel: AbstractChannel) -> None:
        known, passive = self._known, not self._known.create
        topic = aio_pika.ExchangeType.TOPIC
        exchange = await channel.declare_exchange(known.stream, topic, durable=True, passive=passive)
        if known.create:
            kept: FieldTable = {"x-queue-type": "stream", "x-max-age": f"{max(1, round(known.days))}D"}
            everything = await channel.declare_queue(known.stream, durable=True, arguments=kept)
            for subject in {f"{known.prefix}.#", f"{known.results}.#"}:
                await everything.bind(exchange, subject)
        queues = {}
        for one in self._organisations if known.wanted is not None else ():
            subject = f"{known.wanted}.{one}"
            queues[one] = await channel.declare_queue(subject, durable=True, passive=passive)
            if known.create:
                await queues[one].bind(exchange, subject)
        self._exchange, self._wanted = exchange, queues


async def _page(organisation: str, queue: AbstractQueue) -> list[Arrived]:
    found: list[Arrived] = []
    while len(found) < BATCH and (one := await queue.get(fail=False)) is not None:
        found.append(_arrived(organisation, queue.name, one))
    return found


def _arrived(organisation: str, queue: str, one: AbstractIncomingMessage) -> Arrived:
    async def done(taken: bool) -> None:
        try:
            await (one.ack() if taken else one.reject(requeue=False))
        except (AMQPError, OSError, RuntimeError) as error:
            raise PartnerUnreachable(f"the bus: {error}"[:300]) from None

    # The broker numbers nothing: what can't be read is told apart by what it is.
    return Arrived(organisation, f"{queue}/{hashlib.sha256(one.body).hexdigest()[:32]}", one.body, done)
