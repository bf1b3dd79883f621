"""RFC 9457: every fault of a call becomes its problem here, and nothing else does."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog
from aiohttp import web

from hub import errors
from hub.errors import (
    CATALOGUE,
    Internal,
    MethodNotAllowed,
    NotFound,
    RequestMalformed,
    TooLarge,
    Unavailable,
)
from hub.intake.batch import CONNECTION_LOST
from keys.errors import Fault

logger = structlog.get_logger()
RETRY_AFTER = "1"


def language(request: web.Request) -> str:
    """Chinese unless the caller prefers English."""
    return "en" if request.headers.get("Accept-Language", "").lower().startswith("en") else "zh"


def answer(fault: Fault, language: str) -> web.Response:
    """The response of a fault; one that the catalogue does not have is the hub's own failure."""
    if fault.code not in CATALOGUE:
        logger.error("fault-without-problem", code=fault.code)
        fault = Internal()
    body = errors.problem(fault, language)
    headers = {"Retry-After": RETRY_AFTER} if body["retryable"] else {}
    if body["status"] == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return web.Response(
        status=body["status"],
        body=msgspec.json.encode(body),
        content_type="application/problem+json",
        headers=headers,
    )


@web.middleware
async def middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer every fault of a call as a problem."""
    try:
        return await handler(request)
    except Fault as fault:
        return answer(fault, language(request))
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
    except CONNECTION_LOST:
        return answer(Unavailable(), language(request))
    except Exception as error:
        logger.exception("call-failed", error=type(error).__name__, path=request.path)
        return answer(Internal(), language(request))
