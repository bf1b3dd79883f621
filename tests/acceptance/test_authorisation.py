"""Every call by every kind of caller: who gets what, as one table."""

import hashlib
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hub.api.app import CALLS
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub

OPEN = {
    "/v1/hub",
    "/.well-known/jwks.json",
    "/v1/organisations",
    "/v1/organisations/{id}",
    "/v1/organisations/{id}/jwks.json",
    "/v1/organisations/{id}/keys",
    "/v1/hubs",
    "/v1/protocols",
    "/v1/protocols/{protocol}/{version}",
    "/v1/protocols/{protocol}/{version}/{message}",
    "/v1/protocols/{protocol}/{version}/{message}/sealed",
    "/snapshot/{path:.+}",
    "/log/checkpoint",
    "/log/cosigned",
    "/problems/{code}",
    "/openapi.json",
    "/healthz",
    "/readyz",
    "/metrics",
}
"""Open to all, without a token."""

SIGNED = {
    "/v1/messages",
    "/v1/messages/batch",
    "/v1/mailbox/acknowledge",
    "/v1/delegations",
    "/v1/revocations",
    "/v1/relay",
    "/log/cosignatures",
}
"""Authenticated by the signature on what is sent."""


@dataclass(frozen=True)
class World:
    """A case between two bureaus, the supervisors above each, a stranger, an auditor."""

    callers: dict[str, Outsider]
    case: str
    message: str
    attachment: str


@pytest.fixture(scope="module")
def world(hub: RunningHub) -> World:
    callers = {
        "opener": Outsider("411002-health", hub.url, superior="411000-supervision"),
        "responder": Outsider("440306-health", hub.url, "P-256", superior="440300-supervision"),
        "stranger": Outsider("320583-health", hub.url, superior="320500-supervision"),
        "opener's supervisor": Outsider("411000-supervision", hub.url, roles=("supervisor",)),
        "responder's supervisor": Outsider("440300-supervision", hub.url, roles=("supervisor",)),
        "another supervisor": Outsider("320500-supervision", hub.url, roles=("supervisor",)),
        "auditor": Outsider("410000-supervision", hub.url, roles=("auditor",)),
    }
    hub.enrol([caller.record() for caller in callers.values()])
    case, event, _ = callers["opener"].open_case(callers["responder"])
    attachment = hashlib.sha256(b"sealed").hexdigest()
    path = f"/v1/attachments/{attachment}"
    assert callers["opener"].call("PUT", path, b"sealed", "application/octet-stream")[0] == 201
    return World(callers, case, f"411002-health/{event['id']}", attachment)


PARTIES = {"opener": 200, "responder": 200}
SIGHT = PARTIES | {"opener's supervisor": 200, "responder's supervisor": 200}
ALL = dict.fromkeys(
    [*SIGHT, "stranger", "another supervisor", "auditor"],
    200,
)
WITH_TOKEN: dict[str, tuple[Callable[[World], str], dict[str, int]]] = {
    "/v1/messages/{source}/{id}": (lambda w: f"/v1/messages/{w.message}", PARTIES),
    "/v1/messages/{source}/{id}/receipt": (lambda w: f"/v1/messages/{w.message}/receipt", PARTIES),
    "/v1/messages/{source}/{id}/receipts": (lambda w: f"/v1/messages/{w.message}/receipts", PARTIES),
    "/v1/hubs/{id}": (lambda w: "/v1/hubs/440000-hub", {}),
    "/v1/hubs/{id}/entries": (lambda w: "/v1/hubs/440000-hub/entries", {}),
    "/v1/messages/{source}/{id}/events": (lambda w: f"/v1/messages/{w.message}/events", PARTIES),
    "/v1/cases/{id}": (lambda w: f"/v1/cases/{w.case}", SIGHT),
    "/v1/cases/{id}/holders": (lambda w: f"/v1/cases/{w.case}/holders?purpose=supervision", SIGHT),
    "/v1/cases": (lambda w: "/v1/cases", ALL),
    "/v1/statistics/bulletins": (
        lambda w: "/v1/statistics/bulletins?period=2026-01&lead=411002-health",
        {"opener": 200, "opener's supervisor": 200},
    ),
    "/v1/cases/{id}/clock": (lambda w: f"/v1/cases/{w.case}/clock", SIGHT),
    "/v1/statistics/turnaround": (lambda w: "/v1/statistics/turnaround", ALL),
    "/v1/statistics/turnaround/cases": (lambda w: "/v1/statistics/turnaround/cases", ALL),
    "/v1/attachments/{sha256}": (lambda w: f"/v1/attachments/{w.attachment}", {"opener": 200}),
    "/v1/mailbox": (lambda w: "/v1/mailbox", ALL),
    "/v1/notices": (lambda w: "/v1/notices", ALL),
    "/log/tile/{path:.+}": (lambda w: "/log/tile/entries/000.p/3", {"auditor": 200}),
}
"""With a token: the path to ask for, and who gets what; everybody else gets 403."""


