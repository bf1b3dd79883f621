"""What every call shares: its hub, its caller, its numbers, its JSON."""

from typing import Any

import msgspec
from aiohttp import web

from hub.errors import MediaTypeUnsupported, RequestMalformed, Unauthenticated
from hub.organisations import Organisation
from hub.service import Hub

HUB = web.AppKey("hub", Hub)


async def caller(request: web.Request) -> Organisation:
    """The organisation whose token the call carries. Raises Unauthenticated, TokenInvalid."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated()
    return await request.app[HUB].caller(token.strip())


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number from the query. Raises RequestMalformed."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RequestMalformed(f"{name} is a whole number")
    return min(int(text), most)


def require_type(request: web.Request, *types: str) -> None:
    """Raise MediaTypeUnsupported unless the body is of one of `types`."""
    if request.content_type not in types:
        raise MediaTypeUnsupported(f"send {' or '.join(types)}")


def json(value: Any, status: int = 200, content_type: str = "application/json") -> web.Response:
    """A JSON response."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type=content_type)
