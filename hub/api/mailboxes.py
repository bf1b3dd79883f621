"""The mailbox: reading on from a cursor, and the signed acknowledgement."""

from aiohttp import web

from hub.api.calls import HUB, caller, json, number, require_type

MAX_PAGE = 500
MAX_WAIT = 30


async def read(request: web.Request) -> web.Response:
    """`GET /v1/mailbox?after=&limit=&wait=`."""
    who = await caller(request)
    after = number(request, "after", 0, 2**62)
    limit = max(1, number(request, "limit", 100, MAX_PAGE))
    wait = number(request, "wait", 0, MAX_WAIT)
    return json(await request.app[HUB].read_mailbox(who.id, after, limit, wait))


async def acknowledge(request: web.Request) -> web.Response:
    """`POST /v1/mailbox/acknowledge`."""
    require_type(request, "application/jose")
    return json(await request.app[HUB].acknowledge((await request.read()).strip()))


ROUTES = [web.get("/v1/mailbox", read), web.post("/v1/mailbox/acknowledge", acknowledge)]
