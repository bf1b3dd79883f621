"""A gateway signs for an organisation: within the scope and time it signed for, seen by everybody."""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from adapters import evidence as evidences
from adapters.client import Client, DeliveryInvalid, Refused
from adapters.client.connection import Connection
from adapters.client.directory import Directory
from adapters.client.notary import Notary
from adapters.client.signatories import Signatories
from adapters.client.words import Words
from hub.identity import hub_key
from keys import jwk
from keys.jwk import SigningKey
from protocols import delegation, entries, envelope, receipt
from protocols.delegation import MAILBOX
from protocols.entries import Accepted, Delegated
from protocols.loading import catalogue
from tests.acceptance.bureaus import Bureau, audited, content, enrolled, example, mailbox, opened, said, view
from tests.conftest import RunningHub, running_hub

HERE, THERE, GATEWAY = Bureau("411002-health"), Bureau("440306-health"), Bureau("411000-supervision")


@pytest.fixture(scope="module")
def hub() -> Iterator[RunningHub]:
    with running_hub("--workers", "2") as running:
        enrolled(running, HERE, THERE, GATEWAY)
        yield running
        assert audited(running) == ""


def by_gateway(hub: RunningHub, **options: Any) -> Client:
    """The organisation's client on the gateway's machine, which has no signing key of the organisation."""
    return Client(hub.url, HERE.id, GATEWAY.signing, [HERE.sealing], **options)


async def request_by(client: Client) -> str:
    data, sealed = example("case-assistance", "request"), content("case-assistance", "request")
    return (await client.send("case-assistance.request", envelope.new_id(), [THERE.id], data, sealed)).case


async def given(hub: RunningHub, *scope: str, **times: timedelta) -> str:
    now = datetime.now(UTC)
    begins, ends = now + times.get("begins", timedelta(0)), now + times.get("ends", timedelta(days=1))
    async with HERE.client() as here:
        return await here.delegate(GATEWAY.id, scope, begins, ends)


async def refused_by(hub: RunningHub, reason: str) -> None:
    for _ in range(3):  # by whichever worker
        async with by_gateway(hub) as client:
            with pytest.raises(Refused) as refused:
                await request_by(client)
        assert refused.value.reason == reason


