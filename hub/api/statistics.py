"""Figures over HTTP."""

import re

from aiohttp import web

from hub.api.calls import HUB, Answer, Call, Query, caller, json
from hub.bulletins.standing import Standing
from hub.errors import RequestMalformed

_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


async def bulletins(request: web.Request) -> web.Response:
    """`GET /v1/statistics/bulletins`."""
    who = await caller(request)
    lead, period = request.query.get("lead", who.id), request.query.get("period", "")
    if _MONTH.fullmatch(period) is None:
        raise RequestMalformed("period is a month, e.g. 2026-10")
    return json(await request.app[HUB].bulletins(who, lead, period))


CALLS = (
    Call(
        "GET",
        "/v1/statistics/bulletins",
        bulletins,
        "一个月的信息通报：谁已报、是否及时、谁未报。 A month's information bulletins: who reported, in time, or not.",
        {200: Answer("报送情况 · who reported", Standing)},
        (
            Query("period", "月份 · the month", {"type": "string", "pattern": _MONTH.pattern}),
            Query("lead", "牵头部门，默认为调用方 · the lead department, else the caller", {"type": "string"}),
        ),
        token=True,
        tags=("statistics",),
    ),
)
