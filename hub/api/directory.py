"""The hub itself, the organisations with their keys, and the catalogue with its schemas."""

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from hub.api.calls import HUB, json
from hub.errors import NotFound
from hub.organisations import Organisation
from hub.store.queries import SQL
from keys.jwk import public_jwks
from protocols import envelope
from protocols.loading import Protocol

VERSION = "0.1.0"


async def hub_document(request: web.Request) -> web.Response:
    """`GET /v1/hub`."""
    hub = request.app[HUB]
    now = envelope.rfc3339(datetime.now(UTC))
    return json({"id": hub.id, "name": hub.name, "log": {"origin": hub.origin}, "time": now, "version": VERSION})


async def hub_keys(request: web.Request) -> web.Response:
    """`GET /.well-known/jwks.json`: the hub's keys."""
    return json(public_jwks([request.app[HUB].key.public]), content_type="application/jwk-set+json")


async def organisations(request: web.Request) -> web.Response:
    """`GET /v1/organisations`."""
    directory = await request.app[HUB].directory(fresh=True)
    return json({"items": [_organisation(o) for o in directory.organisations.values()]})


async def organisation(request: web.Request) -> web.Response:
    """`GET /v1/organisations/{id}`."""
    return json(_organisation(await _find(request)))


async def organisation_keys(request: web.Request) -> web.Response:
    """`GET /v1/organisations/{id}/jwks.json`; `history=1` for all there ever were."""
    found, history = await _find(request), request.query.get("history") == "1"
    keys = [key.jwk for key in found.keys if history or key.removed is None]
    return json({"keys": keys}, content_type="application/jwk-set+json")


async def protocols(request: web.Request) -> web.Response:
    """`GET /v1/protocols`."""
    return json({"items": [_protocol(p) for p in request.app[HUB].catalogue.protocols.values()]})


async def protocol(request: web.Request) -> web.Response:
    """`GET /v1/protocols/{protocol}/{version}`."""
    return json(_protocol(_find_protocol(request)))


async def schema(request: web.Request) -> web.Response:
    """`GET /v1/protocols/{protocol}/{version}/{message}` (`/sealed`: of the sealed part)."""
    message = _find_protocol(request).messages.get(request.match_info["message"])
    sealed = request.path.endswith("/sealed")
    found = None if message is None else message.sealed_schema if sealed else message.schema
    if found is None:
        raise NotFound()
    return json(found.document, content_type="application/schema+json")


async def health(request: web.Request) -> web.Response:
    """`GET /healthz`: this process answers."""
    return json({"status": "ok"})


async def ready(request: web.Request) -> web.Response:
    """`GET /readyz`: the database answers too."""
    async with request.app[HUB].pool.acquire() as connection:
        await connection.fetchval(SQL["key_epoch"])
    return json({"status": "ok"})


async def _find(request: web.Request) -> Organisation:
    found = (await request.app[HUB].directory(fresh=True)).get(request.match_info["id"])
    if found is None:
        raise NotFound()
    return found


def _find_protocol(request: web.Request) -> Protocol:
    found = request.app[HUB].catalogue.protocol(request.match_info["protocol"], request.match_info["version"])
    if found is None:
        raise NotFound()
    return found


def _organisation(found: Organisation) -> dict[str, Any]:
    roles = sorted(found.roles)
    return {"id": found.id, "name": found.name, "superior": found.superior, "roles": roles}


def _protocol(found: Protocol) -> dict[str, Any]:
    messages = [
        {
            "name": message.name,
            "title": {"zh": message.declared.zh, "en": message.declared.en},
            "type": f"{found.name}.{message.name}",
            "dataschema": message.schema.id,
            "sealed": message.declared.sealed,
            "opens": message.name in found.flow.opening,
        }
        for message in found.messages.values()
    ]
    states = found.flow.states
    return {
        "name": found.name,
        "version": found.version,
        "title": found.flow.title,
        "states": states,
        "messages": messages,
    }


ROUTES = [
    web.get("/v1/hub", hub_document),
    web.get("/.well-known/jwks.json", hub_keys),
    web.get("/v1/organisations", organisations),
    web.get("/v1/organisations/{id}", organisation),
    web.get("/v1/organisations/{id}/jwks.json", organisation_keys),
    web.get("/v1/protocols", protocols),
    web.get("/v1/protocols/{protocol}/{version}", protocol),
    web.get("/v1/protocols/{protocol}/{version}/{message}", schema),
    web.get("/v1/protocols/{protocol}/{version}/{message}/sealed", schema),
    web.get("/healthz", health),
    web.get("/readyz", ready),
]
