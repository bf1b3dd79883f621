"""Sending: one message, a batch, a preflight; and reading a message back."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web
from asyncpg import Record

from hub import errors, log
from hub.api.calls import EVENT, HUB, JOSE, NDJSON, Answer, Call, body, caller, json, require_type
from hub.api.problems import described, language
from hub.errors import Gone, NotFound, Problem
from hub.intake.decode import decode
from hub.relaying import receipts
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import entries, envelope, receipt
from protocols.receipt import LogProof, Receipt

MAX_LINES = 1000
MAX_BATCH = 64 << 20


class Verdict(msgspec.Struct, frozen=True):
    """Whether a message would be taken now: every problem, or the state and due date it would leave."""

    acceptable: bool
    problems: list[Problem]
    state: str | None
    due: str | None


class Receipts(msgspec.Struct, frozen=True):
    """What each hub entered of a message: `earlier` by others, as they handed it over, `own` by this one, in order."""

    earlier: list[dict[str, Any]]
    own: list[Receipt]


class Event(msgspec.Struct, frozen=True):
    """An entry of the log with its proof."""

    entry: Mapping[str, Any]
    log: LogProof


class Events(msgspec.Struct, frozen=True):
    """Every log entry of a message: accepted, fetched, acknowledged or expired by each recipient."""

    events: list[Event]


async def send(request: web.Request) -> web.Response:
    """`POST /v1/messages`: 201 and the receipt; known bytes 200 and the first receipt."""
    require_type(request, JOSE)
    request.app[HUB].sequencer.require_room()  # before anything is done for it
    given, new = await request.app[HUB].take((await body(request)).strip())
    return json(given, status=201 if new else 200)


async def send_batch(request: web.Request) -> web.Response:
    """`POST /v1/messages/batch`: NDJSON, one line each in order, a receipt or a problem."""
    require_type(request, NDJSON)
    request.app[HUB].sequencer.require_room()  # before a large body is read
    lines = [line.strip() for line in (await body(request, MAX_BATCH)).split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > MAX_LINES:
        raise errors.TooLarge(f"a batch has at most {MAX_LINES} lines")
    hub, words = request.app[HUB], language(request)

    answers = []
    for result in await hub.take_all(lines):
        answers.append(msgspec.json.encode(described(result, words) if isinstance(result, Fault) else result[0]))
    return web.Response(body=b"\n".join([*answers, b""]), content_type=NDJSON)


async def preflight(request: web.Request) -> web.Response:
    """`POST /v1/preflight`: would this be taken now?"""
    who = await caller(request)
    require_type(request, EVENT, JOSE)
    asked = await body(request)
    attributes = decode(asked.strip()).attributes if request.content_type == JOSE else envelope.read(asked)
    found = await request.app[HUB].preflight(who, attributes)
    problems = [described(fault, language(request)) for fault in found.problems]
    return json(Verdict(not problems, problems, found.state, found.due))


async def read(request: web.Request) -> web.Response:
    """`GET /v1/messages/{source}/{id}`: the stored JWS."""
    row = await _row(request)
    async with request.app[HUB].pool.acquire() as connection:
        keys = [row["case_id"]], [row["log_index"]], [row["accepted"]]
        rows = await connection.fetch(SQL["messages"], *keys)
        if not rows and await connection.fetch(SQL["erased_among"], *keys):
            raise Gone()
    if not rows:
        raise NotFound()
    return web.Response(body=rows[0]["jws"], content_type=JOSE)


async def read_receipt(request: web.Request) -> web.Response:
    """`GET /v1/messages/{source}/{id}/receipt`: the receipt."""
    hub, row = request.app[HUB], await _row(request)
    async with hub.pool.acquire() as connection:
        place = (await receipts.places(connection, row))[-1]
        (proven,) = await log.prove(connection, [place])
    return json(receipt.build(_carried(proven.leaf), proven.proof))


async def read_receipts(request: web.Request) -> web.Response:
    """`GET /v1/messages/{source}/{id}/receipts`: this hub's, and those of the hubs that it passed before."""
    hub, row = request.app[HUB], await _row(request)
    async with hub.pool.acquire() as connection:
        places = await receipts.places(connection, row)
        proven = await log.prove(connection, places)
        others = await receipts.earlier(connection, [(str(row["case_id"]), place.index) for place in places])
    own = [receipt.build(_carried(one.leaf), one.proof) for one in proven]
    return json(Receipts([one for place in places for one in others.get(place.index, [])], own))


