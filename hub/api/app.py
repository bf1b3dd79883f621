"""The HTTP application: every route of the contract, by resource."""

from aiohttp import web

from hub.api import cases, directory, logs, mailboxes, messages, problems
from hub.api.calls import HUB
from hub.service import Hub

MAX_BODY = 64 << 20


def application(hub: Hub) -> web.Application:
    """The application that serves `hub`."""
    app = web.Application(middlewares=[problems.middleware], client_max_size=MAX_BODY)
    app[HUB] = hub
    for resource in (messages, mailboxes, cases, directory, logs):
        app.add_routes(resource.ROUTES)
    return app
