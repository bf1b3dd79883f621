"""The desk as a web application: its pages, who may look at them, what every answer carries, and the news."""

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from adapters.desk.desk import Desk
from adapters.desk.drafts import DraftChanged
from adapters.desk.forms import Words
from adapters.desk.officers import Officer
from adapters.desk.pages import cases, doors, drafts, joining, opening, packages, people, settings, today
from adapters.desk.pages.frame import LARGEST_FORM, Handler, Visit, render
from adapters.desk.saying import said
from adapters.desk.vault import VaultLocked

logger = structlog.get_logger()
HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "xieban",
}
PAGES: Final = (
    *today.PAGES,
    *cases.PAGES,
    *opening.PAGES,
    *drafts.PAGES,
    *packages.PAGES,
    *people.PAGES,
    *settings.PAGES,
    *joining.PAGES,
    ("POST", "/leave", doors.leave),
)
OUTSIDE: Final = (
    ("GET", "/enter", doors.enter),
    ("POST", "/enter", doors.enter),
    ("GET", "/first/{token}", doors.first),
    ("POST", "/first/{token}", doors.first),
    ("POST", "/first/{token}/restore", doors.restore),
    ("GET", "/language", doors.language),
)
FILES: Final = {path.name: path for path in (Path(__file__).parent.parent / "static").iterdir()}
KNOWN: Final = {
    400: Words("读不懂这个请求", "This request can't be read"),
    408: Words("等得太久", "It took too long"),
    403: Words("不允许：此事由负责人办理", "Not allowed: a head does this"),
    404: Words("没有这一页", "No such page"),
    413: Words("内容过大", "Too large"),
}
Next = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(desk: Desk, names: frozenset[str] = frozenset()) -> web.Application:
    """The application of a desk; it receives and sends for as long as it runs.

    Who it is called by in an address is this machine, an address in digits, or one of `names`.
    """
    app = web.Application(middlewares=[_guard(desk, names)], client_max_size=LARGEST_FORM)
    app.router.add_get("/static/{name}", _file)
    for method, path, handler in OUTSIDE:
        app.router.add_route(method, path, partial(handler, desk))
    for method, path, page in PAGES:
        app.router.add_route(method, path, partial(_inside, desk, page))
    app.router.add_get("/events", partial(_events, desk))
    app.on_response_prepare.append(_shielded)
    app.cleanup_ctx.append(partial(_running, desk))
    return app


async def _file(request: web.Request) -> web.FileResponse:
    """`GET /static/{name}`: one of the files that are there; no path is made of an address."""
    found = FILES.get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    return web.FileResponse(found)


async def _shielded(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


async def _running(desk: Desk, _: web.Application) -> AsyncIterator[None]:
    watch = asyncio.create_task(desk.watch())
    yield
    watch.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watch
    await desk.halt()


async def _inside(desk: Desk, handler: Handler, request: web.Request) -> web.StreamResponse:
    try:
        officer = None if desk.vault.locked else desk.officers.of(request.cookies.get(desk.cookie))
        if officer is None:
            raise web.HTTPSeeOther("/enter")
        return await handler(Visit(desk, request, officer))
    except VaultLocked:
        raise web.HTTPSeeOther("/enter") from None


async def _events(desk: Desk, request: web.Request) -> web.StreamResponse:
    """`GET /events`: server-sent events; what happened, never what stands in it. Nobody stays logged in by it."""
    token = request.cookies.get(desk.cookie)
    if _over(desk, token) or desk.bureau is None:
        raise web.HTTPForbidden
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    with desk.bureau.listening() as news, contextlib.suppress(ConnectionError):
        while not _over(desk, token):
            try:
                what = await asyncio.wait_for(news.get(), 5)
                await response.write(f"event: {what}\ndata:\n\n".encode())
            except TimeoutError:
                await response.write(b":\n\n")
        await response.write(b"event: locked\ndata:\n\n")
    return response


def _over(desk: Desk, token: str | None) -> bool:
    """Whether the session ended, or the desk was locked."""
    return desk.vault.locked or desk.officers.of(token, touch=False) is None


def _guard(desk: Desk, names: frozenset[str]) -> Any:
    """What stands before every page: forms of this desk's pages alone, and no fault that is not said in words."""

    @web.middleware
    async def guard(request: web.Request, handler: Next) -> web.StreamResponse:
        try:
            _require_own(request, names)
            response = await handler(request)
        except web.HTTPRedirection as elsewhere:
            response = web.Response(status=elsewhere.status, headers={"Location": elsewhere.headers["Location"]})
        except DraftChanged as fault:
            response = render(desk, request, "message.html", said(fault), 409, _who(desk, request), back=request.path)
        except web.HTTPException as refusal:
            title = KNOWN.get(refusal.status, Words("不能处理", "This can't be done"))
            response = render(desk, request, "message.html", title, refusal.status, _who(desk, request), back="/")
        except Exception:
            logger.exception("desk-page-failed", path=request.path)
            title = Words("这一页未能生成", "This page could not be made")
            text = Words("问题已记录在本机日志。", "What went wrong is in this machine's log.")
            response = render(desk, request, "message.html", title, 500, None, problem=text, back="/")
        return response

    return guard


def _require_own(request: web.Request, names: frozenset[str]) -> None:
    """Raises HTTPForbidden for a form of another site, and for a name that somebody gave to this machine's address."""
    try:
        host = request.url.host or ""
    except ValueError:
        raise web.HTTPBadRequest from None
    if not (host in names or host == "localhost" or _in_digits(host)):
        raise web.HTTPForbidden
    if (
        request.method != "GET"
        and request.headers.get("Origin", f"//{request.host}").partition("//")[2] != request.host
    ):
        raise web.HTTPForbidden


def _who(desk: Desk, request: web.Request) -> Officer | None:
    """Whose page it is that can't be shown."""
    token = request.cookies.get(desk.cookie)
    return None if desk.vault.locked else desk.officers.of(token, touch=False)


def _in_digits(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
