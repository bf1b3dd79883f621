"""The transparency log over HTTP: C2SP tlog-tiles below `/log/`."""

from aiohttp import web

from hub import log
from hub.api.calls import HUB, Answer, Call, caller
from hub.errors import Forbidden, NotFound
from hub.store.queries import SQL
from keys import tiles

# A tile never changes once it can be asked for: what is cached stays right for ever.
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


async def checkpoint(request: web.Request) -> web.Response:
    """`GET /log/checkpoint`: the newest signed note."""
    async with request.app[HUB].pool.acquire() as connection:
        head = await connection.fetchrow(SQL["head"])
    assert head is not None
    return web.Response(text=head["note"], content_type="text/plain", headers={"Cache-Control": "no-store"})


async def tile(request: web.Request) -> web.Response:
    """`GET /log/tile/…`: hash tiles for all, entry bundles for auditors."""
    try:
        path = tiles.parse_tile_path("tile/" + request.match_info["path"])
    except ValueError:
        raise NotFound() from None
    if path.level == tiles.ENTRIES:
        return await _bundle(request, path)
    async with request.app[HUB].pool.acquire() as connection:
        size = await connection.fetchval(SQL["size"])
        if (path.index * tiles.TILE_WIDTH + path.width) << (tiles.TILE_HEIGHT * path.level) > size:
            raise NotFound()
        body = (await log.tile_hashes(connection, path.level, path.index))[: path.width * 32]
    return web.Response(body=body, content_type="application/octet-stream", headers=_FOR_EVER)


async def _bundle(request: web.Request, path: tiles.TilePath) -> web.Response:
    if "auditor" not in (await caller(request)).roles:
        raise Forbidden("entry bundles are for auditors")
    first = path.index * tiles.TILE_WIDTH
    async with request.app[HUB].pool.acquire() as connection:
        rows = await connection.fetch(SQL["entries_between"], first, first + path.width)
    if len(rows) < path.width:
        raise NotFound()
    body = tiles.entry_bundle([row["leaf"] for row in rows])
    headers = {"Cache-Control": "private"}
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


CALLS = (
    Call(
        "GET",
        "/log/checkpoint",
        checkpoint,
        "最新检查点（C2SP tlog-checkpoint）。 The newest checkpoint.",
        {200: Answer("签名便笺 · a signed note", media="text/plain")},
        tags=("log",),
    ),
    Call(
        "GET",
        "/log/tile/{path:.+}",
        tile,
        "哈希瓦片公开，条目瓦片 `entries/…` 只对审计方。 Hash tiles for all, entry bundles for auditors.",
        {200: Answer("瓦片 · the tile", media="application/octet-stream")},
        tags=("log",),
    ),
)
