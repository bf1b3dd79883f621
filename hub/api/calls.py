"""What a call is: its route, its handler and what the OpenAPI document says of it; and what every handler shares."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

import msgspec
from aiohttp import web

from hub.errors import MediaTypeUnsupported, RequestMalformed, TooLarge, Unauthenticated
from hub.identity import Identity
from hub.intake.decode import MAX_MESSAGE
from hub.organisations import Organisation
from hub.service import Hub
from hub.store import Connection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
HUB = web.AppKey("hub", Hub)
STREAMED = web.AppKey("streamed", frozenset[Handler])
JSON = "application/json"
JOSE = "application/jose"
NDJSON = "application/x-ndjson"
EVENT = "application/cloudevents+json"
TEXT = "text/plain"
OCTETS = "application/octet-stream"
CODINGS = ("identity", "gzip", "deflate")
MAX_BODY = MAX_MESSAGE + 1024
"""Most bytes of a body where nothing else is said: a message, and white space around it."""


@dataclass(frozen=True, slots=True)
class Link:
    """A call that an answer leads to (OpenAPI 3.1, Link Object): its handler, and where its parameters are found.

    Each is a runtime expression, e.g. `$response.body#/items/0/id`.
    """

    handler: Handler
    parameters: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful answer: its words, its media type, and the type whose JSON it is (None: text or bytes)."""

    about: str
    of: Any = None
    media: str = JSON
    links: tuple[Link, ...] = ()


@dataclass(frozen=True, slots=True)
class Query:
    """A parameter of the query, with its JSON Schema."""

    name: str
    about: str
    schema: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the API: the route it is served under and the words the OpenAPI document has for it."""

    method: str
    path: str
    handler: Handler
    about: str
    answers: Mapping[int, Answer]
    query: tuple[Query, ...] = ()
    body: tuple[str, ...] = ()
    token: bool = False
    tags: tuple[str, ...] = field(default=())
    sent: Any = None
    """The type of its body, where that is JSON."""
    streams: bool = False
    """Its body is read as it comes, however long it is."""


class Entered(Protocol):
    """A statement as the log has it."""

    @property
    def new(self) -> bool:
        """Whether this very call entered something."""
        ...


async def entered(
    request: web.Request, take: Callable[[Connection, Identity, bytes], Awaitable[Entered]]
) -> web.Response:
    """A statement authenticates itself by its signature; 201 where `take` entered it, 200 where it was there before."""
    require_type(request, JOSE)
    hub = request.app[HUB]
    token = (await body(request)).strip()
    with hub.sequencer.room():
        async with hub.pool.acquire() as connection:
            taken = await take(connection, hub.identity, token)
    return json(taken, status=201 if taken.new else 200)


async def body(request: web.Request, most: int = MAX_BODY) -> bytes:
    """The whole body, unpacked where it is compressed; reading stops at `most` bytes.

    Raises TooLarge, and MediaTypeUnsupported for another content coding than CODINGS.
    """
    if request.headers.get("Content-Encoding", "identity").lower() not in CODINGS:
        raise MediaTypeUnsupported(f"a body is sent as it is, or as {', '.join(CODINGS[1:])}")
    if (request.content_length or 0) > most:
        raise TooLarge()
    held = bytearray()
    async for piece in request.content.iter_any():
        held += piece
        if len(held) > most:
            raise TooLarge()
    return bytes(held)


async def caller(request: web.Request) -> Organisation:
    """The organisation whose token the call carries. Raises Unauthenticated, TokenInvalid."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated()
    return await request.app[HUB].caller(token.strip())


def number(request: web.Request, name: str, default: int, most: int) -> int:
    """A whole number from the query, at most `most`. Raises RequestMalformed."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise RequestMalformed(f"{name} is a whole number")
    return min(int(text), most)


def day(request: web.Request, name: str, default: date) -> date:
    """A day from the query, `2026-10-12`. Raises RequestMalformed."""
    text = request.query.get(name)
    try:
        found = default if text is None else date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or len(text or "2026-10-12") != 10 or not 2000 <= found.year <= 2100:
        raise RequestMalformed(f"{name} is a day, e.g. 2026-10-12")
    return found


def flag(request: web.Request, name: str) -> bool:
    """A switch in the query, `1` or `0`. Raises RequestMalformed."""
    text = request.query.get(name, "0")
    if text not in ("0", "1"):
        raise RequestMalformed(f"{name} is 0 or 1")
    return text == "1"


def require_type(request: web.Request, *types: str) -> None:
    """Raise MediaTypeUnsupported unless the body is of one of `types`."""
    if request.content_type not in types:
        raise MediaTypeUnsupported(f"send {' or '.join(types)}")


def json(value: Any, status: int = 200, content_type: str = JSON) -> web.Response:
    """A JSON response."""
    return web.Response(status=status, body=msgspec.json.encode(value), content_type=content_type)
