"""NATS JetStream behind the port. An event is on it once the stream has stored it; its id is `Nats-Msg-Id`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Any, Final

import nats
import nats.errors
import structlog
from nats.aio.client import Client as Connection
from nats.aio.msg import Msg
from nats.js import JetStreamContext, api
from nats.js import errors as js_errors

from adapters.bus.port import MEDIA, SPARE, Arrived, Bus
from adapters.bus.settings import Settings, private, secret, tls
from adapters.running.partner import PartnerRejected, PartnerUnreachable

logger = structlog.get_logger()
BATCH: Final = 50
ACK: Final = 30.0
"""Seconds after which what was fetched and not acknowledged comes again."""
_ELSEWHERE: Final = 10060
"""The server's error for a subject that another stream takes."""


class JetStream(Bus):
    """A stream, and a durable pull consumer for each organisation where systems may want something."""

    def __init__(self, known: Settings, organisations: Sequence[str]) -> None:
        self._known, self._organisations = known, organisations
        self._connection: Connection | None = None
        self._stream: JetStreamContext | None = None
        self._wanted: dict[str, JetStreamContext.PullSubscription] = {}
        self._alone = asyncio.Lock()
        self._why: Exception | None = None

    def check(self) -> None:
        """Read every file, call nobody."""
        self._let_in()

    async def publish(self, subject: str, event: bytes, id: str) -> None:
        """Publish, and wait for the stream's word."""
        if len(event) > self.largest:
            raise PartnerRejected(f"the event has {len(event)} bytes, the bus takes {self.largest}")
        headers = {"Content-Type": MEDIA, api.Header.MSG_ID.value: id}
        async with self._at_work() as stream:
            try:
                await stream.publish(
                    subject, event, timeout=self._known.timeout, stream=self._known.stream, headers=headers
                )
            except js_errors.NoStreamResponseError:
                raise PartnerUnreachable(f"no stream takes {subject}: {self._how()}") from None
            except js_errors.APIError as error:
                if error.err_code != _ELSEWHERE:
                    raise
                raise PartnerUnreachable(f"another stream takes {subject}, not {self._known.stream}") from None

    async def last(self, subject: str) -> str | None:
        """The id of the last event of a subject in the stream."""
        async with self._at_work() as stream:
            try:
                found = await stream.get_last_msg(self._known.stream, subject)
            except js_errors.NotFoundError:
                return None
        return (found.headers or {}).get(api.Header.MSG_ID.value)

    async def fetch(self, seconds: float) -> Sequence[Arrived]:
        """What every consumer has; each waits by itself."""
        async with self._at_work():
            pages = await asyncio.gather(*(_page(one, seconds) for one in self._wanted.values()))
            self._must_be_there()
            arrived = zip(self._wanted, pages, strict=True)
            return [Arrived(organisation, _number(one), one.data, partial(self._done, one))
                    for organisation, page in arrived for one in page]  # fmt: skip

    async def close(self) -> None:
        """Leave; what was fetched and is not done comes again to the next."""
        connection, self._connection, self._stream, self._wanted = self._connection, None, None, {}
        if connection is not None:
            with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                await asyncio.wait_for(connection.close(), 2.0)

    async def _done(self, one: Msg, taken: bool) -> None:
        async with self._at_work():
            await (one.ack() if taken else one.term())

    @contextlib.asynccontextmanager
    async def _at_work(self) -> AsyncIterator[JetStreamContext]:
        """The stream of a connection that stands; any failure ends it, and the next one makes another."""
        try:
            async with self._alone:
                stream = await self._connected()
            yield stream
        except (nats.errors.Error, OSError, TimeoutError, json.JSONDecodeError) as error:
            why = self._why if isinstance(error, nats.errors.NoServersError) and self._why else error
            await self.close()
            raise PartnerUnreachable(f"the bus: {str(why) or type(why).__name__}"[:300]) from None

    async def _connected(self) -> JetStreamContext:
        if self._stream is not None and self._connection is not None and self._connection.is_connected:
            return self._stream
        await self.close()
        connection = Connection()
        try:
            async with asyncio.timeout(self._known.timeout):
                # Once each server, then it is said to be away: who waits how long is the station's business.
                once: dict[str, Any] = {"allow_reconnect": False, "reconnect_time_wait": 0, "max_reconnect_attempts": 1}
                await connection.connect(list(self._known.servers), error_cb=self._noticed, name="xieban",
                                         **once, **self._let_in())  # fmt: skip
                self._connection = connection
                self.largest = connection.max_payload - SPARE
                self._stream = await self._prepared(connection)
        except BaseException:
            with contextlib.suppress(nats.errors.Error, OSError):
                await connection.close()
            raise
        return self._stream

    async def _prepared(self, connection: Connection) -> JetStreamContext:
        known, stream = self._known, connection.jetstream(timeout=self._known.timeout)
        try:
            held = (await stream.stream_info(known.stream)).config
        except js_errors.NotFoundError:
            if not known.create:
                raise PartnerUnreachable(f"the bus has no stream {known.stream}: {self._how()}") from None
            held = (await stream.add_stream(self._made())).config
        if held.storage == api.StorageType.MEMORY or held.no_ack:
            raise PartnerUnreachable(f"the stream {known.stream} does not keep its events on disk, or does not say so")
        if known.wanted is not None:
            for one in self._organisations:
                self._wanted[one] = await self._consumer(stream, one, f"{known.wanted}.{one}")
        return stream

    async def _consumer(
        self, stream: JetStreamContext, organisation: str, subject: str
    ) -> JetStreamContext.PullSubscription:
        name = f"xieban-{organisation}"
        config = api.ConsumerConfig(ack_policy=api.AckPolicy.EXPLICIT, ack_wait=ACK)
        found = await stream.pull_subscribe(subject, durable=name, stream=self._known.stream, config=config)
        held = (await found.consumer_info()).config
        if held.filter_subject != subject:
            raise PartnerUnreachable(f"the consumer {name} reads {held.filter_subject}, not {subject}: delete it")
        return found

    def _made(self) -> api.StreamConfig:
        known = self._known
        begins = (known.prefix, *(one for one in (known.wanted, known.results) if one is not None))
        apart = [one for one in begins if one == known.prefix or not one.startswith(known.prefix + ".")]
        age = known.days * 86400
        return api.StreamConfig(
            name=known.stream, subjects=[f"{one}.>" for one in apart], storage=api.StorageType.FILE, max_age=age,
            num_replicas=known.replicas, duplicate_window=min(known.window * 3600, age),
        )  # fmt: skip

    def _let_in(self) -> dict[str, Any]:
        known, found = self._known, dict[str, Any]()
        if known.token_file is not None:
            found["token"] = secret(known.token_file)
        if known.user is not None and known.password_file is not None:
            found |= {"user": known.user, "password": secret(known.password_file)}
        if known.nkey_file is not None:
            found["nkeys_seed_str"] = secret(known.nkey_file)
        if known.credentials_file is not None:
            found["user_credentials"] = str(private(known.credentials_file))
        if known.ca_file is not None or any(one.startswith("tls://") for one in known.servers):
            found["tls"] = tls(known)
        return found

    def _how(self) -> str:
        return f"nats stream add {self._known.stream} --subjects '{self._known.prefix}.>', or create = true"

    def _must_be_there(self) -> None:
        if self._connection is None or not self._connection.is_connected:
            raise ConnectionError("the connection ended")

    async def _noticed(self, error: Exception) -> None:
        self._why = error
        logger.debug("bus-failed", why=str(error)[:200])


async def _page(consumer: JetStreamContext.PullSubscription, seconds: float) -> list[Msg]:
    try:
        return await consumer.fetch(BATCH, timeout=seconds)
    except TimeoutError:
        return []


def _number(one: Msg) -> str:
    """The place in the stream and the moment: a stream that is made anew counts from the beginning."""
    place = one.metadata
    return f"{place.stream}/{place.sequence.stream}/{int(place.timestamp.timestamp() * 1e6)}"
