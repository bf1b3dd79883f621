"""Delegations: an organisation's signed word that a gateway may sign for it, and that it may no longer."""

from functools import partial

from aiohttp import web

from hub import delegations
from hub.api.calls import HUB, JOSE, Answer, Call, entered
from hub.delegations import DelegationTaken


async def take(request: web.Request) -> web.Response:
    """`POST /v1/delegations`."""
    catalogue = request.app[HUB].catalogue
    return await entered(request, partial(delegations.take, catalogue))


CALLS = (
    Call(
        "POST",
        "/v1/delegations",
        take,
        "委托网关代为签名，或终止委托；由本机构签名。 Let a gateway sign within a scope and time, or end that; signed.",
        {
            200: Answer("此前已收到 · was there before", DelegationTaken),
            201: Answer("已载入日志 · entered in the log", DelegationTaken),
        },
        body=(JOSE,),
        tags=("directory",),
    ),
)
