"""The directory's signed snapshot over HTTP: a TUF repository, for any TUF client."""

from aiohttp import web
from tuf.api.metadata import Timestamp

from hub.api.calls import HUB, JSON, Answer, Call
from hub.errors import NotFound
from hub.store.queries import SQL

_NEWEST = f"{Timestamp.type}.json"
_FOR_EVER = "public, max-age=31536000, immutable"


async def file(request: web.Request) -> web.Response:
    """`GET /snapshot/{path}`: `timestamp.json`, `<version>.root.json`, `directory/<sha256>.<province>.json`, …"""
    name = request.match_info["path"]
    async with request.app[HUB].pool.acquire() as connection:
        body = await connection.fetchval(SQL["snapshot_file"], name)
    if body is None:
        raise NotFound()
    headers = {"Cache-Control": "no-store" if name == _NEWEST else _FOR_EVER}
    return web.Response(body=body, content_type=JSON, headers=headers)


CALLS = (
    Call(
        "GET",
        "/snapshot/{path:.+}",
        file,
        "机构目录的签名快照（TUF 1.0 仓库，按版本命名）。 The directory as a signed snapshot: a TUF repository.",
        {200: Answer("签名元数据或目录文件 · signed metadata, or a file of the directory", dict)},
        tags=("directory",),
    ),
)
