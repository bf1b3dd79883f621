"""Calls at the same time: whatever the hub answers is what it would have answered one after the other, in log order."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import aiohttp
import pytest

from adapters.client import messages
from keys import jwk
from keys.jwk import SigningKey
from protocols import envelope, revocation, sealing
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example
from tests.conftest import RunningHub, running_hub
from tests.faults.linearizing import KNOWN, TAKEN, Operation, Revoke, Send, linearized

PROVINCE = Bureau("410000-supervision", roles=("supervisor",))
HERE = Bureau("411002-health", superior=PROVINCE.id)
ELSEWHERE, THERE, OTHER = (Bureau(f"{code}-health") for code in ("411003", "440306", "440307"))
HUB = "410000-hub"
ROUNDS = 6
"""How often each encounter takes place, in the short form."""


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub("--workers", "2") as running:
        enrolled(running, PROVINCE, HERE, ELSEWHERE, THERE, OTHER)
        yield running


@pytest.fixture
def rounds(pytestconfig: pytest.Config) -> range:
    return range(ROUNDS * (1 + 10 * int(pytestconfig.getoption("--fault-rounds"))))


def signed(
    sender: Bureau,
    message: str,
    case: str,
    recipients: Sequence[Bureau],
    *,
    id: str | None = None,
    signing: SigningKey | None = None,
    **changed: object,
) -> Send:
    """A message of case assistance as its sender signs it, sealed where it must be."""
    found = catalogue().latest("case-assistance")
    assert found is not None
    id, data = id or envelope.new_id(), example("case-assistance", message, **changed)
    if (sealed := content("case-assistance", message)) is not None:
        readers = found.readers_of(message, sender.id, [one.id for one in recipients], data)
        keys = [one.sealing.public for one in (sender, *recipients) if one.id in readers]
        padding = sealing.BLOCK * found.messages[message].declared.padding
        data |= sealing.seal(sender.id, id, case, sealed, keys, padding=padding)
    attributes = envelope.compose(
        id=id, source=sender.id, type=f"case-assistance.{message}", dataschema=found.messages[message].schema.id,
        subject=case, recipients=[one.id for one in recipients], hub=HUB, time=datetime.now(UTC), data=data,
        causationid=None, expirytime=None,
    )  # fmt: skip
    return Send(messages.sign(attributes, signing or sender.signing).compact)


async def recorded(hub: RunningHub, call: Send | Revoke) -> Operation:
    """Make a call on a connection of its own, and note when and what came of it."""
    if isinstance(call, Send):
        path, body = "/v1/messages", call.token
    else:
        word = revocation.revoke(PROVINCE.id, HERE.id, call.kid, HUB, PROVINCE.signing, datetime.now(UTC))
        path, body = "/v1/revocations", word.encode()
    async with aiohttp.ClientSession() as session:
        invoked = time.monotonic()
        async with session.post(hub.url + path, data=body, headers={"Content-Type": "application/jose"}) as response:
            said = await response.json(content_type=None)
        answered = time.monotonic()
    if response.status not in (200, 201):
        return Operation(call, invoked, answered, said["type"].rpartition("/")[2])
    index = said["log"]["index"] if response.status == 201 else None
    return Operation(call, invoked, answered, TAKEN if response.status == 201 else KNOWN, index)


async def at_once(hub: RunningHub, *calls: Send | Revoke) -> list[Operation]:
    """All calls at the same time."""
    return await asyncio.gather(*(recorded(hub, call) for call in calls))


async def opened(hub: RunningHub, case: str) -> list[Operation]:
    """HERE asks THERE."""
    return await at_once(hub, signed(HERE, "request", case, [THERE]))


def outcomes(history: Sequence[Operation]) -> list[str]:
    return sorted(str(one.outcome) for one in history)


async def test_of_two_openers_of_one_case_one_opens_it(hub: RunningHub, rounds: range) -> None:
    for _ in rounds:
        case = envelope.new_id()
        calls = [signed(opener, "request", case, [THERE]) for opener in (HERE, ELSEWHERE)]
        history = await at_once(hub, *calls)
        assert outcomes(history) == ["case-exists", TAKEN]
        assert linearized(history)


async def test_of_two_answers_by_one_responder_one_counts(hub: RunningHub, rounds: range) -> None:
    for _ in rounds:
        case = envelope.new_id()
        history = await opened(hub, case)
        said = [signed(THERE, message, case, [HERE]) for message in ("accept", "decline", "accept")]
        history += await at_once(hub, *said)
        assert outcomes(history).count(TAKEN) == 2
        assert linearized(history)


async def test_forward_and_withdraw_at_once_and_both_responders(hub: RunningHub, rounds: range) -> None:
    for _ in rounds:
        case = envelope.new_id()
        history = await opened(hub, case)
        calls = [
            signed(THERE, "forward", case, [HERE, OTHER], to=OTHER.id),
            signed(HERE, "withdraw", case, [THERE]),
            signed(THERE, "accept", case, [HERE]),
            signed(OTHER, "accept", case, [HERE]),
        ]
        random.shuffle(calls)
        history += await at_once(hub, *calls)
        assert linearized(history), history


async def test_one_id_from_two_connections_is_one_message(hub: RunningHub, rounds: range) -> None:
    for _ in rounds:
        case, id = envelope.new_id(), envelope.new_id()
        same, other = (signed(HERE, "request", case, [THERE], id=id) for _ in range(2))
        history = await at_once(hub, same, same, other, same)
        assert outcomes(history) in (["id-reused", KNOWN, KNOWN, TAKEN], ["id-reused", "id-reused", "id-reused", TAKEN])
        assert linearized(history)


async def test_what_a_key_signs_while_it_is_revoked_is_taken_before_or_refused_after(
    hub: RunningHub, rounds: range
) -> None:
    for _ in rounds[::3]:
        key = HERE.signing
        calls: list[Send | Revoke] = [signed(HERE, "request", envelope.new_id(), [THERE]) for _ in range(12)]
        history = await at_once(hub, *calls[:6], Revoke(key.kid), *calls[6:])
        history += await at_once(hub, signed(HERE, "request", envelope.new_id(), [THERE]))
        assert history[-1].outcome == "key-not-valid", history[-1]
        assert linearized(history), [(one.outcome, one.index) for one in history]
        HERE.signing = jwk.generate_signing()
        hub.enrol([HERE.record()])


def test_the_log_of_all_that_holds(hub: RunningHub) -> None:
    assert not audited(hub)


told = Operation


def test_a_history_that_no_order_explains_is_found() -> None:
    case = envelope.new_id()
    ask, twice = signed(HERE, "request", case, [THERE]), signed(ELSEWHERE, "request", case, [THERE])
    accept, withdraw = signed(THERE, "accept", case, [HERE]), signed(HERE, "withdraw", case, [THERE])
    nowhere = signed(HERE, "update", envelope.new_id(), [THERE])
    begun = told(ask, 0, 1, TAKEN, 0)
    fine = [
        [begun, told(accept, 2, 3, TAKEN, 1), told(withdraw, 2, 3, TAKEN, 2)],
        [begun, told(withdraw, 2, 3, TAKEN, 1), told(accept, 2, 3, "not-allowed-now")],
        [begun, told(withdraw, 2, None, None), told(accept, 4, 5, "not-allowed-now")],
        [begun, told(withdraw, 2, None, None), told(accept, 4, 5, TAKEN, 1)],
        [told(Revoke(HERE.signing.kid), 0, 9, TAKEN, 1), told(ask, 0, 9, TAKEN, 0)],
    ]
    broken = {
        "two openers of one case": [begun, told(twice, 0, 1, TAKEN, 1)],
        "accepted after it was withdrawn": [begun, told(withdraw, 2, 3, TAKEN, 1), told(accept, 4, 5, TAKEN, 2)],
        "refused for what came later": [begun, told(accept, 2, 3, "not-allowed-now"), told(withdraw, 4, 5, TAKEN, 1)],
        "answered before the question": [told(accept, 0, 1, TAKEN, 0), told(ask, 2, 3, TAKEN, 1)],
        "the same bytes taken twice": [begun, told(ask, 0, 1, TAKEN, 1)],
        "known before it was sent": [told(ask, 0, 1, KNOWN), told(ask, 2, 3, TAKEN, 0)],
        "another order in the log": [begun, told(accept, 2, 3, TAKEN, 2), told(withdraw, 4, 5, TAKEN, 1)],
        "taken with a revoked key": [told(Revoke(HERE.signing.kid), 0, 1, TAKEN, 0), told(ask, 2, 3, TAKEN, 1)],
        "in a case that was never opened": [begun, told(nowhere, 2, 3, TAKEN, 1)],
    }
    assert [number for number, history in enumerate(fine) if linearized(history) is None] == []
    assert [name for name, history in broken.items() if linearized(history) is not None] == []