def posted(hub: RunningHub, token: str) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(hub.url + "/v1/delegations", token.encode(), {"Content-Type": "application/jose"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def test_what_a_gateway_signs_is_taken_and_everybody_sees_who_signed(hub: RunningHub) -> None:
    await refused_by(hub, "key-unknown")
    id = await given(hub, "case-assistance.*")
    async with by_gateway(hub) as client:
        case = await request_by(client)
    (item,) = [item for item in await mailbox(THERE) if item.event.subject == case]
    assert (item.event.source, item.gateway) == (HERE.id, GATEWAY.id)
    entry = entries.decode(receipt.leaf(item.receipt.log))
    assert isinstance(entry, Accepted) and entry.gateway == GATEWAY.id
    await said(THERE, case, "case-assistance", "accept")
    assert [step["gateway"] for step in (await view(HERE, case))["timeline"]] == [GATEWAY.id, None]
    async with HERE.client() as here:
        (word,) = [
            e for e in (p.entry for p in await here.key_events(HERE.id)) if isinstance(e, Delegated) and e.id == id
        ]
        proof = await evidences.gather(here, case)
        await here.end_delegation(id)
        await here.end_delegation(id)
    assert word.gateway == GATEWAY.id
    await refused_by(hub, "delegation-exceeded")
    trusted = [hub_key(hub.data).public]
    report = evidences.check(evidences.read(evidences.write(proof)), trusted, catalogue())
    assert report.findings == [] and [step.gateway for step in report.steps] == [GATEWAY.id, None]
    assert "代签" in proof.summary
    # What was taken stays what it was; without the organisation's own word it proves nothing.
    kept = [one for one in proof.keys[HERE.id] if b'"delegated"' not in base64.b64decode(one["log"]["entry"])]
    assert len(kept) < len(proof.keys[HERE.id])
    forged = replace(proof, keys=dict(proof.keys) | {HERE.id: kept})
    assert any("never let" in finding for finding in evidences.check(forged, trusted, catalogue()).findings)
    forged = replace(proof, keys={name: events for name, events in proof.keys.items() if name != GATEWAY.id})
    assert any("no such key" in finding for finding in evidences.check(forged, trusted, catalogue()).findings)


async def test_scope_and_time_are_kept(hub: RunningHub) -> None:
    ids = [await given(hub, "case-assistance.answer", "errand.*", MAILBOX)]
    await refused_by(hub, "delegation-exceeded")
    ids.append(await given(hub, "case-assistance.request", begins=timedelta(hours=1)))
    await refused_by(hub, "delegation-exceeded")
    ids.append(await given(hub, "case-assistance.request", begins=timedelta(hours=-1), ends=timedelta(seconds=3)))
    async with by_gateway(hub) as client:
        await request_by(client)
    await asyncio.sleep(3.2)
    await refused_by(hub, "delegation-exceeded")
    async with HERE.client() as here:
        for id in ids:
            await here.end_delegation(id)


async def test_reading_and_acknowledging_need_the_mailbox_in_the_scope(hub: RunningHub) -> None:
    case = (await opened(THERE, "case-assistance", "request", [HERE.id])).case
    id = await given(hub, "case-assistance.*")
    async with by_gateway(hub) as client:
        with pytest.raises(Refused) as refused:
            await client.poll(0)
        assert refused.value.reason == "delegation-exceeded"
    second = await given(hub, MAILBOX)
    async with by_gateway(hub) as client:
        page = await client.poll(0)
        assert page.items[-1].event.subject == case
        assert (await client.acknowledge(page.items[-1])).through == page.items[-1].position
        assert (await client.case(case))["state"] == "requested"
        await client.reply_in(case, "accept", example("case-assistance", "accept"))
        # What is the organisation's alone: the gateway can't pass on what it has.
        with pytest.raises(Refused) as refused:
            await client.delegate(THERE.id, [MAILBOX], datetime.now(UTC), datetime.now(UTC) + timedelta(days=1))
        assert refused.value.reason == "key-unknown"
        with pytest.raises(Refused):
            await client.end_delegation(second)
    async with HERE.client() as here:
        await here.end_delegation(id)
        await here.end_delegation(second)
    async with by_gateway(hub) as client:
        with pytest.raises(Refused):
            await client.poll(0)


async def test_a_gateway_whose_key_is_revoked_signs_no_more_and_what_it_signed_is_marked(hub: RunningHub) -> None:
    id = await given(hub, "case-assistance.*")
    since, own = datetime.now(UTC), GATEWAY.signing
    async with by_gateway(hub) as client:
        case = await request_by(client)
    options = ("--compromised-since", since.isoformat(), "--data", str(hub.data))
    assert hub.run("organisations", "revoke", GATEWAY.id, own.kid, *options).returncode == 0
    await refused_by(hub, "key-not-valid")
    assert [step["suspect"] for step in (await view(HERE, case))["timeline"]] == [True]
    GATEWAY.signing = jwk.generate_signing()
    hub.enrol([GATEWAY.record()])
    async with by_gateway(hub) as client:
        await request_by(client)
    async with HERE.client() as here:
        await here.end_delegation(id)


def statement(
    signing: SigningKey, *, source: str = HERE.id, gateway: str = GATEWAY.id, hub: str = "410000-hub",
    scope: tuple[str, ...] = (MAILBOX,), issued: timedelta = timedelta(0), days: int = 1,
) -> str:  # fmt: skip
    now = datetime.now(UTC) + issued
    return delegation.delegate(source, gateway, hub, scope, signing, now, now + timedelta(days=days), now)


async def test_what_is_wrong_with_a_delegation_is_said_and_changes_nothing(hub: RunningHub) -> None:
    stranger = jwk.generate_signing()
    ours = HERE.signing
    wrong = [
        (statement(stranger), 401, "key-unknown"),
        (statement(GATEWAY.signing), 401, "key-unknown"),
        (statement(ours, hub="440000-hub"), 422, "delegation-invalid"),
        (statement(ours, gateway="411000-health"), 422, "delegation-invalid"),
        (statement(ours, scope=("case-assistance.rumour",)), 422, "delegation-invalid"),
        (statement(ours, scope=("rumours.*",)), 422, "delegation-invalid"),
        (statement(ours, issued=timedelta(hours=-1)), 422, "delegation-invalid"),
        (statement(ours, source="411009-health"), 422, "delegation-invalid"),
        (statement(ours)[:-6] + "AAAAAA", 401, "signature-invalid"),
        (delegation.end(HERE.id, envelope.new_id(), "410000-hub", ours, datetime.now(UTC)), 404, "not-found"),
        ("a.b.c", 422, "delegation-invalid"),
        ("", 422, "delegation-invalid"),
        ("x" * 9000, 422, "delegation-invalid"),
    ]
    for token, status, code in wrong:
        got, problem = posted(hub, token)
        assert (got, problem["type"]) == (status, f"/problems/{code}"), (token, problem)
    token = statement(ours)
    (first, taken), (again, same) = posted(hub, token), posted(hub, token)
    assert (first, again, taken["log"]["index"]) == (201, 200, same["log"]["index"])
    others = delegation.end(THERE.id, taken["id"], "410000-hub", THERE.signing, datetime.now(UTC))
    assert posted(hub, others)[0] == 404
    ending = delegation.end(HERE.id, taken["id"], "410000-hub", ours, datetime.now(UTC))
    assert [posted(hub, ending)[0], posted(hub, ending)[0], posted(hub, token)[0]] == [201, 200, 200]
    async with by_gateway(hub) as client:  # the first words, said again, revive nothing
        with pytest.raises(Refused):
            await client.poll(0)


async def test_a_client_believes_no_hub_that_names_a_gateway_without_a_delegation(hub: RunningHub) -> None:
    sent = await opened(GATEWAY, "case-assistance", "request", [THERE.id])
    async with THERE.client() as there, Connection(hub.url) as connection:
        item = await there.message(GATEWAY.id, sent.id)
        notary = Notary(connection)
        await notary.introduce()
        signatories = Signatories(Words(connection, notary), Directory(connection))
        event = msgspec.structs.replace(item.event, source=HERE.id)
        log = item.receipt.log
        with pytest.raises(DeliveryInvalid, match="never let"):
            await signatories.key(event, GATEWAY.signing.kid, GATEWAY.id, item.receipt.accepted, log.index)
        own = await signatories.key(item.event, GATEWAY.signing.kid, None, item.receipt.accepted, log.index)
        assert own.kid == GATEWAY.signing.kid


def test_the_commands_give_list_and_end(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase of this test")
    store, me = str(tmp_path / "keys"), "411005-health"
    names = ("--name-zh", "卫健委", "--name-en", "Health")
    record = hub.run("keys", "new", "--keys", store, "--json", "--organisation", me, *names)
    hub.enrol(json.loads(record.stdout))
    who = ("--hub", hub.url, "--as", me, "--keys", store)
    done = hub.run("delegations", "give", GATEWAY.id, *who, "--scope", "errand.*", "--days", "30", "--json")
    assert done.returncode == 0, done.stderr
    id = json.loads(done.stdout)["id"]
    (row,) = json.loads(hub.run("delegations", "list", me, "--hub", hub.url, "--json").stdout)["items"]
    assert (row["id"], row["gateway"], row["scope"], row["ended"]) == (id, GATEWAY.id, ["errand.*"], False)
    watched = hub.run("keys", "watch", *who, "--json")
    assert watched.returncode == 0 and f"lets {GATEWAY.id} sign" in watched.stdout
    assert hub.run("delegations", "end", id, *who).returncode == 0
    assert json.loads(hub.run("delegations", "list", me, "--hub", hub.url, "--json").stdout)["items"][0]["ended"]
    wrong = hub.run("delegations", "give", GATEWAY.id, *who, "--scope", "everything")
    assert wrong.returncode == 1 and "delegation-invalid" in wrong.stderr and "Traceback" not in wrong.stderr
