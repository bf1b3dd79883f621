"""docs/wire.md: each rule on it is broken once, and the hub answers with the problem that the page names."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.conformance import SCENARIOS
from hub.errors import CATALOGUE
from tests.acceptance.outsider import Outsider, uuid7
from tests.acceptance.pages import ROOT
from tests.conftest import RunningHub

PAGE = (ROOT / "docs/wire.md").read_text("utf-8")
RULES = {rule: code for rule, code in re.findall(r"(?m)^\| ([a-z]+) \| .* \| .* \| `([a-z-]+)` \|$", PAGE)}
HEADINGS = re.findall(r"(?m)^## .* · (.+)$", PAGE)
Bureaus = tuple[Outsider, Outsider]
Sent = tuple[int, Any]


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> Bureaus:
    here, there = Outsider("411002-transport", hub.url), Outsider("440306-transport", hub.url, "P-256")
    hub.enrol([here.record(), there.record()])
    return here, there


def request(here: Outsider, there: Outsider, **changed: Any) -> dict[str, Any]:
    """A request as it should be, but for what is changed."""
    return here.event("request", uuid7(), there, here.example("request")) | changed


def changed(**more: Any) -> Callable[[Outsider, Outsider], Sent]:
    return lambda here, there: here.send(request(here, there, **more))


def other_header(here: Outsider, there: Outsider) -> Sent:
    return here.call("POST", "/v1/messages", here.sign(json.dumps(request(here, there)).encode(), "JWT"))


def other_key(here: Outsider, there: Outsider) -> Sent:
    return there.send(request(here, there))


def same_id(here: Outsider, there: Outsider) -> Sent:
    _, event, _ = here.open_case(there)
    return here.send(request(here, there, id=event["id"]))


def same_case(here: Outsider, there: Outsider) -> Sent:
    case, _, _ = here.open_case(there)
    return here.send(here.event("request", case, there, here.example("request")))


def old(here: Outsider, there: Outsider) -> Sent:
    return here.send(request(here, there, time=(datetime.now(UTC) - timedelta(days=31)).isoformat()))


def more_data(here: Outsider, there: Outsider) -> Sent:
    event = request(here, there)
    return here.send(event | {"data": event["data"] | {"name": "周明"}})


def too_early(here: Outsider, there: Outsider) -> Sent:
    case, event, _ = here.open_case(there)
    return here.send(here.event("close", case, there, here.example("close"), causationid=event["id"]))


BROKEN: dict[str, Callable[[Outsider, Outsider], Sent]] = {
    "header": other_header,
    "signature": other_key,
    "attributes": changed(colour="red"),
    "id": same_id,
    "type": changed(type="case-assistance.reqest"),
    "dataschema": changed(dataschema="https://xieban.example/v1/protocols/case-assistance/1.0/accept"),
    "subject": same_case,
    "time": old,
    "recipients": changed(recipients="440399-transport"),
    "causationid": changed(causationid="your letter of last week"),
    "hub": changed(hub="440000-hub"),
    "expirytime": changed(expirytime="2100-01-01T00:00:00Z"),
    "data": more_data,
    "flow": too_early,
}


def test_the_page_has_a_problem_for_each_rule_and_each_is_tried() -> None:
    assert RULES.keys() == BROKEN.keys()
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE))
    assert set(RULES.values()) | {"sealing-invalid", "token-invalid"} <= named & CATALOGUE.keys()


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_that_is_broken_gives_the_problem_that_the_page_names(bureaus: Bureaus, rule: str) -> None:
    status, problem = BROKEN[rule](*bureaus)
    assert 400 <= status < 500
    assert problem["type"] == f"/problems/{RULES[rule]}", problem["detail"]


def test_what_is_not_sealed_to_all_and_a_call_without_its_token_are_refused_as_said(bureaus: Bureaus) -> None:
    here, there = bureaus
    event = request(here, there)
    del event["data"]["sealed"], event["data"]["sealed_digest"]
    alone = here.event("request", uuid7(), here, here.example("request")) | {"recipients": there.id}
    for refused in (event, alone):
        assert here.send(refused)[1]["type"] == "/problems/sealing-invalid"
    for token, code in (("", "unauthenticated"), (here.token(aud="440000-hub"), "token-invalid")):
        assert called(here.url, token)["type"] == f"/problems/{code}"


def called(url: str, token: str) -> Any:
    """The problem that the mailbox answers to this token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url + "/v1/mailbox", headers=headers), timeout=10)
    return json.load(refused.value)


def test_every_scenario_of_the_conformance_kit_names_a_section_that_there_is() -> None:
    assert len(HEADINGS) == 7
    for scenario in SCENARIOS:
        for section in scenario.told.section.split("; "):
            assert section.partition(":")[0] in HEADINGS or section.startswith("RFC "), section
