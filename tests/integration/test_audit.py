"""What is changed, dropped or invented behind the log's back is seen by the audit, whichever table it is in."""

import asyncio
import hashlib
import json
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import asyncpg
import pytest

from hub import enrolment, entering
from hub.arrangements.entering import declare
from hub.audit import audit
from hub.identity import Identity, establish, hub_key
from hub.intake.advance import enter
from hub.intake.ledger import Counter, Ledger
from hub.intake.store import store
from hub.organisations import load
from hub.store import Connection, embedded
from hub.store.queries import SQL
from keys import jwk, jws
from keys.jwk import SigningKey
from protocols import deadlines, delegation, envelope, flow, revocation
from protocols.entries import KeyCompromised, KeyRemoved
from protocols.flow import Transition
from protocols.loading import catalogue
from tests.acceptance.outsider import Outsider, uuid7
from tests.conftest import RunningHub


@pytest.fixture(scope="module")
def worked(hub: RunningHub) -> RunningHub:
    """A hub with some of everything: cases, acknowledgements, complete tiles, a removed key."""
    here, there = Outsider("411002-health", hub.url), Outsider("440306-health", hub.url, "P-256")
    hub.enrol([here.record(), there.record()])
    case, _, _ = here.open_case(there)
    assert there.send(there.event("accept", case, here, there.example("accept")))[0] == 201
    lines = [
        here.sign(json.dumps(here.event("update", case, there, here.example("update"))).encode()) for _ in range(260)
    ]
    status, _ = here.call("POST", "/v1/messages/batch", b"\n".join(lines), "application/x-ndjson")
    assert status == 200
    page = there.call("GET", "/v1/mailbox?limit=100")[1]
    assert there.acknowledge(page["items"][-1])[0] == 200
    there.call("GET", "/v1/mailbox?limit=100&after=100")
    there.call("GET", "/v1/mailbox?limit=100&after=150")
    another = Outsider("440307-health", hub.url)
    hub.enrol([another.record()])
    hub.enrol([another.record() | {"jwks": {"keys": []}}])
    now = int(time.time())
    word = {"iss": here.id, "sub": there.id, "aud": "410000-hub", "jti": uuid7(), "iat": now, "nbf": now}
    token = here.sign(json.dumps(word | {"exp": now + 3600, "scope": "mailbox"}).encode(), delegation.TYP, None)
    assert here.call("POST", "/v1/delegations", token, "application/jose")[0] == 201
    asyncio.run(postponed(hub, case))
    return hub


async def postponed(hub: RunningHub, case: str) -> None:
    """The case's due date moved by an outage."""
    connection = await asyncpg.connect(embedded.dsn(hub.data))
    day = await connection.fetchval("SELECT due FROM case_file WHERE case_id = $1", case)
    identity = await establish(connection, "410000-hub", hub_key(hub.data))
    await declare(connection, identity, deadlines.start_of(day), deadlines.end_of(day))
    async with asyncio.timeout(30):
        while not await connection.fetchval("SELECT count(*) FROM due_change"):
            await asyncio.sleep(0.2)
    await connection.close()


