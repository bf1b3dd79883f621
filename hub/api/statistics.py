"""Figures over HTTP."""

import re
from datetime import UTC, datetime
from typing import cast, get_args

from aiohttp import web

from hub.api.calls import HUB, Answer, Call, Query, caller, day, json, number
from hub.bulletins.standing import Standing
from hub.errors import RequestMalformed
from protocols import deadlines, envelope
from protocols.scorecard import Asked, By, Contributions, Figures

GROUPS: tuple[str, ...] = get_args(By)
_MONTH = re.compile(r"20[0-9]{2}-(0[1-9]|1[0-2])")


async def bulletins(request: web.Request) -> web.Response:
    """`GET /v1/statistics/bulletins`."""
    who = await caller(request)
    lead, period = request.query.get("lead", who.id), request.query.get("period", "")
    if _MONTH.fullmatch(period) is None:
        raise RequestMalformed("period is a month, e.g. 2026-10")
    return json(await request.app[HUB].bulletins(who, lead, period))


async def turnaround(request: web.Request) -> web.Response:
    """`GET /v1/statistics/turnaround`."""
    who, asked, by = await caller(request), _asked(request), request.query.get("by", "all")
    if by not in GROUPS:
        raise RequestMalformed(f"by is one of {', '.join(GROUPS)}")
    return json(await request.app[HUB].figures(who, asked, cast(By, by)))


async def contributing(request: web.Request) -> web.Response:
    """`GET /v1/statistics/turnaround/cases`."""
    who, asked, after = await caller(request), _asked(request), request.query.get("after")
    if after is not None and not envelope.is_id(after):
        raise RequestMalformed("after is a case id")
    return json(await request.app[HUB].contributions(who, asked, after, max(1, number(request, "limit", 100, 1000))))


def _asked(request: web.Request) -> Asked:
    today = deadlines.local_date(datetime.now(UTC))
    first, last = day(request, "from", today.replace(month=1, day=1)), day(request, "to", today)
    if last < first:
        raise RequestMalformed("from is no later than to")
    named = (request.query.get(name) for name in ("protocol", "opener", "responder"))
    return Asked(first, last, *named)


_PERIOD = (
    Query("from", "立案起始日，默认本年一月一日 · cases opened from this day", {"type": "string", "format": "date"}),
    Query("to", "立案截止日，默认今天 · through this day", {"type": "string", "format": "date"}),
    Query("protocol", "只算此协议 · only this protocol", {"type": "string"}),
    Query("opener", "只算此发起方 · only this opener", {"type": "string"}),
    Query("responder", "只算此协办方 · only this responder", {"type": "string"}),
)
CALLS = (
    Call(
        "GET",
        "/v1/statistics/turnaround",
        turnaround,
        "办理时长与考核指标，由日志得出。 Turnaround and indicators of the cases you may see, by the log.",
        {200: Answer("数字 · the figures", Figures)},
        (*_PERIOD, Query("by", "如何分组 · grouped by what", {"enum": list(GROUPS), "default": "all"})),
        token=True,
        tags=("statistics",),
    ),
    Call(
        "GET",
        "/v1/statistics/turnaround/cases",
        contributing,
        "数字背后的案件。 The cases behind such a figure, with what each contributes.",
        {200: Answer("一页案件 · a page of cases", Contributions)},
        (
            *_PERIOD,
            Query("after", "从此案件之后继续 · continue after this case", {"type": "string", "format": "uuid"}),
            Query(
                "limit", "每页件数 · cases a page", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}
            ),
        ),
        token=True,
        tags=("statistics",),
    ),
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
