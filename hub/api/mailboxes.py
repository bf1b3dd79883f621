"""The mailbox: reading on from a cursor, and the signed acknowledgement."""

from aiohttp import web

from hub.api.calls import HUB, JOSE, Answer, Call, Link, Query, body, caller, flag, json, number, require_type
from hub.errors import Forbidden
from hub.mailbox import Page
from hub.service import Acknowledged

MAX_PAGE = 500
MAX_WAIT = 30


async def read(request: web.Request) -> web.Response:
    """`GET /v1/mailbox`."""
    who = await caller(request)
    after = number(request, "after", 0, 2**62)
    limit = max(1, number(request, "limit", 100, MAX_PAGE))
    wait = number(request, "wait", 0, MAX_WAIT)
    of = request.query.get("of", who.id)
    if of not in (await request.app[HUB].directory()).lineage(who.id):
        raise Forbidden()
    page = await request.app[HUB].read_mailbox(of, after, limit, wait, flag(request, "proof"))
    return json(page)


async def acknowledge(request: web.Request) -> web.Response:
    """`POST /v1/mailbox/acknowledge`."""
    require_type(request, JOSE)
    return json(await request.app[HUB].acknowledge((await body(request)).strip()))


CALLS = (
    Call(
        "GET",
        "/v1/mailbox",
        read,
        "从游标处读收件箱，可长轮询。 The mailbox from a cursor on; `wait` makes it a long poll.",
        {200: Answer("一页 · a page", Page, links=(Link(read, {"after": "$response.body#/next"}),))},
        (
            Query("after", "游标 · the cursor", {"type": "integer", "minimum": 0, "default": 0}),
            Query(
                "limit",
                "每页条数 · items a page",
                {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100},
            ),
            Query(
                "wait",
                "最多等待的秒数 · seconds to wait for something to come",
                {"type": "integer", "minimum": 0, "maximum": MAX_WAIT, "default": 0},
            ),
            Query("of", "所承继机构的收件箱 · the mailbox of one's predecessor", {"type": "string"}),
            Query("proof", "附枢纽签名：此后再无消息 · with the hub's signed word of the end", {"enum": [0, 1]}),
        ),
        token=True,
        tags=("mailbox",),
    ),
    Call(
        "POST",
        "/v1/mailbox/acknowledge",
        acknowledge,
        "签收：由接收机构签名。 Acknowledge everything up to a position, signed by the recipient.",
        {200: Answer("已签收 · acknowledged", Acknowledged)},
        body=(JOSE,),
        tags=("mailbox",),
    ),
)
