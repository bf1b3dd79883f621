"""Notices of deadlines over HTTP."""

from aiohttp import web

from hub.api.calls import HUB, Answer, Call, Link, Query, caller, json, number
from hub.notices import Notices

MAX_PAGE = 500


async def read(request: web.Request) -> web.Response:
    """`GET /v1/notices`."""
    who = await caller(request)
    after, limit = number(request, "after", 0, 2**62), max(1, number(request, "limit", 100, MAX_PAGE))
    return json(await request.app[HUB].notices(who, after, limit))


CALLS = (
    Call(
        "GET",
        "/v1/notices",
        read,
        "期限提醒：将到期、已超期、报告上级、期限变更。 What the hub tells you of deadlines, from a cursor on.",
        {200: Answer("一页提醒 · a page of notices", Notices, links=(Link(read, {"after": "$response.body#/next"}),))},
        (
            Query("after", "游标 · the cursor", {"type": "integer", "minimum": 0, "default": 0}),
            Query(
                "limit",
                "每页条数 · items a page",
                {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100},
            ),
        ),
        token=True,
        tags=("notices",),
    ),
)
