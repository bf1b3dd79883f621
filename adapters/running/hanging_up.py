"""What stands before an adapter's calls: nobody keeps it busy with what it has refused."""

from collections.abc import Awaitable, Callable

from aiohttp import web


@web.middleware
async def hanging_up(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Answer, and close the connection where a compressed body was not read to its end.

    What is left of one may unfold to a thousand times its length; of other bodies the rest is read for a while, so
    that their sender sees the answer.
    """
    response: web.StreamResponse
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        if not _left(request):
            raise
        response = web.Response(status=refusal.status, text=refusal.text)
    if _left(request):
        response.force_close()
        await response.prepare(request)
        await response.write_eof()
        request.protocol.force_close()
    return response


def _left(request: web.Request) -> bool:
    return "Content-Encoding" in request.headers and not request.content.is_eof()
