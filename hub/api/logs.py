"""The transparency log over HTTP: C2SP tlog-tiles below `/log/`."""

from aiohttp import web

from hub import log
from hub.api.calls import HUB, TEXT, Answer, Call, body, caller
from hub.errors import Forbidden, NotFound, RequestMalformed
from hub.store.queries import SQL
from keys import checkpoint as checkpoint_
from keys import cosignature, tiles
from keys.checkpoint import MAX_NOTE
from keys.errors import BadCheckpoint

# A tile never changes once it can be asked for: what is cached stays right for ever.
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}


async def checkpoint(request: web.Request) -> web.Response:
    """`GET /log/checkpoint`: the newest signed note."""
    async with request.app[HUB].pool.acquire() as connection:
        head = await connection.fetchrow(SQL["head"])
    assert head is not None
    request.app[HUB].published.note(head["origin"], head["size"], head["note"])
    return web.Response(text=head["note"], content_type=TEXT, headers={"Cache-Control": "no-store"})


async def add_cosignatures(request: web.Request) -> web.Response:
    """`POST /log/cosignatures`: a note of this log with lines of its witnesses; nothing waits for them."""
    note = await body(request, MAX_NOTE)
    hub = request.app[HUB]
    try:
        seen, found = cosignature.verify(note.decode("utf-8"), hub.witnesses)
        checkpoint_.verify_checkpoint(note, [hub.identity.key.public])
    except UnicodeDecodeError:
        raise RequestMalformed("a note is UTF-8") from None
    except BadCheckpoint as fault:
        raise RequestMalformed(fault.detail) from None
    if not found:
        raise Forbidden("no line of a witness that this hub knows")
    head, _, _ = note.decode("utf-8").rpartition("\n\n")
    async with hub.pool.acquire() as connection:
        for one in found:
            await connection.execute(SQL["add_cosignature"], seen.size, one.witness, one.line, one.at, f"{head}\n\n")
            await connection.execute(SQL["forget_cosignatures"], one.witness, seen.size)
    return web.Response(text="".join(one.line for one in found), content_type=TEXT)


async def cosigned(request: web.Request) -> web.Response:
    """`GET /log/cosigned`: the newest checkpoint that witnesses have signed, with their lines."""
    async with request.app[HUB].pool.acquire() as connection:
        row = await connection.fetchrow(SQL["cosigned"])
    if row is None:
        raise NotFound()
    headers = {"Cache-Control": "no-store"}
    return web.Response(text=row["note"] + row["lines"], content_type=TEXT, headers=headers)


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
        {200: Answer("签名便笺 · a signed note", media=TEXT)},
        tags=("log",),
    ),
    Call(
        "GET",
        "/log/cosigned",
        cosigned,
        "见证方已联署的最新检查点（C2SP tlog-cosignature）。 The newest checkpoint that witnesses cosigned.",
        {200: Answer("签名便笺 · a signed note", media=TEXT)},
        tags=("log",),
    ),
    Call(
        "POST",
        "/log/cosignatures",
        add_cosignatures,
        "见证方提交联署。 A witness hands in its cosignature of a checkpoint.",
        {200: Answer("所保存的联署 · the lines that were kept", media=TEXT)},
        body=(TEXT,),
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
