"""A refused body that unfolds is not unfolded to its end; whoever sends another kind keeps the connection."""

import asyncio
import gzip
import time
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from adapters.running.hanging_up import hanging_up

UNFOLDED = 100 << 20
BOMB = gzip.compress(bytes(UNFOLDED), 1)


async def refuse(_: web.Request) -> web.Response:
    raise web.HTTPUnsupportedMediaType


async def take(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = web.Application(middlewares=[hanging_up])
    app.router.add_post("/refuse", refuse)
    app.router.add_post("/take", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def answered(port: int, path: str, body: bytes, coding: str) -> bytes:
    """The answer's head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n{coding}\r\n"
    writer.write(head.encode() + body)
    try:
        return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


async def test_what_is_refused_is_not_unfolded(port: int) -> None:
    spent = time.process_time()
    head = await answered(port, "/refuse", BOMB, "Content-Encoding: gzip\r\n")
    assert head.startswith(b"HTTP/1.1 415") and b"Connection: close" in head
    assert time.process_time() - spent < 0.2


async def test_what_is_taken_and_what_is_not_compressed_keep_the_connection(port: int) -> None:
    for path, body, coding in (("/take", gzip.compress(b"x" * 99), "Content-Encoding: gzip\r\n"),
                               ("/refuse", b"x" * 99_999, ""), ("/take", b"x" * 99, "")):  # fmt: skip
        assert b"Connection: close" not in await answered(port, path, body, coding)
