"""Attachments over HTTP: uploaded whole or by ranges, asked how far they are, handed out by ranges."""

import asyncio
import re

import msgspec
from aiohttp import web

from hub.api.calls import HUB, Answer, Call, Link, caller, json
from hub.api.calls import OCTETS as MEDIA
from hub.attachments.keeping import Range
from hub.errors import NotFound, RangeNotSatisfiable, RequestMalformed, Unavailable

_DIGEST = re.compile(r"[0-9a-f]{64}")
_SENT = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})", re.ASCII)
_WANTED = re.compile(r"bytes=(?:(\d{1,15})-(\d{0,15})|-(\d{1,15}))", re.ASCII)
STEP = 1 << 16


class Received(msgspec.Struct, frozen=True):
    """How far an upload is."""

    attachment: str
    received: int
    complete: bool


async def put(request: web.Request) -> web.Response:
    """`PUT /v1/attachments/{sha256}` (RFC 9110 §14.5): the whole, a range of it, or a question how far it is."""
    hub, who = request.app[HUB], await caller(request)
    digest = _digest(request)
    part, asks = _part(request)
    if asks:
        here, complete = await hub.attachments.received(who.id, digest)
        new = False
        if not complete and 0 < here == part.total:
            # Every byte came, and then the store or the database was away: nothing is left to be sent but the question.
            hub.sequencer.require_movement()
            rest = Range(here, 0, here)
            here, complete, new = await hub.attachments.take(who.id, digest, request.content.iter_chunked(STEP), rest)
    else:
        hub.sequencer.require_movement()
        body = request.content.iter_chunked(STEP)
        here, complete, new = await hub.attachments.take(who.id, digest, body, part)
    answer = json(
        Received(f"sha-256:{digest.hex()}", here, complete), 201 if complete and new else 200 if complete else 202
    )
    if not complete and here:
        answer.headers["Range"] = f"bytes=0-{here - 1}"
    return answer


async def get(request: web.Request) -> web.StreamResponse:
    """`GET /v1/attachments/{sha256}`, with `Range` (RFC 9110 §14.2) for a part of it."""
    hub, who = request.app[HUB], await caller(request)
    lineage = (await hub.directory()).lineage(who.id)
    kept = await hub.attachments.find(lineage, _digest(request))
    first, end, partial = _wanted(request, kept.size)
    if await hub.attachments.store.size(kept.place) != kept.size:
        raise Unavailable("the store does not have it as it was")
    response = web.StreamResponse(status=206 if partial else 200)
    response.headers.update({"Accept-Ranges": "bytes", "ETag": f'"{kept.digest.hex()}"', "Cache-Control": "private"})
    response.content_type, response.content_length = MEDIA, end - first
    if partial:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{kept.size}"
    await response.prepare(request)
    async for piece in hub.attachments.store.read(kept.place, first, end):
        try:
            async with asyncio.timeout(hub.limits.body):
                await response.write(piece)
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()  # whoever takes none of it only holds a connection
            return response
    await response.write_eof()
    return response


def _digest(request: web.Request) -> bytes:
    text = request.match_info["sha256"]
    if _DIGEST.fullmatch(text) is None:
        raise NotFound("an attachment is named by 64 hexadecimal digits")
    return bytes.fromhex(text)


def _part(request: web.Request) -> tuple[Range, bool]:
    """What the request carries, and whether it carries nothing and only asks. Raises RequestMalformed."""
    length, header = request.content_length, request.headers.get("Content-Range")
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise RequestMalformed("what is sealed is sent as it is, without a Content-Encoding")
    if header is None:
        return Range(0, length, length), False
    found = _SENT.fullmatch(header)
    if found is None:
        raise RequestMalformed("Content-Range is bytes FIRST-LAST/TOTAL, or bytes */TOTAL to ask how far it is")
    if found[1] is None:
        if length:
            raise RequestMalformed("a question carries no body")
        return Range(0, 0, int(found[3])), True
    first, last, total = (int(found[n]) for n in (1, 2, 3))
    if not first <= last < total or (length is not None and length != last - first + 1):
        raise RequestMalformed("Content-Range fits neither itself nor the body's length")
    return Range(first, last - first + 1, total), False


def _wanted(request: web.Request, size: int) -> tuple[int, int, bool]:
    """The bytes asked for, first and end, and whether they are a part. Raises RangeNotSatisfiable."""
    header = request.headers.get("Range")
    found = _WANTED.fullmatch(header) if header is not None else None
    if found is None:
        return 0, size, False  # what is no single range of bytes may be ignored (RFC 9110 §14.2)
    if found[3] is not None:
        first, end = max(0, size - int(found[3])), size
    else:
        first, end = int(found[1]), min(size, int(found[2]) + 1) if found[2] else size
    if first >= end:
        raise RangeNotSatisfiable(f"it has {size} bytes")
    return first, end, True


_THERE = (Link(get, {"sha256": "$request.path.sha256"}),)
CALLS = (
    Call(
        "PUT",
        "/v1/attachments/{sha256}",
        put,
        "上传加密附件：整体，或用 Content-Range 分段续传。 Upload a sealed file, whole or by Content-Range.",
        {
            200: Answer("已有 · was there", Received, links=_THERE),
            201: Answer("已收齐并核对 · complete and verified", Received, links=_THERE),
            202: Answer("尚未收齐 · a part of it is here", Received),
        },
        body=(MEDIA,),
        token=True,
        tags=("attachments",),
        streams=True,
    ),
    Call(
        "GET",
        "/v1/attachments/{sha256}",
        get,
        "取得加密附件，可用 Range。 A sealed file, for its uploader and the parties of a message that names it.",
        {
            200: Answer("全部 · all of it", media=MEDIA),
            206: Answer("一段 · a range", media=MEDIA),
        },
        token=True,
        tags=("attachments",),
    ),
)
