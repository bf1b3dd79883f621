"""The HTTP application: every call of the contract, by resource."""

from aiohttp import web

from hub.api import (
    attachments,
    cases,
    delegations,
    directory,
    health,
    logs,
    mailboxes,
    messages,
    notices,
    openapi,
    problems,
    protocols,
    relays,
    revocations,
    snapshots,
    statistics,
)
from hub.api.calls import HUB, STREAMED, Call
from hub.service import Hub

MAX_BODY = 64 << 20
CALLS: tuple[Call, ...] = (
    *directory.CALLS,
    *delegations.CALLS,
    *revocations.CALLS,
    *snapshots.CALLS,
    *messages.CALLS,
    *mailboxes.CALLS,
    *notices.CALLS,
    *attachments.CALLS,
    *cases.CALLS,
    *relays.CALLS,
    *protocols.CALLS,
    *statistics.CALLS,
    *logs.CALLS,
    *problems.CALLS,
    *health.CALLS,
    *openapi.CALLS,
)


def application(hub: Hub) -> web.Application:
    """The application that serves `hub`."""
    app = web.Application(middlewares=[problems.middleware], client_max_size=MAX_BODY)
    app.on_response_prepare.append(_guard)
    app[HUB] = hub
    app[STREAMED] = frozenset(call.handler for call in CALLS if call.streams)
    app[openapi.DOCUMENT] = openapi.document(CALLS)
    for call in CALLS:
        app.router.add_route(call.method, call.path, call.handler)
    return app


async def _guard(_: web.Request, response: web.StreamResponse) -> None:
    """What is below this application too: nobody guesses a type, and what the hub is made of is not told to all."""
    response.headers["Server"] = "xieban"
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
