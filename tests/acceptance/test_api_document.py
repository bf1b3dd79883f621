"""The OpenAPI document, the routes and the answers hold to each other; health and numbers are there."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from hub.api.app import CALLS
from tests.acceptance.outsider import Outsider
from tests.conftest import RunningHub


@pytest.fixture(scope="module")
def bureau(hub: RunningHub) -> Outsider:
    here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url, "P-256")
    hub.enrol([here.record(), there.record()])
    here.open_case(there)
    return here


def test_the_document_is_openapi_3_1_and_has_every_route(bureau: Outsider) -> None:
    status, document = bureau.call("GET", "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    OpenAPIV31SpecValidator(document).validate()
    listed = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert listed == {(call.method, call.path.replace(":.+", "")) for call in CALLS}
    ids = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(ids) == len(set(ids))


def test_every_link_leads_to_a_call_and_finds_its_parameters(bureau: Outsider) -> None:
    document = bureau.call("GET", "/openapi.json")[1]
    operations = [one for methods in document["paths"].values() for one in methods.values()]
    parameters = {one["operationId"]: {each["name"] for each in one.get("parameters", ())} for one in operations}
    answers = [(one["operationId"], answer) for one in operations for answer in one["responses"].values()]
    links = [(id, name, link) for id, answer in answers for name, link in answer.get("links", {}).items()]
    assert all(name == link["operationId"] for _, name, link in links)
    assert all(link["parameters"].keys() <= parameters[link["operationId"]] for _, _, link in links)
    led_to = {link["operationId"] for _, _, link in links}
    case, message = {"cases-one", "cases-clock", "cases-holders"}, {"messages-read", "messages-read-receipt"}
    assert led_to >= case | message | {"mailbox-read", "protocols-schema", "directory-organisation-keys"}


def test_answers_fit_the_document_whatever_is_sent(bureau: Outsider, hub: RunningHub, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"{hub.url}/openapi.json",
        "--header",
        f"Authorization: Bearer {bureau.token()}",
        "--max-examples",
        "12",
        "--phases",
        "examples,coverage,fuzzing,stateful",
        "--checks",
        "not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance",
        "--seed",
        "7",
    ]
    (tmp_path / "schemathesis.toml").write_text(_known_values(bureau))
    environment = os.environ | {"SCHEMATHESIS_HOOKS": "tests.acceptance.schemathesis_hooks", "PYTHONPATH": os.getcwd()}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=110, check=False, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    # No value is known for this call: whoever gets an answer followed a link to a case.
    assert f'route="{LINKED}",status="200"' in numbers(hub)


LINKED = "/v1/cases/{id}/clock"


def numbers(hub: RunningHub) -> str:
    """The hub's metrics as Prometheus reads them."""
    with urllib.request.urlopen(hub.url + "/metrics", timeout=10) as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return str(response.read().decode())


def _known_values(bureau: Outsider) -> str:
    """What exists, so that the calls get past 404; a long poll that nobody answers would only wait."""
    case = bureau.call("GET", "/v1/cases")[1]["items"][0]["id"]
    step = bureau.call("GET", f"/v1/cases/{case}")[1]["timeline"][0]
    known = {
        "/v1/mailbox": {"query.wait": 0},
        "/v1/cases/{id}": {"path.id": case},
        "/v1/organisations/{id}": {"path.id": bureau.id},
        "/v1/organisations/{id}/jwks.json": {"path.id": bureau.id},
        "/v1/protocols/{protocol}/{version}": {"path.protocol": "case-assistance", "path.version": "1.0"},
    }
    for tail in ("", "/receipt", "/events"):
        known["/v1/messages/{source}/{id}" + tail] = {"path.source": step["source"], "path.id": step["id"]}
    lines = []
    for path, values in known.items():
        lines += ["[[operations]]", f"include-path = {json.dumps(path)}", "[operations.parameters]"]
        lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in values.items()]
    return "\n".join(lines)


def test_health_readiness_and_numbers(bureau: Outsider, hub: RunningHub) -> None:
    assert bureau.call("GET", "/healthz") == (200, {"status": "ok"})
    assert bureau.call("GET", "/readyz") == (200, {"status": "ok"})
    bureau.call("POST", "/v1/messages", b"nonsense")
    found = numbers(hub)
    assert 'xieban_messages_total{outcome="new"}' in found
    assert 'xieban_refusals_total{code="jws-malformed"}' in found
    assert 'route="/v1/messages",status="201"' in found
    assert "411002" not in found


def test_an_unknown_path_and_method_are_problems(bureau: Outsider) -> None:
    assert bureau.call("GET", "/nowhere")[1]["type"] == "/problems/not-found"
    assert bureau.call("DELETE", "/v1/mailbox")[1]["type"] == "/problems/method-not-allowed"
    status, problem = bureau.call("POST", "/v1/messages", b"x", "text/plain")
    assert (status, problem["type"]) == (415, "/problems/media-type-unsupported")
    status, meaning = bureau.call("GET", "/problems/media-type-unsupported")
    assert (status, meaning["status"]) == (200, 415)


def test_logs_are_json_with_ids_and_no_content(bureau: Outsider, hub: RunningHub) -> None:
    bureau.call("POST", "/v1/messages", b"nonsense")
    lines = [json.loads(line) for line in (hub.data / "hub.log").read_text().splitlines() if line.startswith("{")]
    refused = [line for line in lines if line["event"] == "refused"]
    assert refused[-1]["code"] == "jws-malformed"
    assert all("level" in line and "timestamp" in line for line in lines)
