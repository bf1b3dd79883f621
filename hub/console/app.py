"""The console as an application of its own below `/console`: its routes, and what every answer of it carries."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import structlog
from aiohttp import web

from hub.api.calls import HUB
from hub.console import charting, doors, verifying
from hub.console.pages import AWAY, View, Visit, show
from hub.console.views import bulletins, cases, organisations, schedule, today, turnaround
from hub.console.words import T
from hub.store import CONNECTION_LOST
from hub.store.queries import SQL

logger = structlog.get_logger()
FILES = {path.name: path for path in (Path(__file__).parent / "static").iterdir()}
MAX_FORM = 64 << 10
"""Most bytes of what a browser sends to the console: a form, or what a passkey answers."""
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
LOOK_EVERY = 5.0
"""Seconds between two looks: a page is drawn again no more often, however fast the log grows."""
LARGEST_FORM = 1 << 16
"""Bytes of a form: anybody may send one, and it is held in memory whole."""
LIVE = 3600.0
"""Seconds that a stream of events lasts; the browser asks again."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PAGES: dict[str, tuple[T, View]] = {
    "/": (T("今日", "Today"), today.view),
    "/cases": (T("案件", "Cases"), cases.listing),
    "/cases/{id}": (T("案件详情", "Case"), cases.one),
    "/turnaround": (T("办理时长", "Turnaround"), turnaround.over_time),
    "/matrix": (T("地区矩阵", "Region by region"), turnaround.matrix),
    "/scorecards": (T("考核表", "Scorecards"), turnaround.scorecards),
    "/bulletins": (T("信息通报", "Information bulletins"), bulletins.view),
    "/traces": (T("异地倒查", "Reverse traces"), cases.traces),
    "/organisations": (T("机构与密钥", "Organisations and keys"), organisations.view),
    "/people": (T("账户", "People"), organisations.people),
    "/log": (T("日志", "The log"), organisations.log),
    "/schedule": (T("计划任务", "The schedule"), schedule.view),
    "/pack": (T("联席会议材料", "Joint-meeting pack"), turnaround.pack),
}


def console(origin: str, proxies: frozenset[str]) -> web.Application:
    """The console; it finds the hub in the application that it is part of. See `doors.ORIGIN`, `doors.PROXIES`."""
    app = web.Application(middlewares=[_middleware])
    app[doors.ORIGIN], app[doors.PROXIES] = origin, proxies
    app.on_response_prepare.append(_guard)
    for path, (title, view) in PAGES.items():
        app.router.add_get(path, _page(title, view))
    app.router.add_get("/chart/turnaround.svg", _inside(charting.turnaround))
    app.router.add_get("/chart/months.svg", _inside(charting.months))
    app.router.add_get("/chart/case/{id}.svg", _inside(charting.case))
    app.router.add_get("/live", _inside(_live))
    app.router.add_get("/login", doors.ask_login)
    app.router.add_post("/login", doors.login)
    app.router.add_get("/join/{token}", doors.ask_join)
    app.router.add_post("/join/{token}", doors.join)
    app.router.add_get("/enter/{token}", doors.ask_enter)
    app.router.add_post("/enter/{token}", doors.enter)
    app.router.add_post("/logout", doors.leave)
    app.router.add_get("/account", doors.account)
    app.router.add_get("/language", doors.switch_language)
    app.router.add_post("/passkeys/new", doors.offer_passkey)
    app.router.add_post("/passkeys", doors.add_passkey)
    app.router.add_post("/passkeys/ask", doors.ask_passkey)
    app.router.add_post("/passkeys/enter", doors.enter_by_passkey)
    app.router.add_get("/static/{name}", _file)
    return app


def verification(origin: str) -> web.Application:
    """The page below `verifying.PATH`, open to all; it has the console's frame and nothing of what is inside."""
    app = web.Application(middlewares=[_middleware])
    app[doors.ORIGIN] = origin
    app.on_response_prepare.append(_guard)
    app.router.add_get("", verifying.page)
    return app


async def _file(request: web.Request) -> web.FileResponse:
    """`GET /console/static/{name}`: one of the files that are there; no path is made of an address."""
    found = FILES.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    return web.FileResponse(found)


async def _guard(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


@web.middleware
async def _middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """A form is taken from the console's own pages only; what goes wrong is a page."""
    if request.method == "POST" and not _own(request):
        return await doors.door(
            request, T("不接受", "Refused"), problem=T("请从本站页面提交。", "Send it from this site."), status=403
        )
    if request.can_read_body and (request.content_length is None or request.content_length > LARGEST_FORM):
        return await doors.door(request, T("不接受", "Refused"), problem=T("内容过大。", "Too large."), status=413)
    try:
        return await handler(request.clone(client_max_size=MAX_FORM) if request.can_read_body else request)
    except web.HTTPNotFound:
        return await doors.door(request, T("没有这一页", "No such page"), status=404)
    except web.HTTPRedirection as elsewhere:
        return web.Response(status=elsewhere.status, headers={"Location": elsewhere.headers["Location"]})
    except web.HTTPException as refusal:
        return await doors.door(
            request, T("不接受", "Refused"), problem=T("请求有误。", refusal.reason), status=refusal.status
        )
    except CONNECTION_LOST as error:
        logger.warning("console-without-database", why=str(error)[:200])
        return await doors.door(request, T("暂不可用", "Unavailable"), problem=AWAY, status=503)


def _own(request: web.Request) -> bool:
    origin = request.headers.get("Origin")
    if origin is None:
        return request.headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"
    return origin == doors.origin_of(request) or urlsplit(origin).netloc == request.host


def _page(title: T, view: View) -> Handler:
    async def handler(visit: Visit) -> web.StreamResponse:
        return await show(visit, title, view)

    return _inside(handler)


def _inside(handler: Callable[[Visit], Awaitable[web.StreamResponse]]) -> Handler:
    """A handler for people who are logged in; others are shown the door."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        person = await doors.person_of(request)
        if person is None:
            raise web.HTTPSeeOther("/console/login")
        directory = await request.config_dict[HUB].directory(fresh=True)
        known = directory.get(person.organisation)
        if known is None:
            raise web.HTTPSeeOther("/console/login")
        sight = list(directory.organisations) if "auditor" in known.roles else directory.subtree(person.organisation)
        return await handler(Visit(request, person, doors.language_of(request), directory, sight))

    return guarded


async def _live(visit: Visit) -> web.StreamResponse:
    """Server-sent events (HTML, 9.2): `grown` when the figures have followed the log further."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    await response.prepare(visit.request)
    last, until = None, asyncio.get_running_loop().time() + LIVE
    while not visit.hub.waiters.closed and asyncio.get_running_loop().time() < until:
        if last is not None and await doors.person_of(visit.request) is None:
            break  # logged out meanwhile
        through = await visit.hub.reader.read(lambda connection: connection.fetchval(SQL["course_head"]))
        told = f"event: grown\ndata: {through}\n\n" if last is not None and through != last else ": \n\n"
        last = through
        try:
            await response.write(told.encode())
        except ConnectionError:
            break
        await visit.hub.waiters.pause(LOOK_EVERY)
    return response