def test_the_table_speaks_of_every_call() -> None:
    paths = {call.path for call in CALLS}
    assert paths == OPEN | SIGNED | WITH_TOKEN.keys() | {"/v1/preflight"}


@pytest.mark.parametrize("path", sorted(WITH_TOKEN))
def test_each_caller_gets_what_is_theirs(world: World, path: str) -> None:
    ask, expected = WITH_TOKEN[path]
    got = {name: caller.call("GET", ask(world))[0] for name, caller in world.callers.items()}
    assert got == {name: expected.get(name, 403) for name in world.callers}


@pytest.mark.parametrize("path", sorted(WITH_TOKEN))
def test_without_a_token_or_with_a_bad_one_there_is_nothing(world: World, hub: RunningHub, path: str) -> None:
    opener, stranger = world.callers["opener"], world.callers["stranger"]
    header, payload, _ = opener.token().split(".")
    bad = [
        None,
        "Bearer",
        "Bearer x",
        "Basic eDp5",
        f"Bearer {opener.token(aud='440000-hub')}",
        f"Bearer {opener.token(exp=1)}",
        f"Bearer {opener.token(sub=stranger.id)}",
        f"Bearer {stranger.token(iss=opener.id, sub=opener.id)}",
        f"Bearer {header}.{payload}.{stranger.token().split('.')[2]}",
    ]
    for authorization in bad:
        request = urllib.request.Request(hub.url + WITH_TOKEN[path][0](world))
        if authorization is not None:
            request.add_header("Authorization", authorization)
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=10)
        assert refused.value.code == 401, authorization
        assert refused.value.headers["WWW-Authenticate"] == "Bearer"
        assert json.loads(refused.value.read())["type"] in ("/problems/unauthenticated", "/problems/token-invalid")


def test_lists_and_mailboxes_hold_only_what_the_caller_may_see(world: World) -> None:
    for name, caller in world.callers.items():
        cases = [found["id"] for found in caller.call("GET", "/v1/cases")[1]["items"]]
        assert cases == ([world.case] if name in SIGHT else []), name
        items = caller.call("GET", "/v1/mailbox")[1]["items"]
        assert bool(items) == (name == "responder"), name


def test_a_supervisor_sees_the_open_part_and_nothing_sealed(world: World) -> None:
    status, view = world.callers["opener's supervisor"].call("GET", f"/v1/cases/{world.case}")
    assert status == 200
    assert view["timeline"][0]["data"]["legal_basis"]
    assert "sealed" not in json.dumps(view["timeline"])
    assert view["allowed_actions"] == []


def test_a_preflight_is_for_ones_own_messages(world: World) -> None:
    opener, responder = world.callers["opener"], world.callers["responder"]
    event = opener.event("request", uuid7(), responder, opener.example("request"))

    def ask(caller: Outsider, body: dict[str, Any]) -> tuple[int, Any]:
        return caller.call("POST", "/v1/preflight", json.dumps(body).encode(), "application/cloudevents+json")

    assert ask(responder, event)[0] == 403
    status, verdict = ask(opener, event)
    assert (status, verdict["acceptable"], verdict["state"]) == (200, True, "requested")
    wrong = event | {"hub": "440000-hub", "recipients": "999999-health", "time": "2020-01-01T00:00:00Z"}
    status, verdict = ask(opener, wrong)
    assert (status, verdict["acceptable"]) == (200, False)
    assert {problem["type"] for problem in verdict["problems"]} >= {
        "/problems/other-hub",
        "/problems/recipients-invalid",
        "/problems/time-out-of-range",
    }
    assert opener.call("GET", f"/v1/cases/{event['subject']}")[0] == 404
