"""Who was handed what: a partner proves that nothing was delivered to it, a hub that nothing was fetched."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from adapters.client import DeliveryInvalid
from adapters.witness import Fetching, Reader, fetching
from hub.identity import hub_key
from keys import checkpoint, jwk, jws, jwt, merkle, tiles
from keys.checkpoint import Checkpoint
from keys.errors import BadCheckpoint
from keys.jwk import SigningKey
from protocols import entries, mailbox_end, receipt
from protocols.entries import Accepted, Fetched
from protocols.mailbox_end import MailboxEnd, MailboxEndInvalid
from protocols.receipt import Receipt
from protocols.refusals import ReceiptInvalid
from tests.acceptance.between import Answer, proxy
from tests.acceptance.bureaus import Bureau, enrolled, opened
from tests.acceptance.forged_log import LOG, ORIGIN, Log
from tests.conftest import RunningHub

HERE, THERE = Bureau("411002-health"), Bureau("440306-health")
AUDITOR = Bureau("410000-supervision", roles=("auditor",))


@pytest.fixture(scope="module")
def key(hub: RunningHub) -> SigningKey:
    enrolled(hub, HERE, THERE, AUDITOR)
    return hub_key(hub.data)


async def ended(bureau: Bureau, url: str | None = None) -> MailboxEnd:
    async with bureau.client(url) as client:
        end = (await client.poll(0, limit=1, prove_end=True)).end
    assert end is not None
    return end


# Nothing was delivered ----------------------------------------------------------------------------------------


async def test_a_partner_proves_to_a_third_that_nothing_was_delivered(hub: RunningHub, key: SigningKey) -> None:
    """What the third needs is the hub's public key; a receipt of later does not change what was signed before."""
    await opened(HERE, "case-assistance", "request", [THERE.id])
    before = await ended(THERE)
    later = await opened(HERE, "case-assistance", "request", [THERE.id])
    shown = mailbox_end.verify(before.token, [key.public], origin=before.checkpoint.origin)
    assert (shown.recipient, shown.position) == (THERE.id, before.position)
    taken = receipt.verify(later.receipt, [key.public])
    assert isinstance(taken.entry, Accepted)
    assert taken.entry.recipients[THERE.id] == before.position + 1 and taken.index >= shown.checkpoint.size
    assert not shown.contradicts(taken)
    after = await ended(THERE)
    assert after.position == before.position + 1 and not after.contradicts(taken)


async def test_a_hub_that_says_both_is_caught(key: SigningKey) -> None:
    """A hub that keeps a message back, and signs that it is not there, has signed the receipt against itself."""
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    true, taken = await ended(THERE), receipt.verify(sent.receipt, [key.public])
    note = true.checkpoint
    lie = mailbox_end.sign(THERE.id, true.position - 1, _note(true), key, datetime.now(UTC))
    caught = mailbox_end.verify(lie, [key.public])
    assert note.size > taken.index and caught.contradicts(taken)
    assert not replace(caught, recipient=HERE.id).contradicts(taken)


def _note(end: MailboxEnd) -> str:
    return str(json.loads(jws.decode(end.token.encode(), typ=mailbox_end.TYP).payload)["checkpoint"])


async def test_what_is_not_the_hubs_word_is_refused(key: SigningKey) -> None:
    true = await ended(THERE)
    stranger = jwk.generate_signing()
    note, now = _note(true), datetime.now(UTC)
    forged = [
        mailbox_end.sign(THERE.id, 3, note, stranger, now),
        mailbox_end.sign(THERE.id, 3, note.replace("xieban.example", "other.example"), key, now),
        mailbox_end.sign(THERE.id, -1, note, key, now),
        mailbox_end.sign("", 3, note, key, now),
        true.token[:-8] + "AAAAAAAA",
        "",
        "a.b.c",
        "é.é.é",
    ]
    for token in forged:
        with pytest.raises(MailboxEndInvalid):
            mailbox_end.verify(token, [key.public])
    with pytest.raises(MailboxEndInvalid):
        mailbox_end.verify(true.token, [key.public], origin="log.other/x")