async def read_events(request: web.Request) -> web.Response:
    """`GET /v1/messages/{source}/{id}/events`: every log entry of the message, with proofs."""
    hub, row = request.app[HUB], await _row(request)
    async with hub.pool.acquire() as connection:
        places = await receipts.places(connection, row)
        (taken,) = await log.prove(connection, places[-1:])
        for recipient, position in getattr(_carried(taken.leaf), "recipients", {}).items():
            for mark in await connection.fetch(SQL["marks"], recipient, position):
                places.append(log.Placed(mark["log_index"], mark["tree_size"]))
        places = sorted(set(places), key=lambda place: place.index)
        proven = await log.prove(connection, places)
    return json(Events([Event(entries.as_object(leaf), proof) for leaf, proof in proven]))


def _carried(leaf: bytes) -> entries.Carried:
    entry = entries.decode(leaf)
    assert isinstance(entry, entries.Carried)
    return entry


async def _row(request: web.Request) -> Record:
    who = await caller(request)
    if not envelope.is_id(request.match_info["id"]):
        raise NotFound()
    return await request.app[HUB].message(who, request.match_info["source"], request.match_info["id"])


_RECEIPT = Answer("回执 · the receipt", Receipt)
CALLS = (
    Call(
        "POST",
        "/v1/messages",
        send,
        "发送一条已签名的消息。 Send one signed message.",
        {201: _RECEIPT, 200: Answer("同样的字节此前已受理：首次的回执 · the first receipt of known bytes", Receipt)},
        body=(JOSE,),
        tags=("messages",),
    ),
    Call(
        "POST",
        "/v1/messages/batch",
        send_batch,
        "批量发送，每行一条，逐条独立。 Send up to 1,000 messages, a line each; each stands alone.",
        {200: Answer("逐行：回执或问题 · line by line, a receipt or a problem", media=NDJSON)},
        body=(NDJSON,),
        tags=("messages",),
    ),
    Call(
        "POST",
        "/v1/preflight",
        preflight,
        "预检：现在会被受理吗？不存储任何内容。 Would this be taken now? Nothing is stored.",
        {200: Answer("结论 · the verdict", Verdict)},
        body=(EVENT, JOSE),
        token=True,
        tags=("messages",),
    ),
    Call(
        "GET",
        "/v1/messages/{source}/{id}",
        read,
        "原始消息（紧凑 JWS）。 The stored compact JWS.",
        {200: Answer("消息 · the message", media=JOSE)},
        token=True,
        tags=("messages",),
    ),
    Call(
        "GET",
        "/v1/messages/{source}/{id}/receipt",
        read_receipt,
        "消息的回执。 The message's receipt.",
        {200: _RECEIPT},
        token=True,
        tags=("messages",),
    ),
    Call(
        "GET",
        "/v1/messages/{source}/{id}/receipts",
        read_receipts,
        "消息所经各枢纽的回执。 The receipts of every hub that the message passed.",
        {200: Answer("回执 · the receipts", Receipts)},
        token=True,
        tags=("messages",),
    ),
    Call(
        "GET",
        "/v1/messages/{source}/{id}/events",
        read_events,
        "消息的全部日志条目与证明。 All log entries of the message, with proofs.",
        {200: Answer("条目 · the entries", Events)},
        token=True,
        tags=("messages",),
    ),
)
