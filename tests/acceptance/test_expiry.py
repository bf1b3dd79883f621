"""A message with an `expirytime` that nobody fetched in time: a tombstone, a log entry, and word to its sender."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from jwcrypto import jwk, jws

from tests.acceptance.outsider import Outsider
from tests.conftest import RunningHub


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> tuple[Outsider, Outsider]:
    here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url, "P-256")
    hub.enrol([here.record(), there.record()])
    return here, there


def remind(here: Outsider, there: Outsider, seconds: float) -> dict[str, Any]:
    """Send a reminder that expires soon; its event."""
    case, _, _ = here.open_case(there)
    expiry = (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()
    event = here.event("remind", case, there, here.example("remind"), expirytime=expiry)
    event["data"] = {name: value for name, value in event["data"].items() if not name.startswith("sealed")}
    status, answer = here.send(event)
    assert status == 201, answer
    return event


def mailbox(bureau: Outsider) -> list[dict[str, Any]]:
    status, page = bureau.call("GET", "/v1/mailbox?limit=500")
    assert status == 200
    return list(page["items"])


def events(bureau: Outsider, event: dict[str, Any]) -> list[dict[str, Any]]:
    status, answer = bureau.call("GET", f"/v1/messages/{event['source']}/{event['id']}/events")
    assert status == 200
    return [found["entry"] for found in answer["events"]]


def test_what_expired_unread_leaves_a_tombstone_a_log_entry_and_word_to_its_sender(
    bureaus: tuple[Outsider, Outsider], hub: RunningHub
) -> None:
    here, there = bureaus
    event = remind(here, there, 1.0)
    position = len(mailbox(here)) + 1
    for _ in range(100):
        if len(told := mailbox(here)) >= position:
            break
        time.sleep(0.1)
    assert "message" not in mailbox(there)[-1]
    assert mailbox(there)[-1]["expired"] is True
    assert [entry["kind"] for entry in events(here, event)] == ["accepted", "expired"]
    notice = jws.JWS()
    notice.allowed_algs = ["Ed25519", "EdDSA"]
    notice.deserialize(told[-1]["message"])
    (hub_key,) = here.call("GET", "/v1/organisations/410000-hub/jwks.json")[1]["keys"]
    notice.verify(jwk.JWK(**hub_key))
    said = jws.json_decode(notice.payload)
    assert (said["type"], said["source"], said["causationid"]) == (
        "case-assistance.undelivered",
        "410000-hub",
        event["id"],
    )
    assert said["data"] == {
        "message": event["id"],
        "recipient": there.id,
        "position": mailbox(there)[-1]["position"],
        "reason": "expired",
    }
    audit = hub.run("audit", "--data", str(hub.data))
    assert audit.returncode == 0, audit.stderr


def test_what_was_fetched_in_time_is_handed_out_no_more_but_was_delivered(
    bureaus: tuple[Outsider, Outsider], hub: RunningHub
) -> None:
    here, there = bureaus
    event = remind(here, there, 2.0)
    item = mailbox(there)[-1]
    status, _ = there.call("GET", f"/v1/mailbox?after={item['position']}")
    assert status == 200
    before = len(mailbox(here))
    time.sleep(4)
    assert mailbox(there)[-1] == {"position": item["position"], "expired": True}
    assert [entry["kind"] for entry in events(here, event)] == ["accepted", "fetched"]
    assert len(mailbox(here)) == before
    assert hub.run("audit", "--data", str(hub.data)).returncode == 0


def test_a_message_that_changes_the_case_can_not_expire(bureaus: tuple[Outsider, Outsider]) -> None:
    here, there = bureaus
    case, _, _ = here.open_case(there)
    expiry = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    status, problem = there.send(there.event("accept", case, here, there.example("accept"), expirytime=expiry))
    assert (status, problem["type"]) == (422, "/problems/envelope-invalid")
    assert problem["errors"][0]["pointer"] == "/expirytime"
