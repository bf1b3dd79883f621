"""A province's platform as an HTTP server: records page by page, messages, receipts, and what goes wrong."""

import asyncio
import contextlib
import json
import ssl
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

EXAMPLE = Path("adapters/provincial/example").resolve()
LATE = 5.0
"""Seconds of a slow answer, longer than tests have the adapter wait."""


@dataclass
class Province:
    """The platform: what it has, what it got, and what it does wrong with the next calls."""

    records: list[Any] = field(default_factory=list)
    paging: str = "page"
    size: int = 100
    faults: deque[str] = field(default_factory=deque)
    """One for each of the next calls, `ok` for none."""
    refused: set[str] = field(default_factory=set)
    """Types of messages that it does not take."""
    key: str | None = None
    tokens: set[str] = field(default_factory=set)
    lifetime: int | None = None
    calls: Counter[str] = field(default_factory=Counter)
    asked: list[dict[str, str]] = field(default_factory=list)
    messages: dict[str, Any] = field(default_factory=dict)
    """By idempotency key."""
    receipts: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[web.BaseRequest, bytes]] = field(default_factory=list)
    oauth: bool = False
    url: str = ""
    numbers: int = 0

    def application(self) -> web.Application:
        app = web.Application(client_max_size=8 << 20)
        app.router.add_get("/api/records", self._proved(self._list))
        app.router.add_post("/api/messages/{type}", self._proved(self._message))
        app.router.add_post("/api/receipts/{record}/{key}", self._proved(self._receipt))
        app.router.add_post("/oauth/token", self._token)
        return app

    def _proved(self, handler: Callable[[web.Request], Awaitable[web.Response]]) -> Any:
        async def proved(request: web.Request) -> web.Response:
            self.calls[request.path.split("/")[2]] += 1
            self.requests.append((request, await request.read()))
            if self.key is not None and request.headers.get("X-API-Key") != self.key:
                return web.json_response({"code": 401}, status=401)
            if self.oauth and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens:
                return web.json_response({"code": 401}, status=401)
            if (wrong := await self._fault()) is not None:
                return wrong
            return await handler(request)

        return proved

    async def _fault(self) -> web.Response | None:
        fault = self.faults.popleft() if self.faults else "ok"
        if fault == "ok":
            return None
        if fault == "slow":
            await asyncio.sleep(LATE)
        if fault == "garbage":
            return web.Response(text="<html>系统维护中</html>", content_type="text/html")
        if fault == "odd":
            return web.json_response({"data": {"list": "none"}})
        if fault == "huge":
            return web.Response(body=b'{"data":{"list":["' + b"x" * (6 << 20) + b'"]}}')
        headers = {"Retry-After": "7"} if fault in ("429", "503") else {}
        headers |= {"Location": "http://127.0.0.1:9/"} if fault.startswith("3") else {}
        return web.json_response({"code": fault}, status=int(fault) if fault.isdigit() else 200, headers=headers)

    async def _list(self, request: web.Request) -> web.Response:
        query = request.query
        self.asked.append(dict(query))
        since = query.get("updatedFrom", "")
        found = [one for one in self.records if not since or not isinstance(one, dict) or one["gxsj"] >= since]
        if self.paging == "page":
            begin = (int(query.get("pageNum", 1)) - 1) * self.size
        elif self.paging == "offset":
            begin = int(query.get("offset", 0))
        else:
            begin = int(query.get("after", 0))
        page, following = found[begin : begin + self.size], begin + self.size
        more = following < len(found)
        body: dict[str, Any] = {"code": 0, "data": {"list": page}}
        headers = {}
        if more and self.paging == "cursor":
            body["data"]["next"] = str(following)
        if more and self.paging == "link":
            headers["Link"] = f'</api/records?after={following}>; rel="next", </api/records>; rel="first"'
        return web.Response(text=json.dumps(body), content_type="application/json", headers=headers)

    async def _message(self, request: web.Request) -> web.Response:
        if request.match_info["type"] in self.refused:
            return web.json_response({"code": 9, "msg": "案件不存在"}, status=422)
        key = request.headers["Idempotency-Key"]
        if key not in self.messages:
            self.messages[key] = body = await request.json()
            if body.get("lx") == "XBSQ":
                self.numbers += 1
                body["_number"] = f"省协〔2026〕{self.numbers:04}"
        number = self.messages[key].get("_number")
        return web.json_response({"code": 0, "data": {"ajbh": number} if number else {}})

    async def _receipt(self, request: web.Request) -> web.Response:
        self.receipts[request.match_info["key"]] = await request.json()
        return web.json_response({"code": 0})

    async def _token(self, request: web.Request) -> web.Response:
        self.calls["token"] += 1
        form = await request.post()
        wanted = "Basic eGllYmFuOnMlM0FjcmV0"  # xieban:s%3Acret
        if request.headers.get("Authorization") != wanted or form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "invalid_client"}, status=401)
        token = f"token-{self.calls['token']}"
        self.tokens = {token}
        told = {"access_token": token, "token_type": "Bearer"}
        return web.json_response(told | ({"expires_in": self.lifetime} if self.lifetime else {}))


@contextlib.asynccontextmanager
async def open_province(tls: ssl.SSLContext | None = None, **said: Any) -> AsyncIterator[Province]:
    """A platform on a port of its own."""
    province = Province(**said)
    runner = web.AppRunner(province.application(), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    province.url = f"{'https' if tls else 'http'}://{'localhost' if tls else '127.0.0.1'}:{port}"
    try:
        yield province
    finally:
        await runner.cleanup()


def errand(number: int, **changed: Any) -> dict[str, Any]:
    """A request of the platform."""
    held: dict[str, Any] = json.loads((EXAMPLE / "examples/request-record.json").read_text())
    return (
        held | {"xh": number, "ajbh": f"豫协〔2026〕{number}", "gxsj": f"2026-11-20 09:{number % 60:02}:00"} | changed
    )
