"""Revocations: the signed word of an organisation that a key of its own, or of one below it, counts no more."""

from aiohttp import web

from hub import revocations
from hub.api.calls import JOSE, Answer, Call, entered
from hub.revocations import Revoked


async def revoke(request: web.Request) -> web.Response:
    """`POST /v1/revocations`."""
    return await entered(request, revocations.take)


CALLS = (
    Call(
        "POST",
        "/v1/revocations",
        revoke,
        "停用本机构或下级机构的一把密钥；由本机构签名。 Take a key, one's own or a subordinate's, out of use; signed.",
        {
            200: Answer("此前已停用 · was out of use before", Revoked),
            201: Answer("已停用，载入日志 · out of use, entered in the log", Revoked),
        },
        body=(JOSE,),
        tags=("directory",),
    ),
)