@pytest.mark.parametrize("lie", ["absent", "of another", "too low", "old"])
async def test_the_sdk_takes_no_word_that_does_not_fit_the_page(hub: RunningHub, key: SigningKey, lie: str) -> None:
    await opened(HERE, "case-assistance", "request", [THERE.id])
    true = await ended(THERE)
    now = datetime.now(UTC)
    tokens: dict[str, Any] = {
        "absent": None,
        "of another": mailbox_end.sign(HERE.id, true.position, _note(true), key, now),
        "too low": mailbox_end.sign(THERE.id, true.position - 1, _note(true), key, now),
        "old": mailbox_end.sign(THERE.id, true.position, _note(true), key, now - timedelta(hours=1)),
    }

    def tamper(answer: Answer) -> Answer:
        return answer.saying({**answer.json, "proof": tokens[lie]}) if answer.path == "/v1/mailbox" else answer

    async with proxy(hub, tamper) as url:
        with pytest.raises(DeliveryInvalid):
            await ended(THERE, url)


async def test_the_commands_keep_and_verify_it(hub: RunningHub, key: SigningKey, tmp_path: Path) -> None:
    await opened(HERE, "case-assistance", "request", [THERE.id])
    end = await ended(THERE)
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    lie = mailbox_end.sign(THERE.id, end.position, _note(await ended(THERE)), key, datetime.now(UTC))
    (tmp_path / "hub.jwks").write_text(json.dumps({"keys": [key.public.jwk]}))
    (tmp_path / "receipt.json").write_bytes(msgspec.json.encode(sent.receipt))
    (tmp_path / "true").write_text(end.token)
    (tmp_path / "lie").write_text(lie)
    (tmp_path / "junk").write_bytes(b"\xff\x00")
    against = ("--key", str(tmp_path / "hub.jwks"), "--against", str(tmp_path / "receipt.json"))
    done = hub.run("verify-end", str(tmp_path / "true"), *against, "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["contradicted"] is False, done.stderr
    done = hub.run("verify-end", str(tmp_path / "lie"), *against)
    assert done.returncode == 1 and "contradicts itself" in done.stdout
    done = hub.run("verify-end", str(tmp_path / "junk"), *against)
    assert done.returncode == 1 and "mailbox-end-invalid" in done.stderr and "Traceback" not in done.stderr


async def test_the_commands_ask_for_both(
    hub: RunningHub, key: SigningKey, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XIEBAN_PASSPHRASE", "a passphrase of this test")
    names = ("--name-zh", "审计", "--name-en", "Audit")
    store, me = str(tmp_path / "keys"), "410100-supervision"
    made = hub.run("keys", "new", "--keys", store, "--json", "--organisation", me, *names)
    (record,) = json.loads(made.stdout)
    hub.enrol([record | {"roles": ["auditor"]}])
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    (tmp_path / "hub.jwks").write_text(json.dumps({"keys": [key.public.jwk]}))
    (tmp_path / "receipt.json").write_bytes(msgspec.json.encode(sent.receipt))
    who = ("--hub", hub.url, "--as", me, "--keys", store)
    trusting = ("--key", str(tmp_path / "hub.jwks"))
    polled = hub.run("poll", *who, "--prove-end", str(tmp_path / "end.jose"))
    assert polled.returncode == 0, polled.stderr
    shown = hub.run("verify-end", str(tmp_path / "end.jose"), *trusting)
    assert shown.returncode == 0 and me in shown.stdout
    asked = hub.run("fetched", str(tmp_path / "receipt.json"), "--by", THERE.id, *trusting, *who)
    assert asked.returncode == 0 and "已取 fetched: 否 · no" in asked.stdout, asked.stderr
    other = hub.run("poll", *who, "--of", THERE.id)
    assert other.returncode == 1 and "forbidden" in other.stderr


# Nothing was fetched ------------------------------------------------------------------------------------------


async def asked(hub: RunningHub, key: SigningKey, sent: Receipt, url: str | None = None) -> Fetching:
    def token() -> str:
        return jwt.bearer(AUDITOR.id, "410000-hub", AUDITOR.signing, datetime.now(UTC))

    proven = receipt.verify(sent, [key.public])
    async with aiohttp.ClientSession() as session:
        return await fetching(Reader(url or hub.url, session, token), [key.public], proven, THERE.id)


async def test_an_auditor_sees_from_the_log_alone_what_was_fetched(hub: RunningHub, key: SigningKey) -> None:
    for _ in range(2):
        sent = await opened(HERE, "case-assistance", "request", [THERE.id])
        found = await asked(hub, key, sent.receipt)
        assert (found.fetched, found.acknowledged, found.expired) == (None, None, None)
        async with THERE.client() as client:
            page = await client.poll(found.position - 1)
            assert (await asked(hub, key, sent.receipt)).fetched is None
            await client.acknowledge(page.items[-1])
        found = await asked(hub, key, sent.receipt)
        assert found.fetched is not None and found.acknowledged is not None
    with pytest.raises(ReceiptInvalid):
        async with aiohttp.ClientSession() as session:
            proven = receipt.verify(sent.receipt, [key.public])
            await fetching(Reader(hub.url, session), [key.public], proven, AUDITOR.id)


@pytest.mark.parametrize("lie", ["a fetch invented", "an entry left out", "an entry changed"])
async def test_a_hub_cannot_lie_about_it(hub: RunningHub, key: SigningKey, lie: str) -> None:
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    invented = entries.encode(Fetched(THERE.id, 1, 1 << 20, "2026-11-27T00:00:00.000000Z"))

    def tamper(answer: Answer) -> Answer:
        if "/entries/" not in answer.path:
            return answer
        leaves = tiles.parse_bundle(answer.body)
        changed = {
            "a fetch invented": [*leaves[:-1], invented],
            "an entry left out": leaves[:-1],
            "an entry changed": [*leaves[:-1], leaves[-1].replace(b"case-assistance", b"case-assistancE")],
        }
        return replace(answer, body=tiles.entry_bundle(changed[lie]))

    async with proxy(hub, tamper) as url:
        with pytest.raises(BadCheckpoint):
            await asked(hub, key, sent.receipt, url)


@pytest.mark.parametrize(("size", "index"), [(1, 0), (256, 0), (257, 256), (900, 511), (900, 700), (66_000, 65_900)])
async def test_whatever_the_size_of_the_log(size: int, index: int) -> None:
    """From its first bundle, across bundles, and where a whole level of tiles lies to its left."""
    held = Accepted(
        id="m", digest="sha-256:00", source=HERE.id, type="t", subject="c", recipients={THERE.id: 7},
        at="2026-11-27T00:00:00.000000Z", due=None, causationid=None,
    )  # fmt: skip
    leaves = [entries.encode(Fetched(HERE.id, n, n, "2026-11-27T00:00:00.000000Z")) for n in range(size)]
    leaves[index] = entries.encode(held)
    log = Log(*leaves)
    note = checkpoint.sign_checkpoint(Checkpoint(ORIGIN, size, log.root()), LOG)
    hashes = [merkle.leaf_hash(leaf) for leaf in leaves]
    path = merkle.inclusion_proof(index, size, lambda level, at: log.node(hashes, level, at))
    proof = receipt.log_proof(ORIGIN, index, leaves[index], path, note)
    proven = receipt.verify_log(proof, [LOG.public])
    async with log.served() as url, aiohttp.ClientSession() as session:
        found = await fetching(Reader(url, session), [LOG.public], proven, THERE.id)
    assert (found.position, found.fetched) == (7, None)
