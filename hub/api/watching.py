"""Whoever sends a body so slowly that it only holds a connection is cut off."""

import asyncio

from aiohttp import web


class Watch:
    """Looks after `seconds` whether a request's body is here; one that is streamed must have come on meanwhile."""

    def __init__(self, request: web.Request, seconds: float, streamed: bool) -> None:
        self._request, self._seconds, self._streamed = request, seconds, streamed
        self._had = 0
        self._timer = asyncio.get_running_loop().call_later(seconds, self._look)

    def end(self) -> None:
        """The request is answered."""
        self._timer.cancel()

    def _look(self) -> None:
        body = self._request.content
        if body.is_eof():
            return
        if self._streamed and body.total_bytes > self._had:
            self._had = body.total_bytes
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)
        elif self._request.transport is not None:
            self._request.transport.abort()
