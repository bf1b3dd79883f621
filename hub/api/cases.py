"""Cases: what their parties, and the supervisors above them, see."""

from typing import Any

import msgspec
from aiohttp import web

from hub.api.calls import HUB, caller, json, number
from hub.errors import Forbidden, NotFound, RequestMalformed
from hub.organisations import Organisation
from hub.service import Hub
from hub.store.queries import SQL
from protocols import envelope, flow
from protocols.flow import Case

_decoder = msgspec.json.Decoder(Case)


async def listing(request: web.Request) -> web.Response:
    """`GET /v1/cases?state=&after=&limit=`: the newest first; `next` continues."""
    hub, who = request.app[HUB], await caller(request)
    after, limit = request.query.get("after"), max(1, number(request, "limit", 100, 500))
    if after is not None and not envelope.is_id(after):
        raise RequestMalformed("after is a case id")
    names = await _sight(hub, who)
    async with hub.pool.acquire() as connection:
        found = await connection.fetch(SQL["cases_of"], names, after, limit)
        ids = [row["case_id"] for row in found]
        rows = await connection.fetch(SQL["case_records"], ids, request.query.get("state"))
    following = str(ids[-1]) if len(ids) == limit else None
    return json({"items": [_summary(hub, row, who) for row in rows], "next": following})


async def one(request: web.Request) -> web.Response:
    """`GET /v1/cases/{id}`: state, parties, due, timeline, allowed actions."""
    hub, who, id = request.app[HUB], await caller(request), request.match_info["id"]
    if not envelope.is_id(id):
        raise NotFound()
    names = await _sight(hub, who)
    async with hub.pool.acquire() as connection:
        row = await connection.fetchrow(SQL["case_record"], id)
        if row is None:
            raise NotFound()
        if not await connection.fetch(SQL["case_party"], id, names):
            raise Forbidden()
        steps = await connection.fetch(SQL["case_steps"], id)
    return json(_summary(hub, row, who) | {"timeline": [_step(step) for step in steps]})


async def _sight(hub: Hub, who: Organisation) -> list[str]:
    """Whose cases the caller sees: its own, and as a supervisor those below it."""
    return (await hub.directory()).subtree(who.id) if "supervisor" in who.roles else [who.id]


def _summary(hub: Hub, row: Any, who: Organisation) -> dict[str, Any]:
    case = _decoder.decode(row["record"])
    protocol = hub.catalogue.protocols[case.protocol, case.version]
    actions = flow.allowed_actions(protocol.flow, case, who.id)
    due = flow.current_due(protocol.flow, case)
    return {
        "id": case.id,
        "protocol": case.protocol,
        "version": case.version,
        "state": case.state,
        "opener": case.opener,
        "responder": case.position.responder,
        "participants": case.position.participants,
        "legal_basis": case.basis,
        "opened": envelope.rfc3339(case.opened),
        "updated": envelope.rfc3339(row["updated"]),
        "due": {"date": due.date, "provisional": due.provisional} if due else None,
        "owner": protocol.flow.states[case.state].owner,
        "allowed_actions": [
            {
                "message": name,
                "type": f"{case.protocol}.{name}",
                "dataschema": protocol.messages[name].schema.id,
                "sealed": protocol.messages[name].declared.sealed,
            }
            for name in actions
        ],
    }


def _step(row: Any) -> dict[str, Any]:
    return {
        "log_index": row["log_index"],
        "source": row["source"],
        "id": str(row["id"]),
        "type": row["type"],
        "from": row["state_before"],
        "to": row["state_after"],
        "due": row["due"],
        "accepted": envelope.rfc3339(row["accepted"]),
    }


ROUTES = [web.get("/v1/cases", listing), web.get("/v1/cases/{id}", one)]
