"""The transparency log over HTTP: C2SP tlog-tiles below `/log/`."""

from aiohttp import web

from hub import log
from hub.api.calls import HUB, caller
from hub.errors import Forbidden, NotFound
from hub.store.queries import SQL
from keys import tiles


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
    if path.level == tiles.ENTRIES and "auditor" not in (await caller(request)).roles:
        raise Forbidden("entry bundles are for auditors")
    async with request.app[HUB].pool.acquire() as connection:
        size = await connection.fetchval(SQL["size"])
        first = path.index * tiles.TILE_WIDTH
        if path.level == tiles.ENTRIES:
            rows = await connection.fetch(SQL["entries_between"], first, first + path.width)
            if len(rows) < path.width:
                raise NotFound()
            body = tiles.entry_bundle([row["leaf"] for row in rows])
        else:
            if (first + path.width) << (8 * path.level) > size:
                raise NotFound()
            body = (await log.tile_hashes(connection, path.level, path.index))[: path.width * 32]
    return web.Response(body=body, content_type="application/octet-stream")


ROUTES = [web.get("/log/checkpoint", checkpoint), web.get("/log/tile/{path:.+}", tile)]
