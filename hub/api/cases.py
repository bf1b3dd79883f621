"""Cases over HTTP."""

from datetime import date
from typing import cast, get_args

from aiohttp import web

from hub.api import messages
from hub.api.calls import HUB, Answer, Call, Link, Query, caller, json, number
from hub.cases import Listing, View
from hub.errors import NotFound, RequestMalformed
from hub.holders import Holders, Purpose
from hub.supervision.clocks import CaseClock
from protocols import envelope

PURPOSES: tuple[str, ...] = get_args(Purpose)


async def listing(request: web.Request) -> web.Response:
    """`GET /v1/cases`."""
    who = await caller(request)
    state, after, limit = request.query.get("state"), request.query.get("after"), number(request, "limit", 100, 500)
    if after is not None and not envelope.is_id(after):
        raise RequestMalformed("after is a case id")
    return json(await request.app[HUB].list_cases(who, state, after, max(1, limit)))


async def one(request: web.Request) -> web.Response:
    """`GET /v1/cases/{id}`."""
    who, id = await caller(request), request.match_info["id"]
    if not envelope.is_id(id):
        raise NotFound()
    purpose = request.query.get("purpose")
    if purpose is not None and purpose not in PURPOSES:
        raise RequestMalformed(f"purpose is one of {', '.join(PURPOSES)}")
    return json(await request.app[HUB].read_case(who, id, cast(Purpose, purpose)))


async def holders(request: web.Request) -> web.Response:
    """`GET /v1/cases/{id}/holders`."""
    who, id = await caller(request), request.match_info["id"]
    purpose, on = request.query.get("purpose", ""), request.query.get("on")
    if not envelope.is_id(id):
        raise NotFound()
    if purpose not in PURPOSES:
        raise RequestMalformed(f"purpose is one of {', '.join(PURPOSES)}: each look is logged with it")
    try:
        day = date.fromisoformat(on) if on is not None else None
    except ValueError:
        raise RequestMalformed("on is a day, e.g. 2026-10-12") from None
    return json(await request.app[HUB].holders(who, id, cast(Purpose, purpose), day))


async def clock(request: web.Request) -> web.Response:
    """`GET /v1/cases/{id}/clock`."""
    who, id = await caller(request), request.match_info["id"]
    if not envelope.is_id(id):
        raise NotFound()
    return json(await request.app[HUB].clock(who, id))


_FIRST = {"id": "$response.body#/items/0/id"}
_THIS = {"id": "$response.body#/id"}
_STEP = {"source": "$response.body#/timeline/0/source", "id": "$response.body#/timeline/0/id"}
_STEPS = (messages.read, messages.read_receipt, messages.read_receipts, messages.read_events)
CALLS = (
    Call(
        "GET",
        "/v1/cases",
        listing,
        "案件列表，新的在前；督导方可见下级的案件。 Cases, the newest first; supervisors see those below them.",
        {
            200: Answer(
                "一页案件 · a page of cases",
                Listing,
                links=(
                    *(Link(handler, _FIRST) for handler in (one, holders, clock)),
                    Link(listing, {"after": "$response.body#/next"}),
                ),
            )
        },
        (
            Query("state", "只要此状态的案件 · only cases in this state", {"type": "string"}),
            Query("after", "从此案件之后继续 · continue after this case", {"type": "string", "format": "uuid"}),
            Query(
                "limit", "每页件数 · cases a page", {"type": "integer", "minimum": 1, "maximum": 500, "default": 100}
            ),
        ),
        token=True,
        tags=("cases",),
    ),
    Call(
        "GET",
        "/v1/cases/{id}",
        one,
        "案件的状态、参与机构、期限、经过与可办事项。 State, parties, due date, timeline, allowed actions.",
        {
            200: Answer(
                "案件 · the case",
                View,
                links=(
                    *(Link(handler, _THIS) for handler in (holders, clock)),
                    *(Link(handler, _STEP) for handler in _STEPS),
                ),
            )
        },
        (
            Query(
                "purpose",
                "查看目的，倒查案件的非当事方必填 · what for, where looks are logged",
                {"enum": list(PURPOSES)},
            ),
        ),
        token=True,
        tags=("cases",),
    ),
    Call(
        "GET",
        "/v1/cases/{id}/holders",
        holders,
        "案件何时由谁经办、何事到期，逐项附日志证明；每次查看都记入日志。"
        " Who held the case when and what fell due, each proven; every look is logged.",
        {200: Answer("经办经过 · who held it", Holders)},
        (
            Query("purpose", "查看目的 · what for", {"enum": list(PURPOSES)}),
            Query("on", "只看这一天 · only this day", {"type": "string", "format": "date"}),
        ),
        token=True,
        tags=("cases",),
    ),
    Call(
        "GET",
        "/v1/cases/{id}/clock",
        clock,
        "办理时长的构成：在途、未读、协办方、等发起方；附全部日志条目，任何人可据以重算。"
        " Where the case's time went, with every log entry that it follows from.",
        {200: Answer("办理时长 · the clock", CaseClock)},
        token=True,
        tags=("cases",),
    ),
)
