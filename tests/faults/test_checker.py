"""The checker finds what it is there for: a true history, broken in one way at a time."""

import base64
import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub
from tests.faults.checker import Checker
from tests.faults.evidence import Attempted, Evidence, Sent, digest
from tests.faults.reading import read_all

Break = Callable[[Evidence], None]


@pytest.fixture(scope="module")
def history(hub: RunningHub) -> Evidence:
    """A case asked, accepted and answered, another withdrawn; all of it read and acknowledged."""
    here, there, auditor = (
        Outsider("411002-health", hub.url),
        Outsider("440306-health", hub.url),
        Outsider("410000-supervision", hub.url, roles=("auditor",)),
    )
    hub.enrol([one.record() for one in (here, there, auditor)])
    evidence = Evidence(here.call("GET", "/.well-known/jwks.json")[1])
    case, other = uuid7(), uuid7()
    said = [
        (here, there, case, "request"),
        (there, here, case, "accept"),
        (there, here, case, "answer"),
        (here, there, other, "request"),
        (here, there, other, "withdraw"),
        (there, here, other, "accept"),
    ]
    for number, (sender, to, subject, message) in enumerate(said):
        event = sender.event(message, subject, to, sender.example(message))
        token = sender.sign(json.dumps(event).encode())
        sent = Sent(sender.id, event["id"], subject, message, to.id, token)
        attempted = evidence.sent[sent.key] = Attempted(sent, number, number + 0.5, "taken")
        evidence.touched.add(subject)
        status, body = sender.call("POST", "/v1/messages", token)
        if status == 201:
            evidence.receipts.append((sent.key, body))
        else:
            attempted.outcome = body["type"].rpartition("/")[2]
        evidence.answered("POST /v1/messages", status, (attempted.outcome or "") if status >= 400 else "")
    for item in there.call("GET", "/v1/mailbox?after=0")[1]["items"]:
        evidence.read.append((there.id, item["position"], digest(item["message"])))
        evidence.proofs.append(there.acknowledge(item)[1]["log"])
    read_all(evidence, hub.url, auditor, (here, there))
    return evidence


def test_a_true_history_holds(history: Evidence) -> None:
    checker = Checker()
    assert checker.check(history) == []
    assert checker.checks.total() > 80
    assert [one.outcome for one in history.sent.values()] == ["taken"] * 5 + ["not-allowed-now"]


def first_mailbox(evidence: Evidence) -> list[dict[str, Any]]:
    return evidence.mailboxes["440306-health"]


def lose_the_last_entries(evidence: Evidence) -> None:
    last = evidence.receipts[-1][1]["log"]["index"]
    del evidence.entries[last:], evidence.hashes[last:]


def change_an_entry(evidence: Evidence) -> None:
    evidence.entries[8] = evidence.entries[8].replace(b"health", b"stealth")


def change_the_whole_log(evidence: Evidence) -> None:
    evidence.entries[0], evidence.entries[1] = evidence.entries[1], evidence.entries[0]
    evidence.hashes[0], evidence.hashes[1] = evidence.hashes[1], evidence.hashes[0]


def take_twice(evidence: Evidence) -> None:
    at = next(number for number, leaf in enumerate(evidence.entries) if b'"accepted"' in leaf)
    evidence.entries.append(evidence.entries[at])
    evidence.hashes.append(evidence.hashes[at])


def drop_from_a_mailbox(evidence: Evidence) -> None:
    del first_mailbox(evidence)[-1]


def leave_a_gap(evidence: Evidence) -> None:
    first_mailbox(evidence)[1]["position"] = 3


def deliver_twice(evidence: Evidence) -> None:
    first_mailbox(evidence).append(first_mailbox(evidence)[0])


def deliver_another_message(evidence: Evidence) -> None:
    first_mailbox(evidence)[0]["message"] = first_mailbox(evidence)[1]["message"]


def replace_what_was_read(evidence: Evidence) -> None:
    recipient, position, _ = evidence.read[0]
    evidence.read[0] = recipient, position, digest("something else")


def forge_a_receipt(evidence: Evidence) -> None:
    log = evidence.receipts[0][1]["log"]
    log["entry"] = base64.b64encode(base64.b64decode(log["entry"]).replace(b"health", b"stealth")).decode()


def receipt_for_nothing(evidence: Evidence) -> None:
    (key, receipt), (_, other) = evidence.receipts[:2]
    evidence.receipts[0] = key, other | {"message": receipt["message"]}


def two_receipts(evidence: Evidence) -> None:
    evidence.receipts.append((evidence.receipts[0][0], evidence.receipts[1][1]))


def forge_a_checkpoint(evidence: Evidence) -> None:
    origin, size, root, *rest = evidence.notes[0].split("\n")
    evidence.notes[0] = "\n".join([origin, str(int(size) - 1), root, *rest])


def lose_an_acknowledgement(evidence: Evidence) -> None:
    evidence.proofs[0] = evidence.proofs[0] | {"index": 0}


def state_out_of_nowhere(evidence: Evidence) -> None:
    next(iter(evidence.cases.values()))["state"] = "closed"


def forget_a_step(evidence: Evidence) -> None:
    next(iter(evidence.cases.values()))["timeline"].pop()


def forget_a_case(evidence: Evidence) -> None:
    evidence.cases.popitem()


def take_what_was_refused(evidence: Evidence) -> None:
    next(iter(evidence.sent.values())).outcome = "not-allowed-now"


def internal_error(evidence: Evidence) -> None:
    evidence.answered("GET /v1/mailbox", 500, "internal")


def no_word_when_to_come_again(evidence: Evidence) -> None:
    evidence.answered("GET /v1/mailbox", 503, "without Retry-After")


BREAKS: dict[Break, str] = {
    lose_the_last_entries: "nothing acknowledged is lost",
    change_an_entry: "entries are what is published",
    change_the_whole_log: "every checkpoint is of this log",
    take_twice: "nothing is taken twice",
    drop_from_a_mailbox: "all that the log delivers is in the mailbox",
    leave_a_gap: "mailboxes have no gap",
    deliver_twice: "all that the log delivers is in the mailbox",
    deliver_another_message: "receipts are of their messages",
    replace_what_was_read: "what was read at a position stays there",
    forge_a_receipt: "receipts verify offline",
    receipt_for_nothing: "receipts verify offline",
    two_receipts: "the same bytes get the first receipt",
    forge_a_checkpoint: "every checkpoint is of this log",
    lose_an_acknowledgement: "acknowledgements are proven",
    state_out_of_nowhere: "a case is where its messages bring it",
    forget_a_step: "a case tells the messages that the log has",
    forget_a_case: "every opened case is there",
    take_what_was_refused: "what was refused was not taken",
    internal_error: "every answer is a good one",
    no_word_when_to_come_again: "every answer is a good one",
}


@pytest.mark.parametrize("broken", BREAKS, ids=lambda broken: broken.__name__)
def test_a_broken_history_is_found(history: Evidence, broken: Break) -> None:
    evidence = copy.deepcopy(history)
    broken(evidence)
    checker = Checker()
    checker.check(evidence)
    assert BREAKS[broken] in {finding.invariant for finding in checker.findings}
