"""A proxy between a hub and its partners that misbehaves as a test tells it to."""

import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
from aiohttp import web

from tests.conftest import RunningHub


@dataclass
class Answer:
    """What came from the hub, to be handed on, altered or replaced."""

    path: str
    status: int
    media: str
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def saying(self, document: Any) -> "Answer":
        return replace(self, body=json.dumps(document).encode())


Tamper = Callable[[Answer], Answer | web.StreamResponse]


@contextlib.asynccontextmanager
async def proxy(hub: RunningHub, tamper: Tamper) -> AsyncIterator[str]:
    """A real HTTP server before the hub that hands on every call and tampers with every answer."""

    async def hand_on(request: web.Request) -> web.StreamResponse:
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        body = await request.read()
        async with session.request(request.method, hub.url + request.path_qs, data=body, headers=headers) as answer:
            given = Answer(request.path, answer.status, answer.content_type, await answer.read())
        told = tamper(given)
        if isinstance(told, Answer):
            return web.Response(status=told.status, body=told.body, content_type=told.media)
        return told

    app = web.Application(client_max_size=64 << 20)
    app.router.add_route("*", "/{path:.*}", hand_on)
    runner = web.AppRunner(app)
    async with aiohttp.ClientSession() as session:
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            assert site._server is not None
            port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
            yield f"http://127.0.0.1:{port}"
        finally:
            await runner.cleanup()


def only(part: str, change: Tamper) -> Tamper:
    """Tamper with answers of paths that hold `part`."""
    return lambda answer: change(answer) if part in answer.path else answer
