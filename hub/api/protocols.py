"""The catalogue: protocols, their messages and their schemas."""

from typing import Any

import msgspec
from aiohttp import web

from hub.api.calls import HUB, Answer, Call, Link, json
from hub.errors import NotFound
from protocols.loading import Protocol as Known
from protocols.table import Deadline, State, Text

SCHEMA = "application/schema+json"


class Message(msgspec.Struct, frozen=True):
    """A message of a protocol: its type, where its schema is, whether it opens a case and is sealed.

    `sealed_to` says who can open the sealed part: `everybody` that it concerns, the `recipients` alone, or the
    `newcomer` alone; its plaintext is padded to a multiple of `padding` KiB. `from_hub`: a hub alone sends it.
    """

    name: str
    title: dict[str, str]
    type: str
    dataschema: str
    sealed: str
    sealed_to: str
    padding: int
    from_hub: bool
    may_expire: bool
    opens: bool


class Protocol(msgspec.Struct, frozen=True):
    """One version of a protocol."""

    name: str
    version: str
    title: dict[str, str]
    summary: dict[str, str]
    roles: dict[str, Text]
    states: dict[str, State]
    deadlines: dict[str, Deadline]
    messages: list[Message]


class Protocols(msgspec.Struct, frozen=True):
    """All protocols in all their versions."""

    items: list[Protocol]


async def listing(request: web.Request) -> web.Response:
    """`GET /v1/protocols`."""
    return json(Protocols([_protocol(known) for known in request.app[HUB].catalogue.protocols.values()]))


async def one(request: web.Request) -> web.Response:
    """`GET /v1/protocols/{protocol}/{version}`."""
    return json(_protocol(_find(request)))


async def schema(request: web.Request) -> web.Response:
    """`GET /v1/protocols/{protocol}/{version}/{message}`: the open part's schema."""
    message = _find(request).messages.get(request.match_info["message"])
    if message is None:
        raise NotFound()
    return json(message.schema.document, content_type=SCHEMA)


async def sealed_schema(request: web.Request) -> web.Response:
    """`GET /v1/protocols/{protocol}/{version}/{message}/sealed`: the sealed content's schema."""
    message = _find(request).messages.get(request.match_info["message"])
    if message is None or message.sealed_schema is None:
        raise NotFound()
    return json(message.sealed_schema.document, content_type=SCHEMA)


def _find(request: web.Request) -> Known:
    found = request.app[HUB].catalogue.protocol(request.match_info["protocol"], request.match_info["version"])
    if found is None:
        raise NotFound()
    return found


def _protocol(found: Known) -> Protocol:
    messages = [
        Message(
            name=message.name,
            title={"zh": message.declared.zh, "en": message.declared.en},
            type=f"{found.name}.{message.name}",
            dataschema=message.schema.id,
            sealed=message.declared.sealed,
            sealed_to=message.declared.sealed_to,
            padding=message.declared.padding,
            from_hub=message.declared.from_hub,
            may_expire=message.declared.may_expire,
            opens=message.name in found.flow.opening,
        )
        for message in found.messages.values()
    ]
    title, summary = found.flow.title, found.flow.summary
    return Protocol(
        name=found.name,
        version=found.version,
        title={"zh": title.zh, "en": title.en},
        summary={"zh": summary.zh, "en": summary.en},
        roles=dict(found.flow.roles),
        states=dict(found.flow.states),
        deadlines=dict(found.flow.deadlines),
        messages=messages,
    )


_SCHEMA = Answer("JSON Schema 2020-12", dict[str, Any], SCHEMA)
_FIRST = {"protocol": "$response.body#/items/0/name", "version": "$response.body#/items/0/version"}
_MESSAGE = {
    "protocol": "$response.body#/name",
    "version": "$response.body#/version",
    "message": "$response.body#/messages/0/name",
}
CALLS = (
    Call(
        "GET",
        "/v1/protocols",
        listing,
        "协作协议目录。 The catalogue of protocols.",
        {200: Answer("协议 · the protocols", Protocols, links=(Link(one, _FIRST),))},
        tags=("protocols",),
    ),
    Call(
        "GET",
        "/v1/protocols/{protocol}/{version}",
        one,
        "一个协议的状态与消息。 One protocol: its states and messages.",
        {200: Answer("协议 · the protocol", Protocol, links=(Link(schema, _MESSAGE),))},
        tags=("protocols",),
    ),
    Call(
        "GET",
        "/v1/protocols/{protocol}/{version}/{message}",
        schema,
        "消息开放部分的模式。 The schema of a message's open part.",
        {200: _SCHEMA},
        tags=("protocols",),
    ),
    Call(
        "GET",
        "/v1/protocols/{protocol}/{version}/{message}/sealed",
        sealed_schema,
        "消息密封内容的模式。 The schema of a message's sealed content.",
        {200: _SCHEMA},
        tags=("protocols",),
    ),
)