TAMPERINGS = {
    "a delegation dropped": ("DELETE FROM delegation", "differs from the log"),
    "a delegation ended": (
        "UPDATE delegation SET ended = now(), ended_index = 5, ended_size = 9",
        "differs from the log",
    ),
    "a message changed": (
        "UPDATE message SET jws = jws || 'x' WHERE log_index = (SELECT max(log_index) FROM message)",
        "does not fit its digest",
    ),
    "a message dropped": ("DELETE FROM message WHERE log_index = 5", "message at 5 is gone"),
    "a message invented": (
        "INSERT INTO message SELECT gen_random_uuid(), 9999, accepted, jws FROM message LIMIT 1",
        "rows in message where",
    ),
    "a key of a message dropped": (
        "DELETE FROM message_key WHERE log_index = 5",
        "is not known by its source and id",
    ),
    "a key of a message invented": (
        "INSERT INTO message_key SELECT source, gen_random_uuid(), signing_input, digest, case_id, 9999, tree_size,"
        " accepted FROM message_key LIMIT 1",
        "rows in message_key where",
    ),
    "an entry changed": (
        "UPDATE log_entry SET leaf = replace(encode(leaf, 'escape'), 'health', 'wealth')::bytea WHERE index = 5",
        "does not fit the entries",
    ),
    "an entry dropped": ("DELETE FROM log_entry WHERE index = 5", "log entry 5 is missing"),
    "the last entry dropped": (
        "DELETE FROM log_entry WHERE index = (SELECT max(index) FROM log_entry)",
        "is missing",
    ),
    "an entry invented": (
        "INSERT INTO log_entry SELECT 99999, leaf FROM log_entry WHERE index = 5",
        "entries are stored where the log has",
    ),
    "a tile changed": (
        "UPDATE log_tile SET hashes = set_byte(hashes, 7, (get_byte(hashes, 7) + 1) % 256) WHERE level = 0",
        "tile 0/0 does not fit",
    ),
    "a tile invented": (
        "INSERT INTO log_tile SELECT level, 77, hashes, root FROM log_tile",
        "tiles are stored where the log has",
    ),
    "a checkpoint changed": (
        "UPDATE log_checkpoint SET note = replace(note, '410000', '440000') WHERE size ="
        " (SELECT max(size) FROM log_checkpoint)",
        "checkpoint",
    ),
    "the head turned back": (
        "UPDATE log_head SET size = size - 1",
        "does not fit",
    ),
    "a position moved": (
        "UPDATE mailbox SET position = 9999 WHERE recipient = '440306-health' AND position = 7",
        "position 7 of 440306-health does not hold",
    ),
    "a position invented": (
        "INSERT INTO mailbox SELECT recipient, 9999, case_id, log_index, tree_size, source, id, digest, accepted"
        " FROM mailbox LIMIT 1",
        "mailbox rows where",
    ),
    "a position marked expired": (
        "UPDATE mailbox SET expired = true WHERE recipient = '440306-health' AND position = 250",
        "the log does not say so",
    ),
    "a counter moved": (
        "UPDATE mailbox_counter SET acknowledged = acknowledged + 1 WHERE recipient = '440306-health'",
        "counter of 440306-health differs",
    ),
    "a mark dropped": (
        "DELETE FROM mailbox_mark WHERE kind = 'acknowledged'",
        "mailbox marks where",
    ),
    "a case put into another state": (
        "UPDATE case_file SET state = 'closed'",
        "is not what its messages make it",
    ),
    "a case's record changed": (
        "UPDATE case_file SET record = replace(record, '440306', '440307')",
        "is not what its messages make it",
    ),
    "a case dropped": ("DELETE FROM case_file", "is gone"),
    "a step's due date moved": (
        "UPDATE case_step SET due = due + 1 WHERE log_index = (SELECT min(log_index) FROM case_step)",
        "the step of entry",
    ),
    "a due date that did not move": ("DELETE FROM due_change", "due dates moved where"),
    "an outage dropped": ("DELETE FROM arrangement", "arrangements where"),
    "a key swapped": (
        "UPDATE organisation_key SET jwk = (SELECT jwk FROM organisation_key WHERE organisation = '411002-health'"
        " LIMIT 1) WHERE organisation = '440306-health'",
        "of 440306-health differs from the log",
    ),
    "a removed key brought back": (
        "UPDATE organisation_key SET removed = NULL WHERE organisation = '440307-health'",
        "of 440307-health differs from the log",
    ),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_the_audit_sees(worked: RunningHub, name: str) -> None:
    statement, finding = TAMPERINGS[name]

    async def tamper() -> list[str]:
        """Change it, audit, and take the change back."""
        connection = await asyncpg.connect(embedded.dsn(worked.data))
        key = hub_key(worked.data).public
        assert (await audit(connection, key)).findings == []
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            done = await connection.execute(statement)
            assert not done.endswith(" 0"), "nothing was changed"
            return (await audit(connection, key)).findings
        finally:
            await transaction.rollback()
            await connection.close()

    findings = asyncio.run(tamper())
    assert any(finding in found for found in findings), findings[:10]


def test_the_audit_sees_a_message_that_the_hub_itself_made_up(worked: RunningHub) -> None:
    """Even whoever holds the hub's key and its database can't put words into a bureau's mouth."""

    async def invent() -> list[str]:
        connection = await asyncpg.connect(embedded.dsn(worked.data))
        key = hub_key(worked.data)
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await _forge(connection, key)
            return (await audit(connection, key.public)).findings
        finally:
            await transaction.rollback()
            await connection.close()

    findings = asyncio.run(invent())
    assert [found for found in findings if "is not signed by 411002-health" in found] == findings


async def _forge(connection: Connection, key: SigningKey) -> None:
    """A withdrawal of the bureau's case, signed with the hub's key, entered with everything that belongs to it."""
    head = await connection.fetchrow(SQL["lock_head"], "0")
    row = await connection.fetchrow("SELECT record, moves FROM case_file")
    assert head is not None and row is not None
    directory, origin = await load(connection), head["origin"]
    ledger = Ledger(now=head["now"], size=head["size"], directory=directory, origin=origin)
    case = ledger.read(row)
    ledger.cases[case.id] = case
    protocol = catalogue().protocols["case-assistance", "1.0"]
    event = envelope.compose(
        source="411002-health",
        type="case-assistance.withdraw",
        dataschema=protocol.messages["withdraw"].schema.id,
        subject=case.id,
        recipients=["440306-health"],
        hub="410000-hub",
        time=head["now"],
        data=protocol.messages["withdraw"].schema.document["examples"][0],
    )
    token = jws.sign(envelope.encode(event), key, typ=envelope.TYP, cty=envelope.CTY)
    counter = await connection.fetchrow("SELECT * FROM mailbox_counter WHERE recipient = '440306-health'")
    assert counter is not None
    ledger.counters["440306-health"] = Counter(*list(counter)[1:])
    outcome = flow.advance(protocol.flow, case, envelope.event(event), head["now"])
    assert isinstance(outcome, Transition)
    digest = hashlib.sha256(token.rpartition(b".")[0]).digest()
    enter(ledger, envelope.event(event), token, digest, outcome.case, outcome.before, outcome.due)
    identity = Identity("410000-hub", key)
    await store(connection, ledger, identity)


CITY, BUREAU, HUB = "411000-supervision", "411003-health", "410000-hub"
ITS, LOST = jwk.generate_signing(), jwk.generate_signing()


def said(now: datetime, key: SigningKey = ITS, kid: str = LOST.kid, since: datetime | None = None) -> str:
    return revocation.revoke(CITY, BUREAU, kid, HUB, key, now, since)


REVOKED: dict[str, tuple[Callable[[datetime], str | None], bool, str | None]] = {
    "by the operator": (lambda now: None, False, None),
    "by the city": (said, False, None),
    "by the city, as leaked": (lambda now: said(now, since=now), True, None),
    "in the city's name": (lambda now: said(now, jwk.generate_signing()), False, "No key with this kid"),
    "as another key": (lambda now: said(now, kid=ITS.kid), False, "something else than its statement"),
    "by words long over": (lambda now: said(now - timedelta(days=1)), False, "it is over already"),
    "as leaked, which nobody said": (said, True, "something else than its statement"),
    "as leaked, which is kept back": (lambda now: said(now, since=now), False, "is not marked as leaked"),
    "by what is no statement": (lambda now: "a.b.c", False, "can't be read"),
}


@pytest.mark.parametrize("how", REVOKED)
def test_the_audit_sees_whether_a_revocation_is_its_signers_word(worked: RunningHub, how: str) -> None:
    make, marked, finding = REVOKED[how]

    async def entered() -> list[str]:
        connection = await asyncpg.connect(embedded.dsn(worked.data))
        key = hub_key(worked.data)
        transaction = connection.transaction(isolation="repeatable_read")
        await transaction.start()
        try:
            await _revoke(connection, key, make, marked)
            return (await audit(connection, key.public)).findings
        finally:
            await transaction.rollback()
            await connection.close()

    findings = asyncio.run(entered())
    assert (findings == []) if finding is None else any(finding in found for found in findings), findings


async def _revoke(
    connection: Connection, key: SigningKey, make: Callable[[datetime], str | None], marked: bool
) -> None:
    """A key revoked by a hub that judges nothing: whatever statement it was given, or made up."""
    identity = Identity(HUB, key)
    records = [Outsider(CITY, "").record() | {"jwks": jwk.public_jwks([ITS.public])}]
    records += [Outsider(BUREAU, "", superior=CITY).record() | {"jwks": jwk.public_jwks([LOST.public])}]
    await enrolment.enrol(connection, identity, enrolment.parse(json.dumps(records).encode()))
    ledger = await entering.opened(connection)
    statement = make(ledger.now)
    ledger.append(KeyRemoved(BUREAU, LOST.kid, ledger.at, statement))
    await connection.execute(SQL["remove_keys"], BUREAU, [LOST.kid], ledger.now)
    if marked:
        ledger.append(KeyCompromised(BUREAU, LOST.kid, ledger.at, ledger.at, statement))
        await connection.execute(SQL["compromise_key"], BUREAU, LOST.kid, ledger.now)
    await entering.finish(connection, identity, ledger)
