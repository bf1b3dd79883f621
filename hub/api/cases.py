"""Cases over HTTP."""

from aiohttp import web

from hub.api.calls import HUB, Answer, Call, Query, caller, json, number
from hub.cases import Listing, View
from hub.errors import NotFound, RequestMalformed
from protocols import envelope


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
    return json(await request.app[HUB].read_case(who, id))


CALLS = (
    Call(
        "GET",
        "/v1/cases",
        listing,
        "案件列表，新的在前；督导方可见下级的案件。 Cases, the newest first; supervisors see those below them.",
        {200: Answer("一页案件 · a page of cases", Listing)},
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
        {200: Answer("案件 · the case", View)},
        token=True,
        tags=("cases",),
    ),
)
