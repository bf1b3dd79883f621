"""Keys that change while work goes on: nothing is refused meanwhile, nothing becomes unreadable afterwards."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from adapters import evidence as evidences
from adapters.client import Client, Refused
from hub.identity import hub_key
from keys import jwk
from keys.errors import BadSeal
from keys.jwk import DecryptionKey, SigningKey
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, opened
from tests.conftest import RunningHub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")


@pytest.fixture(scope="module", autouse=True)
def everybody(hub: RunningHub) -> None:
    enrolled(hub, HERE, THERE)


def registered(hub: RunningHub, bureau: Bureau, *keys: SigningKey | DecryptionKey) -> None:
    """Make these keys, and no others, the bureau's in the directory."""
    hub.enrol([bureau.record() | {"jwks": jwk.public_jwks([key.public for key in keys])}])


async def sending(client: Client, done: list[str], until: asyncio.Event) -> None:
    while not until.is_set():
        data, sealed = example("case-assistance", "request"), content("case-assistance", "request")
        sent = await client.open_case(THERE.id, data, sealed)
        done.append(sent.id)


async def test_a_signing_key_is_rotated_under_load_and_nothing_is_refused(hub: RunningHub) -> None:
    """The new key beside the old, senders change over one by one, the old key goes; a refusal would end the test."""
    old, new = HERE.signing, jwk.generate_signing("ES256")
    by_old: list[str] = []
    by_new: list[str] = []
    stop_old, stop_new = asyncio.Event(), asyncio.Event()
    async with HERE.client() as one, Client(hub.url, HERE.id, new, [HERE.sealing]) as other:
        async with asyncio.TaskGroup() as senders:
            senders.create_task(sending(one, by_old, stop_old))
            await asyncio.to_thread(registered, hub, HERE, old, new, HERE.sealing)
            senders.create_task(sending(other, by_new, stop_new))
            await asyncio.sleep(0.5)
            stop_old.set()
            while len(by_new) < 2:
                await asyncio.sleep(0.05)
            await asyncio.to_thread(registered, hub, HERE, new, HERE.sealing)
            stop_new.set()
        assert by_old and by_new
        with pytest.raises(Refused) as refused:
            await one.open_case(THERE.id, example("case-assistance", "request"), content("case-assistance", "request"))
        assert refused.value.reason == "key-not-valid"
    HERE.signing = new
    received: Sequence[str] = []
    async with THERE.client() as there:  # whoever comes later verifies each by the key of its time
        while (page := await there.poll(len(received), limit=500)).items:
            received = [*received, *(item.event.id for item in page.items)]
        proof = await evidences.gather(there, (await there.message(HERE.id, by_old[0])).event.subject)
    assert set(by_old) | set(by_new) <= set(received)
    assert evidences.check(proof, [hub_key(hub.data).public], catalogue()).findings == []
    assert audited(hub) == ""


async def test_a_key_ends_at_its_time_and_what_it_signed_stays_verifiable(hub: RunningHub) -> None:
    ending = jwk.generate_signing("Ed25519", None, datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=4))
    own, HERE.signing = HERE.signing, ending
    hub.enrol([HERE.record()])
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    assert ending.public.expires is not None
    await asyncio.sleep(max(0.0, (ending.public.expires - datetime.now(UTC)).total_seconds()))
    with pytest.raises(Refused) as refused:
        await opened(HERE, "case-assistance", "request", [THERE.id])
    assert refused.value.reason == "key-not-valid"
    async with THERE.client() as there:
        assert (await there.message(HERE.id, sent.id)).event.id == sent.id
    HERE.signing = own
    hub.enrol([HERE.record()])
    await opened(HERE, "case-assistance", "request", [THERE.id])


async def test_an_encryption_key_is_changed_and_the_old_one_still_reads(hub: RunningHub) -> None:
    """A sender that still knows the old key is told so and seals anew; what lies in the mailbox stays readable."""
    old, new = THERE.sealing, jwk.generate_encryption("P-256")
    data, sealed = example("case-assistance", "request"), content("case-assistance", "request")
    async with HERE.client() as here:
        before = await here.open_case(THERE.id, data, sealed)
        await asyncio.to_thread(registered, hub, THERE, THERE.signing, new)
        after = await here.open_case(THERE.id, data, sealed)
    async with Client(hub.url, THERE.id, THERE.signing, [new, old]) as both:
        for sent in (before, after):
            assert both.unseal(await both.message(HERE.id, sent.id)) == sealed
    async with Client(hub.url, THERE.id, THERE.signing, [old]) as late:
        assert late.unseal(await late.message(HERE.id, before.id)) == sealed
        with pytest.raises(BadSeal):
            late.unseal(await late.message(HERE.id, after.id))
    THERE.sealing = new


@pytest.mark.parametrize("by", ["reply", "reply_in"])
async def test_an_answer_sealed_to_keys_of_a_moment_ago_is_sealed_again(hub: RunningHub, by: str) -> None:
    """The client has the asker's key in mind; the asker changes it, and the answer reaches it all the same."""
    there, data, told = Bureau("440307-health"), {"outcome": "established"}, {"narrative": "经查属实。"}
    enrolled(hub, there)
    sent = await opened(there, "case-assistance", "request", [HERE.id])
    async with HERE.client() as here:
        (item,) = [one for one in await mailbox(HERE) if one.event.id == sent.id]
        await here.reply(item, "accept", {})
        stale = await here.prepare_reply(sent.case, "answer", data, told)
        there.sealing = jwk.generate_encryption()
        enrolled(hub, there)
        with pytest.raises(Refused) as refused:
            await here.resend(stale)
        assert refused.value.resealable
        if by == "reply":
            await here.reply(item, "answer", data, told)
        else:
            await here.reply_in(sent.case, "answer", data, told)
        with pytest.raises(Refused) as refused:  # what is refused for another reason is refused once
            await here.reply(item, "accept", {})
        assert not refused.value.resealable
    _, answer = [one for one in await mailbox(there) if one.event.subject == sent.case]
    async with there.client() as client:
        assert client.unseal(answer) == told
