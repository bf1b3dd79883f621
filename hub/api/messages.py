"""Sending: one message, a batch, a preflight; and reading a message back."""

import asyncio
from typing import Any

import msgspec
from aiohttp import web

from hub import errors, log
from hub.api.calls import HUB, caller, json, require_type
from hub.api.problems import language
from hub.errors import NotFound
from hub.intake.decode import decode
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import entries, envelope, receipt

MAX_LINES = 1000


async def send(request: web.Request) -> web.Response:
    """`POST /v1/messages`: 201 and the receipt; known bytes 200 and the first receipt."""
    require_type(request, "application/jose")
    given, new = await request.app[HUB].take((await request.read()).strip())
    return json(given, status=201 if new else 200)


async def send_batch(request: web.Request) -> web.Response:
    """`POST /v1/messages/batch`: NDJSON, one line each in order, a receipt or a problem."""
    require_type(request, "application/x-ndjson")
    lines = [line.strip() for line in (await request.read()).split(b"\n")]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) > MAX_LINES:
        raise errors.TooLarge(f"a batch has at most {MAX_LINES} lines")
    hub, words = request.app[HUB], language(request)

    async def one(line: bytes) -> bytes:
        try:
            return msgspec.json.encode((await hub.take(line))[0])
        except Fault as fault:
            return msgspec.json.encode(errors.problem(fault, words))

    answers = await asyncio.gather(*(one(line) for line in lines))
    return web.Response(body=b"".join(a + b"\n" for a in answers), content_type="application/x-ndjson")


async def preflight(request: web.Request) -> web.Response:
    """`POST /v1/preflight`: would this be taken now?"""
    who = await caller(request)
    require_type(request, "application/cloudevents+json", "application/jose")
    body = await request.read()
    attributes = decode(body.strip()).attributes if request.content_type == "application/jose" else envelope.read(body)
    result = await request.app[HUB].preflight(who, attributes)
    result["problems"] = [errors.problem(fault, language(request)) for fault in result["problems"]]
    return json(result)


async def _row(request: web.Request) -> Any:
    who = await caller(request)
    if not envelope.is_id(request.match_info["id"]):
        raise NotFound()
    return await request.app[HUB].message(who, request.match_info["source"], request.match_info["id"])


async def read(request: web.Request) -> web.Response:
    """`GET /v1/messages/{source}/{id}`: the stored JWS."""
    row = await _row(request)
    async with request.app[HUB].pool.acquire() as connection:
        keys = [row["case_id"]], [row["log_index"]], [row["accepted"]]
        rows = await connection.fetch(SQL["messages"], *keys)
    if not rows:
        raise NotFound()
    return web.Response(body=rows[0]["jws"], content_type="application/jose")


async def read_receipt(request: web.Request) -> web.Response:
    """`…/receipt`: the receipt."""
    hub, row = request.app[HUB], await _row(request)
    async with hub.pool.acquire() as connection:
        (proof,) = await log.prove(connection, hub.origin, [log.Placed(row["log_index"], row["tree_size"])])
    entry = entries.decode(receipt.leaf(proof))
    if not isinstance(entry, entries.Accepted):
        raise NotFound()
    return json(receipt.build(entry, proof))


async def read_events(request: web.Request) -> web.Response:
    """`…/events`: every log entry of the message, with proofs."""
    hub, row = request.app[HUB], await _row(request)
    async with hub.pool.acquire() as connection:
        places = [log.Placed(row["log_index"], row["tree_size"])]
        (proof,) = await log.prove(connection, hub.origin, places)
        entry = entries.decode(receipt.leaf(proof))
        if not isinstance(entry, entries.Accepted):
            raise NotFound()
        for recipient, position in entry.recipients.items():
            for mark in await connection.fetch(SQL["marks"], recipient, position):
                places.append(log.Placed(mark["log_index"], mark["tree_size"]))
        places = sorted(set(places), key=lambda place: place.index)
        proofs = await log.prove(connection, hub.origin, places)
    events = [{"entry": entries.as_object(receipt.leaf(p)), "log": p} for p in proofs]
    return json({"events": events})


async def problem(request: web.Request) -> web.Response:
    """`GET /problems/{code}`: what the code means, in both languages."""
    entry = errors.CATALOGUE.get(request.match_info["code"])
    if entry is None:
        raise NotFound()
    return json(entry)


ROUTES = [
    web.post("/v1/messages", send),
    web.post("/v1/messages/batch", send_batch),
    web.post("/v1/preflight", preflight),
    web.get("/v1/messages/{source}/{id}", read),
    web.get("/v1/messages/{source}/{id}/receipt", read_receipt),
    web.get("/v1/messages/{source}/{id}/events", read_events),
    web.get("/problems/{code}", problem),
]
