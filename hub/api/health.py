"""Whether the hub lives, whether it can work, and its numbers."""

from aiohttp import web

from hub import metrics
from hub.api.calls import HUB, Answer, Call, json
from hub.store.queries import SQL
from hub.vitals import Vitals

VITALS = web.AppKey("vitals", Vitals)


async def alive(request: web.Request) -> web.Response:
    """`GET /healthz`: this process answers."""
    return json({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """`GET /readyz`: the database answers too; 503 while it does not."""
    async with request.app[HUB].pool.acquire() as connection:
        await connection.fetchval(SQL["key_epoch"])
    return json({"status": "ok"})


async def numbers(request: web.Request) -> web.Response:
    """`GET /metrics`: Prometheus text, all workers together, and how the hub stands now."""
    headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
    return web.Response(body=metrics.exposition() + await request.app[VITALS].exposition(), headers=headers)


_STATUS = dict[str, str]
CALLS = (
    Call(
        "GET",
        "/healthz",
        alive,
        "进程存活。 The process answers.",
        {200: Answer("存活 · alive", _STATUS)},
        tags=("health",),
    ),
    Call(
        "GET",
        "/readyz",
        ready,
        "数据库可用。 The database answers too.",
        {200: Answer("就绪 · ready", _STATUS)},
        tags=("health",),
    ),
    Call(
        "GET",
        "/metrics",
        numbers,
        "Prometheus 指标。 Numbers for Prometheus.",
        {200: Answer("指标 · the numbers", media="text/plain")},
        tags=("health",),
    ),
)
