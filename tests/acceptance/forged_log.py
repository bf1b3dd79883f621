"""A log of a test's own making, served as a hub serves its own."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from keys import checkpoint, jwk, merkle, tiles
from keys.checkpoint import Checkpoint

LOG = jwk.generate_signing()
ORIGIN = "log.example/forged"


class Log:
    """A log that serves whatever entries it is given, signed with its true key."""

    def __init__(self, *entries: bytes) -> None:
        self.entries = list(entries)
        self.spoil: Callable[[bytes], bytes] = lambda body: body
        self.received: list[bytes] = []

    def root(self) -> bytes:
        hashes = [merkle.leaf_hash(entry) for entry in self.entries]
        return merkle.root(len(hashes), lambda level, index: self.node(hashes, level, index))

    def node(self, hashes: list[bytes], level: int, index: int) -> bytes:
        below = hashes[index << level : (index + 1) << level]
        while len(below) > 1:
            below = [merkle.node_hash(a, b) for a, b in zip(below[::2], below[1::2], strict=True)]
        return below[0]

    async def checkpoint(self, request: web.Request) -> web.Response:
        return web.Response(text=checkpoint.sign_checkpoint(Checkpoint(ORIGIN, len(self.entries), self.root()), LOG))

    async def tile(self, request: web.Request) -> web.Response:
        path = tiles.parse_tile_path("tile/" + request.match_info["path"])
        hashes = [merkle.leaf_hash(entry) for entry in self.entries]
        first = path.index * tiles.TILE_WIDTH
        if path.level == tiles.ENTRIES:
            return web.Response(body=tiles.entry_bundle(self.entries[first : first + path.width]))
        rows = range(first, first + path.width)
        body = b"".join(self.node(hashes, path.level * tiles.TILE_HEIGHT, index) for index in rows)
        return web.Response(body=self.spoil(body))

    async def take(self, request: web.Request) -> web.Response:
        self.received.append(await request.read())
        return web.Response(status=204)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/log/checkpoint", self.checkpoint)
        app.router.add_get("/log/tile/{path:.+}", self.tile)
        app.router.add_post("/log/cosignatures", self.take)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()
