"""Two bureaus work one case through a hub, knowing the wire contract alone."""

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from jwcrypto import jwk

from hub.store import embedded
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import XIEBAN, RunningHub

REQUEST = {"legal_basis": {"instrument": "npc-70-2021", "article": 26}, "urgency": "ordinary"}


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> tuple[Outsider, Outsider]:
    here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url, "P-256")
    hub.enrol([here.record(), there.record()])
    return here, there


def example(bureau: Outsider, message: str) -> dict[str, Any]:
    status, schema = bureau.call("GET", f"/v1/protocols/case-assistance/1.0/{message}")
    assert status == 200
    return dict(schema["examples"][0])


def opened(here: Outsider, there: Outsider) -> tuple[str, dict[str, Any], dict[str, Any]]:
    case = uuid7()
    event = here.event("request", case, there, example(here, "request"))
    status, receipt = here.send(event)
    assert status == 201, receipt
    return case, event, receipt


def test_a_case_goes_from_request_to_close(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    case, _, _ = opened(here, there)
    steps = [(there, here, "accept"), (there, here, "ask"), (here, there, "answer"), (there, here, "answer")]
    for sender, receiver, message in [*steps, (here, there, "close")]:
        status, answer = sender.send(sender.event(message, case, receiver, example(sender, message)))
        assert status == 201, (message, answer)
    status, view = here.call("GET", f"/v1/cases/{case}")
    assert status == 200
    assert view["state"] == "closed"
    assert [action["message"] for action in view["allowed_actions"]].count("reopen") == 1
    assert len(view["timeline"]) == 6


def test_the_recipient_polls_and_acknowledges(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    _, event, _receipt = opened(here, there)
    status, page = there.call("GET", "/v1/mailbox?after=0&limit=500")
    assert status == 200
    item = page["items"][-1]
    assert item["receipt"]["message"] == event["id"]
    assert there.acknowledge(item)[0] == 200
    status, events = here.call("GET", f"/v1/messages/{here.id}/{event['id']}/events")
    assert status == 200
    assert [e["entry"]["kind"] for e in events["events"]] == ["accepted", "fetched", "acknowledged"]
    beyond = dict(item, position=item["position"] + 1)
    assert there.acknowledge(beyond)[1]["type"] == "/problems/not-yet-fetched"


def test_a_receipt_verifies_offline_and_an_altered_one_does_not(
    bureaus: tuple[Outsider, Outsider], tmp_path: Path
) -> None:
    here, there = bureaus
    event = here.event("request", uuid7(), there, example(here, "request"))
    token = here.sign(json.dumps(event).encode())
    status, receipt = here.call("POST", "/v1/messages", token)
    assert status == 201
    (tmp_path / "message").write_bytes(token)
    (tmp_path / "jwks").write_text(json.dumps(here.call("GET", "/.well-known/jwks.json")[1]))

    def verify(document: dict[str, Any]) -> int:
        (tmp_path / "receipt").write_text(json.dumps(document))
        options = ["--message", str(tmp_path / "message"), "--key", str(tmp_path / "jwks")]
        command = [*XIEBAN, "verify", str(tmp_path / "receipt"), *options]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert verify(receipt) == 0
    assert verify(receipt | {"accepted": "2020-01-01T00:00:00Z"}) == 1
    assert verify(receipt | {"log": receipt["log"] | {"index": receipt["log"]["index"] + 1}}) == 1


def test_known_bytes_get_their_first_receipt_and_a_reused_id_is_refused(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    event = here.event("request", uuid7(), there, example(here, "request"))
    token = here.sign(json.dumps(event).encode())
    first = here.call("POST", "/v1/messages", token)
    again = here.call("POST", "/v1/messages", token)
    assert (first[0], again[0]) == (201, 200)
    assert first[1] == again[1]
    status, problem = here.send(event | {"subject": uuid7()})
    assert (status, problem["type"]) == (409, "/problems/id-reused")


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"time": "2020-01-01T00:00:00Z"}, 422, "time-out-of-range"),
        ({"recipients": "999999-health"}, 422, "recipients-invalid"),
        ({"hub": "440000-hub"}, 422, "other-hub"),
        ({"type": "case-assistance.nonsense"}, 422, "type-unknown"),
        ({"foo": 1}, 422, "envelope-invalid"),
        ({"source": "110101-health"}, 401, "sender-unknown"),
    ],
)
def test_what_does_not_fit_gets_its_own_problem(
    bureaus: tuple[Outsider, Outsider], change: dict[str, Any], status: int, code: str
) -> None:
    here, there = bureaus
    event = here.event("request", uuid7(), there, example(here, "request"))
    answer = here.send(event | change)
    assert (answer[0], answer[1]["type"]) == (status, f"/problems/{code}")


