"""The hub itself, and the organisations with their keys."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from aiohttp import web

from hub import log, version
from hub.api.calls import HUB, Answer, Call, Link, Query, flag, json
from hub.api.messages import Event, Events
from hub.errors import NotFound
from hub.organisations import Organisation as Known
from hub.store.queries import SQL
from keys.jwk import public_jwks
from protocols import entries, envelope
from protocols.lineage import Earlier

JWKS = "application/jwk-set+json"


class Log(msgspec.Struct, frozen=True, omit_defaults=True):
    """The hub's transparency log: its origin, which is also the name of its checkpoints' key.

    `earlier` are the origins that it had before, the oldest first, each with the proof of the entry that ended it.
    """

    origin: str
    earlier: list[Earlier] = []


class HubDocument(msgspec.Struct, frozen=True):
    """Who the hub is; `id` is the audience of tokens."""

    id: str
    name: dict[str, str]
    log: Log
    time: str
    version: str


class Organisation(msgspec.Struct, frozen=True):
    """An organisation of the directory; `algorithms` are those it may sign with, `home` its hub where not this one."""

    id: str
    name: dict[str, str]
    superior: str | None
    roles: list[str]
    algorithms: list[str]
    home: str | None = None


class Organisations(msgspec.Struct, frozen=True):
    """The directory."""

    items: list[Organisation]


class KeySet(msgspec.Struct, frozen=True):
    """A JWK Set (RFC 7517 §5)."""

    keys: list[dict[str, Any]]


async def hub_document(request: web.Request) -> web.Response:
    """`GET /v1/hub`."""
    hub = request.app[HUB]
    now = envelope.rfc3339(datetime.now(UTC))
    async with hub.pool.acquire() as connection:
        origin, earlier = await log.lineage(connection)
    return json(HubDocument(hub.identity.hub, hub.name, Log(origin, earlier), now, version()))


async def hub_keys(request: web.Request) -> web.Response:
    """`GET /.well-known/jwks.json`: the hub's keys."""
    return json(public_jwks([request.app[HUB].identity.key.public]), content_type=JWKS)


async def organisations(request: web.Request) -> web.Response:
    """`GET /v1/organisations`."""
    directory = await request.app[HUB].directory(fresh=True)
    return json(Organisations([_organisation(known) for known in directory.organisations.values()]))


async def organisation(request: web.Request) -> web.Response:
    """`GET /v1/organisations/{id}`."""
    hub = request.app[HUB]
    if request.match_info["id"] == hub.identity.hub:
        return json(Organisation(hub.identity.hub, hub.name, None, ["hub"], ["Ed25519"]))
    return json(_organisation(await _find(request)))


async def organisation_keys(request: web.Request) -> web.Response:
    """`GET /v1/organisations/{id}/jwks.json`; the hub, which signs some messages, is found here too."""
    history = flag(request, "history")
    if request.match_info["id"] == request.app[HUB].identity.hub:
        return await hub_keys(request)
    found = await _find(request)
    keys = [dict(key.jwk) for key in found.keys if history or key.removed is None]
    return json(KeySet(keys), content_type=JWKS)


async def key_events(request: web.Request) -> web.Response:
    """`GET /v1/organisations/{id}/keys`: every word of the log on the organisation's keys, with proofs."""
    hub, found = request.app[HUB], await _find(request)
    async with hub.pool.acquire() as connection:
        rows = await connection.fetch(SQL["key_events"], found.id)
        places = [log.Placed(row["log_index"], row["tree_size"]) for row in rows]
        proven = await log.prove(connection, places) if places else []
    return json(Events([Event(entries.as_object(one.leaf), one.proof) for one in proven]))


async def _find(request: web.Request) -> Known:
    found = (await request.app[HUB].directory(fresh=True)).get(request.match_info["id"])
    if found is None:
        raise NotFound()
    return found


def _organisation(found: Known) -> Organisation:
    roles, algorithms = sorted(found.roles), sorted(found.algorithms)
    return Organisation(found.id, dict(found.name), found.superior, roles, algorithms, found.home)


_OF_THE_HUB = tuple(Link(call, {"id": "$response.body#/id"}) for call in (organisation, organisation_keys))
_OF_THE_FIRST = tuple(
    Link(call, {"id": "$response.body#/items/0/id"}) for call in (organisation, organisation_keys, key_events)
)
_OF_THE_SUPERIOR = (Link(organisation, {"id": "$response.body#/superior"}),)
CALLS = (
    Call(
        "GET",
        "/v1/hub",
        hub_document,
        "枢纽的编号、名称、日志与时间。 The hub's id, name, log origin, time and version.",
        {200: Answer("枢纽 · the hub", HubDocument, links=_OF_THE_HUB)},
        tags=("directory",),
    ),
    Call(
        "GET",
        "/.well-known/jwks.json",
        hub_keys,
        "枢纽的公钥。 The hub's public keys.",
        {200: Answer("公钥集 · the key set", KeySet, JWKS)},
        tags=("directory",),
    ),
    Call(
        "GET",
        "/v1/organisations",
        organisations,
        "机构目录。 The directory of organisations.",
        {200: Answer("机构 · organisations", Organisations, links=_OF_THE_FIRST)},
        tags=("directory",),
    ),
    Call(
        "GET",
        "/v1/organisations/{id}",
        organisation,
        "一个机构。 One organisation.",
        {
            200: Answer(
                "机构 · the organisation", Organisation, links=(Link(organisation, {"id": "$response.body#/superior"}),)
            )
        },
        tags=("directory",),
    ),
    Call(
        "GET",
        "/v1/organisations/{id}/jwks.json",
        organisation_keys,
        "机构的公钥。 An organisation's public keys.",
        {200: Answer("公钥集 · the key set", KeySet, JWKS)},
        (Query("history", "包括已停用的密钥 · with all there ever were", {"type": "integer", "enum": [0, 1]}),),
        tags=("directory",),
    ),
    Call(
        "GET",
        "/v1/organisations/{id}/keys",
        key_events,
        "日志中关于该机构密钥的全部条目，附证明。 Every log entry on the organisation's keys, each with its proof.",
        {200: Answer("条目 · entries", Events)},
        tags=("directory",),
    ),
)
