"""RFC 9457: every fault of a call becomes its problem here, and nothing else does."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from hub import errors, metrics
from hub.api.calls import HUB, STREAMED, Answer, Call, json
from hub.api.watching import Watch
from hub.errors import (
    CATALOGUE,
    Entry,
    Internal,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    Problem,
    RequestMalformed,
    TooLarge,
    Unavailable,
)
from hub.store import CONNECTION_LOST
from keys.errors import Fault
from protocols import tracing

logger = structlog.get_logger()
RETRY_AFTER = "1"
GONE = 499
"""What is counted, and reaches nobody, where who asked hung up before there was an answer."""


def language(request: web.Request) -> str:
    """Chinese unless the caller prefers English."""
    return "en" if request.headers.get("Accept-Language", "").lower().startswith("en") else "zh"


def described(fault: Fault, language: str) -> Problem:
    """The problem of a fault; one that the catalogue does not have is the hub's own failure."""
    if fault.code not in CATALOGUE:
        logger.error("fault-without-problem", code=fault.code)
        fault = Internal()
    return errors.problem(fault, language)


def answer(fault: Fault, language: str) -> web.Response:
    """The response of a fault."""
    body = described(fault, language)
    headers = {"Retry-After": str(getattr(fault, "retry_after", RETRY_AFTER))} if body.retryable else {}
    if body.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=body.status,
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every fault of a call as a problem, and time the call."""
    started = time.perf_counter()
    tracing.came(request.headers)
    watch = None
    if request.can_read_body:
        streamed = request.match_info.handler in request.app[STREAMED]
        watch = Watch(request, request.app[HUB].limits.body, streamed)
    try:
        response = await _answered(request, handler)
    finally:
        if watch is not None:
            watch.end()
    resource = request.match_info.route.resource
    route = "unknown" if resource is None else resource.canonical
    timed = metrics.call(request.method if resource else "any", route, response.status)
    timed.observe(time.perf_counter() - started)
    if not response.prepared and request.writer.output_size:
        _break_off(request)
    elif "Content-Encoding" in request.headers and not request.content.is_eof():
        await _hang_up(request, response)
    return response


async def _answered(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        streamed = request.match_info.handler in request.app[STREAMED]
        if (request.content_length or 0) > request.client_max_size and not streamed:
            raise TooLarge()
        if any("\0" in text for text in (request.path, *request.query.values())):
            raise RequestMalformed("an address holds no NUL")
        return await handler(request)
    except Overloaded as fault:
        metrics.REFUSALS.labels(fault.code).inc()
        _rest(request)
        return answer(fault, language(request))
    except Fault as fault:
        return answer(fault, language(request))
    except web.RequestPayloadError:
        return answer(RequestMalformed("the body breaks off, or is not in its Content-Encoding"), language(request))
    except web.HTTPRequestEntityTooLarge:
        return answer(TooLarge(), language(request))
    except web.HTTPNotFound:
        return answer(NotFound(), language(request))
    except web.HTTPMethodNotAllowed as error:
        response = answer(MethodNotAllowed(), language(request))
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        return response
    except web.HTTPException as error:
        return answer(RequestMalformed(error.reason), language(request))
    except CONNECTION_LOST as error:
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            return web.Response(status=GONE)  # who asked is gone: there is nobody to answer
        logger.warning("database-away", error=type(error).__name__, path=request.path)
        return answer(Unavailable(), language(request))
    except Exception as error:
        logger.exception("call-failed", error=type(error).__name__, path=request.path)
        return answer(Internal(), language(request))


async def _hang_up(request: web.Request, response: web.StreamResponse) -> None:
    """Answer, and close the connection: what is left of a compressed body may unfold to a thousand times its length.

    Of other bodies the rest is read for a while, so that their sender sees the answer.
    """
    response.force_close()
    await response.prepare(request)
    await response.write_eof()
    request.protocol.force_close()


def _break_off(request: web.Request) -> None:
    """End the connection: something failed after an answer had begun, and a second one would be read as part of it.

    Whoever reads sees that the first is not whole, and asks again, instead of waiting for the rest of it.
    """
    if request.transport is not None:
        request.transport.abort()


def _rest(request: web.Request) -> None:
    """Read nothing more from this connection before its Retry-After has passed.

    Refusing costs a good part of what taking costs: who does not wait would cost the others their turn.
    """
    transport = request.transport
    if transport is not None and not transport.is_closing():
        transport.pause_reading()
        asyncio.get_running_loop().call_later(float(RETRY_AFTER), _read_again, transport)


def _read_again(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


async def problem(request: web.Request) -> web.Response:
    """`GET /problems/{code}`: what the code means, in both languages."""
    entry = CATALOGUE.get(request.match_info["code"])
    if entry is None:
        raise NotFound()
    return json(entry)


CALLS = (
    Call(
        "GET",
        "/problems/{code}",
        problem,
        "问题代码的含义。 What a problem's code means.",
        {200: Answer("含义 · its meaning", Entry)},
        tags=("problems",),
    ),
)