def test_a_repealed_basis_is_refused_saying_since_when(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    data = example(here, "request") | {"legal_basis": {"instrument": "sc-555-2009"}}
    status, problem = here.send(here.event("request", uuid7(), there, data))
    assert (status, problem["type"]) == (422, "/problems/basis-repealed")
    assert "2021" in problem["detail"]


def test_what_the_flow_does_not_allow_and_strangers_are_refused(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    case, _, _ = opened(here, there)
    status, problem = here.send(here.event("close", case, there, example(here, "close")))
    assert (status, problem["type"]) == (409, "/problems/not-allowed-now")
    assert "case-assistance.withdraw" in {action["type"] for action in problem["allowed_actions"]}
    status, problem = here.send(here.event("accept", case, there, example(here, "accept")))
    assert (status, problem["type"]) == (403, "/problems/role-not-allowed")
    status, problem = here.send(here.event("request", case, there, example(here, "request")))
    assert (status, problem["type"]) == (409, "/problems/case-exists")


def test_arbitrary_bytes_never_give_a_server_error(bureaus: tuple[Outsider, Outsider]) -> None:
    here, _ = bureaus
    for body in (b"", b"x", b"a.b.c", b"\xff" * 100, b"." * 5000, b"e30.e30.e30"):
        assert 400 <= here.call("POST", "/v1/messages", body)[0] < 500


def test_a_batch_answers_line_by_line(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    lines = [
        here.sign(json.dumps(here.event("request", uuid7(), there, example(here, "request"))).encode())
        for _ in range(20)
    ]
    lines.insert(3, b"nonsense")
    status, body = here.call("POST", "/v1/messages/batch", b"\n".join(lines), "application/x-ndjson")
    assert status == 200
    answers = [json.loads(line) for line in body.splitlines()]
    assert len(answers) == 21
    assert answers[3]["status"] == 400
    assert all("log" in answer for number, answer in enumerate(answers) if number != 3)


def test_killed_hard_a_hub_loses_nothing_and_its_audit_passes(
    bureaus: tuple[Outsider, Outsider], hub: RunningHub
) -> None:
    here, there = bureaus
    case, event, receipt = opened(here, there)
    hub.process.kill()
    hub.process.wait()
    hub.start()
    status, again = here.call("GET", f"/v1/messages/{here.id}/{event['id']}/receipt")
    assert (status, again["log"]["entry"]) == (200, receipt["log"]["entry"])
    audit = hub.run("audit", "--data", str(hub.data))
    assert audit.returncode == 0, audit.stderr
    assert here.call("GET", f"/v1/cases/{case}")[1]["state"] == "requested"


def test_a_database_killed_hard_comes_back_and_every_receipt_stands(
    bureaus: tuple[Outsider, Outsider], hub: RunningHub
) -> None:
    here, there = bureaus
    receipts = []
    for number in range(30):
        event = here.event("request", uuid7(), there, example(here, "request"))
        token = here.sign(json.dumps(event).encode())
        if number == 10:
            pid = int((hub.data / "postgres" / "postmaster.pid").read_text().splitlines()[0])
            os.kill(pid, signal.SIGKILL)
        for _ in range(60):
            status, answer = here.call("POST", "/v1/messages", token)
            if status != 503:
                break
            time.sleep(0.5)
        assert status in (200, 201), answer
        receipts.append((event["id"], answer))
    for id, receipt in receipts:
        status, again = here.call("GET", f"/v1/messages/{here.id}/{id}/receipt")
        assert (status, again["log"]["entry"]) == (200, receipt["log"]["entry"])
    assert hub.run("audit", "--data", str(hub.data)).returncode == 0


def test_the_audit_sees_a_row_changed_behind_the_logs_back(bureaus: tuple[Outsider, Outsider], hub: RunningHub) -> None:
    here, there = bureaus
    opened(here, there)

    async def tamper(statement: str) -> None:
        connection = await asyncpg.connect(embedded.dsn(hub.data))
        await connection.execute(statement)
        await connection.close()

    asyncio.run(tamper("UPDATE message SET jws = jws || 'x' WHERE log_index = (SELECT max(log_index) FROM message)"))
    audit = hub.run("audit", "--data", str(hub.data))
    assert audit.returncode == 1
    assert "does not fit its digest" in audit.stderr


def test_a_seal_that_only_a_replaced_key_opens_is_refused_even_where_the_old_key_is_remembered(
    hub: RunningHub,
) -> None:
    here, there = Outsider("411081-health", hub.url), Outsider("320506-health", hub.url)
    hub.enrol([here.record(), there.record()])
    case, _, _ = here.open_case(there)  # the worker has both in its memory now
    late = here.event("withdraw", case, there, here.example("withdraw"))
    there.sealing = jwk.JWK.generate(kty="OKP", crv="X25519")
    hub.enrol([there.record()])
    status, problem = here.send(late)
    assert (status, problem["type"]) == (422, "/problems/sealing-invalid")
    assert "320506-health" in problem["errors"][0]["message"]
    assert here.send(here.event("withdraw", case, there, here.example("withdraw")))[0] == 201
