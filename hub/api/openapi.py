"""The OpenAPI 3.1 document, made from the calls themselves: what is not served is not in it."""

import json as json_text
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from hub import version
from hub.api.calls import EVENT, JOSE, JSON, NDJSON, OCTETS, TEXT, Answer, Call, Handler, json
from hub.errors import Problem
from protocols.envelope import ENVELOPE

DOCUMENT = web.AppKey("openapi", dict[str, Any])
_REF = "#/components/schemas/{name}"
_BODIES: dict[str, dict[str, Any]] = {
    OCTETS: {"type": "string", "contentMediaType": OCTETS},
    JOSE: {"type": "string", "description": "RFC 7515 §7.1, compact JWS"},
    NDJSON: {"type": "string", "description": "一行一条 JWS · a compact JWS a line"},
    EVENT: {"$ref": "#/components/schemas/CloudEvent"},
    TEXT: {"type": "string"},
}


def document(calls: Iterable[Call]) -> dict[str, Any]:
    """The document for `calls`."""
    listed = list(calls)
    types = [answer.of for call in listed for answer in call.answers.values() if answer.of is not None]
    bodies = {(call.method, call.path): call.sent for call in listed if call.sent is not None}
    schemas, components = msgspec.json.schema_components([*types, *bodies.values(), Problem], ref_template=_REF)
    answers, sent = iter(schemas), dict(zip(bodies, schemas[len(types) :], strict=False))
    ids = {call.handler: _operation_id(call) for call in listed}
    paths: dict[str, dict[str, Any]] = {}
    for call in listed:
        path = re.sub(r":[^}]+}", "}", call.path)
        operation = _operation(call, path, answers, sent.get((call.method, call.path)), ids)
        paths.setdefault(path, {})[call.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "协办 xieban",
            "version": version(),
            "summary": "跨地区案件协办枢纽 · an open hub for work on one case across regions",
            "license": {"name": "Proprietary"},
        },
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "paths": paths,
        "components": {
            "schemas": components | {"CloudEvent": _component("CloudEvent", ENVELOPE.document)},
            "securitySchemes": {"organisation": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation(call: Call, path: str, schemas: Any, sent: Any, ids: Mapping[Handler, str]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": ids[call.handler],
        "tags": list(call.tags),
        "summary": call.about,
        "responses": {str(status): _answer(answer, schemas, ids) for status, answer in call.answers.items()}
        | {"default": _PROBLEM},
    }
    parameters: list[dict[str, Any]] = [_path_parameter(name) for name in re.findall(r"{(\w+)}", path)]
    parameters += [
        {"name": q.name, "in": "query", "description": q.about, "schema": dict(q.schema)} for q in call.query
    ]
    if parameters:
        operation["parameters"] = parameters
    if call.body:
        content = {media: {"schema": sent if media == JSON else _BODIES[media]} for media in call.body}
        operation["requestBody"] = {"required": True, "content": content}
    if call.token:
        operation["security"] = [{"organisation": []}]
    return operation


def _operation_id(call: Call) -> str:
    return f"{call.tags[0]}-{call.handler.__name__.replace('_', '-')}"


def _answer(answer: Answer, schemas: Any, ids: Mapping[Handler, str]) -> dict[str, Any]:
    schema = {"type": "string"} if answer.of is None else next(schemas)
    described: dict[str, Any] = {"description": answer.about, "content": {answer.media: {"schema": schema}}}
    if answer.links:
        described["links"] = {
            ids[link.handler]: {"operationId": ids[link.handler], "parameters": dict(link.parameters)}
            for link in answer.links
        }
    return described


def _path_parameter(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _component(name: str, schema: dict[str, Any]) -> Any:
    """A schema of its own made part of the document: its references lead to where it now stands."""
    text = json_text.dumps({key: value for key, value in schema.items() if key not in ("$id", "$schema")})
    return json_text.loads(text.replace('"#/$defs/', f'"{_REF.format(name=name)}/$defs/'))


_PROBLEM = {
    "description": "问题（RFC 9457） · a problem",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


async def serve(request: web.Request) -> web.Response:
    """`GET /openapi.json`."""
    return json(request.app[DOCUMENT])


CALLS = (
    Call(
        "GET",
        "/openapi.json",
        serve,
        "本接口的 OpenAPI 3.1 文档。 This document.",
        {200: Answer("OpenAPI 3.1", dict[str, Any], JSON)},
        tags=("api",),
    ),
)
