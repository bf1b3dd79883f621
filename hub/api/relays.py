"""Hub to hub: messages handed over with the receipts of the hubs they passed, and what a log says to a neighbour."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
from aiohttp import web

from hub.api.calls import HUB, JOSE, JSON, Answer, Call, Query, body, caller, json, number, require_type
from hub.errors import Forbidden, Unauthenticated
from hub.intake.decode import MAX_MESSAGE
from hub.relaying import handling, learning
from hub.relaying.admitting import cursors
from hub.relaying.feed import Feed, feed
from hub.relaying.learning import Learned, Told
from hub.relaying.reading import Handed
from keys import jwt
from keys.trust import KeyRing
from protocols import envelope
from protocols.receipt import Receipt

MAX_HANDED = 2 * MAX_MESSAGE
"""Most bytes of a message with its receipts."""
MAX_TOLD = 8 << 20
MAX_PAGE = 500


class Neighbour(msgspec.Struct, frozen=True):
    """A neighbouring hub; limits that are null are none."""

    hub: str
    url: str
    divisions: Sequence[str] | None
    departments: Sequence[str] | None
    expires: str
    in_force: bool


class Neighbours(msgspec.Struct, frozen=True):
    """The hubs that messages are exchanged with."""

    items: list[Neighbour]


async def relay(request: web.Request) -> web.Response:
    """`POST /v1/relay`."""
    require_type(request, JSON, JOSE)
    hub = request.app[HUB]
    hub.sequencer.require_room()
    handed = await body(request, MAX_HANDED)
    own = request.content_type == JOSE
    given, new = await (handling.forward(hub, handed.strip()) if own else handling.relay(hub, handed))
    return json(given, status=201 if new else 200)


async def neighbours(request: web.Request) -> web.Response:
    """`GET /v1/hubs`."""
    directory, now = await request.app[HUB].directory(fresh=True), datetime.now(UTC)
    return json(Neighbours([
        Neighbour(one.hub, one.url, one.divisions, one.departments, envelope.rfc3339(one.expires), one.in_force(now))
        for one in directory.neighbours.values()
    ]))  # fmt: skip


async def learned(request: web.Request) -> web.Response:
    """`GET /v1/hubs/{id}`."""
    await _require_beside(request)
    hub, id = request.app[HUB], request.match_info["id"]
    async with hub.pool.acquire() as connection:
        return json(Learned(id, *await cursors(connection, id)))


async def concerns(request: web.Request) -> web.Response:
    """`GET /v1/hubs/{id}/entries`."""
    who, hub = await caller(request), request.app[HUB]
    directory = await hub.directory(fresh=True)
    if who.id != request.match_info["id"] or who.id not in directory.neighbours:
        raise Forbidden()
    after, limit = number(request, "after", 0, 2**62), max(1, number(request, "limit", 100, MAX_PAGE))
    async with hub.pool.acquire() as connection:
        return json(await feed(connection, hub.identity, directory, who.id, after, limit))


async def learn(request: web.Request) -> web.Response:
    """`POST /v1/hubs/{id}/entries`."""
    await _require_beside(request)
    require_type(request, JSON)
    hub = request.app[HUB]
    told = learning.parse(await body(request, MAX_TOLD))
    with hub.sequencer.room():
        async with hub.pool.acquire() as connection:
            return json(await learning.learn(connection, hub.identity, hub.catalogue, request.match_info["id"], told))


async def _require_beside(request: web.Request) -> None:
    """The adapter beside this hub speaks with the hub's own key. Raises Unauthenticated, TokenInvalid, Forbidden."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated()
    identity = request.app[HUB].identity
    if jwt.peek_issuer(token.strip()) != identity.hub:
        await caller(request)
        raise Forbidden("only the adapter beside this hub")
    ring = KeyRing([identity.key.public])
    jwt.verify(token.strip(), issuer=identity.hub, audience=identity.hub, keys=ring, now=datetime.now(UTC))


_RECEIPT = Answer("回执：本枢纽日志中的 accepted、relayed 或 returned 条目 · this hub's receipt", Receipt)
CALLS = (
    Call(
        "POST",
        "/v1/relay",
        relay,
        "枢纽之间转递：一条消息及其所经枢纽的回执（JSON）；或本枢纽的机构在他枢纽案件中发送的消息。"
        " Hub to hub: a message with the receipts of the hubs it passed; or one's own in a case of another home.",
        {201: _RECEIPT, 200: Answer("此前已受理：同一回执 · known: the same receipt", Receipt)},
        body=(JSON, JOSE),
        sent=Handed,
        tags=("hubs",),
    ),
    Call(
        "GET",
        "/v1/hubs",
        neighbours,
        "互通的枢纽。 The hubs that messages are exchanged with.",
        {200: Answer("枢纽 · hubs", Neighbours)},
        tags=("hubs",),
    ),
    Call(
        "GET",
        "/v1/hubs/{id}",
        learned,
        "与一个枢纽互通到何处；供本枢纽的适配器。 How far a neighbour is known, for the adapter beside this hub.",
        {200: Answer("进度 · how far", Learned)},
        token=True,
        tags=("hubs",),
    ),
    Call(
        "GET",
        "/v1/hubs/{id}/entries",
        concerns,
        "日志中与该枢纽有关的条目，附证明；供该枢纽。 What of the log concerns that hub, with proofs, for that hub.",
        {200: Answer("一页条目 · a page of entries", Feed)},
        (
            Query("after", "从此日志编号起 · from this index on", {"type": "integer", "minimum": 0, "default": 0}),
            Query(
                "limit",
                "每页条数 · entries a page",
                {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 100},
            ),
        ),
        token=True,
        tags=("hubs",),
    ),
    Call(
        "POST",
        "/v1/hubs/{id}/entries",
        learn,
        "交来该枢纽日志的条目：公钥、取件、签收、期限；供本枢纽的适配器。"
        " Entries of that hub's log: keys, what was fetched and signed for, due dates; by the adapter beside this hub.",
        {200: Answer("进度 · how far", Learned)},
        body=(JSON,),
        sent=Told,
        token=True,
        tags=("hubs",),
    ),
)
