"""The proxy between the system under test and the hub: it records every request, and misbehaves as it is told."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import ClassVar

import aiohttp
from aiohttp import web

from keys.errors import Fault

MAX_BODY = 64 << 20
_NOT_HANDED_ON = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "content-encoding", "accept-encoding", "keep-alive"}
)


class AddressUnavailable(Fault):
    """Nobody can listen there: another program does, or it is not this machine's."""

    code: ClassVar[str] = "address-unavailable"


class Dropped(Exception):
    """The connection ends here: whoever asked gets no answer."""


@dataclass(slots=True)
class Call:
    """A request of the system under test, and what became of it; `begun` is the loop's time, `at` the moment."""

    begun: float
    at: datetime
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    taken: int | None = None
    """The status by which the hub answered; None where it did not (or has not yet)."""
    answer: bytes = field(default=b"", repr=False)
    """What the hub answered."""
    given: int | None = None
    """The status that the system under test was given; None where its connection was dropped, or it still waits."""

    @property
    def polls(self) -> bool:
        """Whether it reads the mailbox."""
        return (self.method, self.path) == ("GET", "/v1/mailbox")

    @property
    def after(self) -> int | None:
        """The cursor that it presents, where it reads the mailbox."""
        text = self.query.get("after", "0")
        return int(text) if self.polls and text.isascii() and text.isdigit() else None

    @property
    def sends(self) -> bool:
        """Whether it sends messages."""
        return self.method == "POST" and self.path in ("/v1/messages", "/v1/messages/batch", "/v1/relay")

    @property
    def acknowledges(self) -> bool:
        """Whether it signs for messages."""
        return (self.method, self.path) == ("POST", "/v1/mailbox/acknowledge")


@dataclass(frozen=True, slots=True)
class Given:
    """An answer; one that is `cut` ends in the middle of its body."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    cut: bool = False


Onward = Callable[[Call], Awaitable[Given]]
Rule = Callable[[Call, Onward], Awaitable[Given]]
"""What is done with a call: handed onward, altered, delayed; or Dropped is raised."""


class Proxy:
    """An HTTP server before the hub at `hub`. Use as an async context manager; port 0 takes any that is free."""

    def __init__(self, hub: str, host: str = "127.0.0.1", port: int = 0) -> None:
        self.hub, self.host, self.port = hub, host, port
        self.calls: list[Call] = []
        self._rules: list[Rule] = []
        self._changed = asyncio.Event()
        self._session: aiohttp.ClientSession | None = None
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=0.2)
        self._site: web.TCPSite | None = None

    @property
    def url(self) -> str:
        """Where the system under test finds its hub."""
        return f"http://{self.host}:{self.port}"

    async def __aenter__(self) -> "Proxy":
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        await self._runner.setup()
        try:
            await self.listen()
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def listen(self) -> None:
        """Take connections. Raises AddressUnavailable."""
        site = web.TCPSite(self._runner, self.host, self.port, reuse_address=True)
        try:
            await site.start()
        except OSError as error:
            raise AddressUnavailable(f"{self.host}:{self.port}: {os.strerror(error.errno or 0)}") from error
        self._site = site

    async def deafen(self) -> None:
        """Refuse new connections until `listen`."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    @contextlib.contextmanager
    def under(self, *rules: Rule) -> Iterator[None]:
        """While it lasts calls go through these rules too, the last first; polls that wait begin again under them."""
        self._rules += rules
        self._turn()
        try:
            yield
        finally:
            self._rules = [rule for rule in self._rules if rule not in rules]
            self._turn()

    def _turn(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        begun, at = asyncio.get_running_loop().time(), datetime.now(UTC)
        call = Call(begun, at, request.method, request.path, dict(request.query), request.headers, b"")
        self.calls.append(call)
        call.body = await request.read()
        try:
            given = await self._judged(call)
        except (Dropped, aiohttp.ClientError):
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        call.given = None if given.cut else given.status
        if not given.cut:
            return web.Response(status=given.status, headers=given.headers, body=given.body)
        return await _begun(request, given)

    async def _judged(self, call: Call) -> Given:
        """The answer under the rules of the moment. A poll that waits must not slip through under those of before."""
        while call.polls:
            changed = self._changed
            answering = asyncio.ensure_future(self._through(call))
            turning = asyncio.ensure_future(changed.wait())
            try:
                await asyncio.wait({answering, turning}, return_when=asyncio.FIRST_COMPLETED)
                if answering.done():
                    return answering.result()
            finally:
                for task in (answering, turning):
                    task.cancel()
                await asyncio.gather(answering, turning, return_exceptions=True)
        return await self._through(call)

    async def _through(self, call: Call) -> Given:
        onward: Onward = self._forward
        for rule in self._rules:
            onward = _bound(rule, onward)
        return await onward(call)

    async def _forward(self, call: Call) -> Given:
        assert self._session is not None
        headers = {name: value for name, value in call.headers.items() if name.lower() not in _NOT_HANDED_ON}
        url = self.hub + call.path
        async with self._session.request(
            call.method, url, params=call.query, data=call.body or None, headers=headers, allow_redirects=False
        ) as answer:
            body = await answer.read()
        call.taken, call.answer = answer.status, body
        return Given(answer.status, {n: v for n, v in answer.headers.items() if n.lower() not in _NOT_HANDED_ON}, body)


def _bound(rule: Rule, onward: Onward) -> Onward:
    return lambda call: rule(call, onward)


async def _begun(request: web.Request, given: Given) -> web.StreamResponse:
    """Half of an answer, and then the end of the connection."""
    response = web.StreamResponse(status=given.status, headers=given.headers)
    response.content_length = len(given.body)
    await response.prepare(request)
    await response.write(given.body[: len(given.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
