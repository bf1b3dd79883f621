"""The SDK against a real hub, directly and through a proxy that misbehaves."""

import asyncio
import base64
import itertools
import json
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from adapters.client import (
    AddressInvalid,
    AnswerInvalid,
    Client,
    ClientClosed,
    Cursor,
    CursorInvalid,
    DeliveryInvalid,
    Item,
    Patience,
    Refused,
    Sent,
    Undecided,
)
from keys import jwk
from keys.errors import BadSeal, BadSignature, Fault, KeyUnknown
from keys.jwk import DecryptionKey, SigningKey
from protocols import entries, envelope, loading
from protocols.loading import catalogue
from protocols.refusals import DataInvalid, ReceiptInvalid
from tests.acceptance.between import Answer, Tamper, only, proxy
from tests.conftest import RunningHub

SHORT = Patience(within=0.5, first=0.05, longest=0.1)
SECRET = {"narrative": "请协助查明有关情况。"}
HERE, THERE, THIRD = "411002-health", "440306-health", "320583-health"


def example(message: str, part: str = "schema") -> dict[str, Any]:
    found = catalogue().protocols["case-assistance", "1.0"].messages[message]
    schema = found.schema if part == "schema" else found.sealed_schema
    assert schema is not None
    return dict(schema.document["examples"][0])


@dataclass
class Bureau:
    """An organisation with its keys; where it reaches the hub is for each test to say."""

    id: str
    url: str
    signing: SigningKey
    sealing: DecryptionKey

    def record(self) -> dict[str, object]:
        keys = jwk.public_jwks([self.signing.public, self.sealing.public])
        return {"id": self.id, "name": {"zh": self.id, "en": self.id}, "roles": ["bureau"], "jwks": keys}

    def client(self, url: str | None = None, **options: Any) -> Client:
        return Client(url or self.url, self.id, self.signing, [self.sealing], **options)


@pytest.fixture(scope="module")
def bureaus(hub: RunningHub) -> dict[str, Bureau]:
    made = {
        HERE: Bureau(HERE, hub.url, jwk.generate_signing(), jwk.generate_encryption()),
        THERE: Bureau(THERE, hub.url, jwk.generate_signing("ES256"), jwk.generate_encryption("P-256")),
        THIRD: Bureau(THIRD, hub.url, jwk.generate_signing(), jwk.generate_encryption()),
    }
    hub.enrol([bureau.record() for bureau in made.values()])
    return made


@pytest.fixture
async def here(bureaus: dict[str, Bureau]) -> AsyncIterator[Client]:
    async with bureaus[HERE].client() as client:
        yield client


@pytest.fixture
async def there(bureaus: dict[str, Bureau]) -> AsyncIterator[Client]:
    async with bureaus[THERE].client() as client:
        yield client


async def newest(client: Client, id: str) -> Item:
    """The message with this id in the client's mailbox."""
    after = 0
    while True:
        page = await client.poll(after, limit=500)
        for item in page.items:
            if item.event.id == id:
                return item
        assert page.behind, "not in the mailbox"
        after = page.next


async def end_of(client: Client) -> int:
    """The position of the mailbox's last message."""
    page = await client.poll(0, limit=1)
    return page.next + page.behind


# Working cases ----------------------------------------------------------------------------------------


async def test_a_case_is_opened_answered_opened_up_and_signed_for(here: Client, there: Client) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)
    item = await newest(there, sent.id)
    assert there.unseal(item) == SECRET
    await there.reply(item, "accept", example("accept"))
    taken = await there.acknowledge(item)
    assert taken.through == item.position
    proven = await here.events(HERE, sent.id)
    assert [type(one.entry) for one in proven] == [entries.Accepted, entries.Fetched, entries.Acknowledged]
    view = await there.case(sent.case)
    assert view["state"] == "in-progress"
    assert sent.case in [summary["id"] async for summary in here.cases(state="in-progress")]


async def test_a_reply_reaches_every_party_of_the_case_and_whom_it_brings_in(
    here: Client, there: Client, bureaus: dict[str, Bureau]
) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET, participants=[THIRD])
    accepted = await there.reply(await newest(there, sent.id), "accept", {}, {"note": "已受理"})
    async with bureaus[THIRD].client() as third:
        item = await newest(third, accepted.id)
        assert set(item.event.recipients) == {HERE, THIRD}
        assert third.unseal(item) == {"note": "已受理"}

    other = await here.open_case(THERE, example("request"), SECRET)
    forward = example("forward") | {"to": THIRD}
    passed = await there.reply(await newest(there, other.id), "forward", forward, {"note": "转办"})
    assert set((await there.message(THERE, passed.id)).event.recipients) == {HERE, THIRD}
    assert (await here.case(other.case))["responder"] == THIRD


async def test_a_reply_goes_to_explicit_recipients_alone(here: Client, there: Client) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET, participants=[THIRD])
    accepted = await there.reply(await newest(there, sent.id), "accept", {}, recipients=[HERE])
    assert (await there.message(THERE, accepted.id)).event.recipients == (HERE,)


async def test_many_messages_go_at_once_each_with_its_own_answer(here: Client) -> None:
    drafts = [
        await here.prepare("case-assistance.request", envelope.new_id(), [THERE], example("request"), SECRET)
        for _ in range(12)
    ]
    drafts[5] = await here.prepare("case-assistance.request", drafts[4].case, [THERE], example("request"), SECRET)
    outcomes = await here.send_many(drafts)
    assert [isinstance(outcome, Sent) for outcome in outcomes] == [number != 5 for number in range(12)]
    assert isinstance(outcomes[5], Refused)
    assert outcomes[5].reason == "case-exists"
    assert await here.send_many(drafts[:5]) == outcomes[:5]


async def test_the_same_bytes_sent_again_get_the_first_receipt(here: Client, there: Client) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)
    end = await end_of(there)
    assert await here.resend(sent.compact) == sent
    assert await end_of(there) == end


async def test_a_preflight_stores_nothing_and_names_every_problem(here: Client, there: Client) -> None:
    end = await end_of(there)
    data = example("request") | {"legal_basis": {"instrument": "sc-555-2009"}}
    draft = await here.prepare("case-assistance.request", envelope.new_id(), [THERE], data, SECRET)
    verdict = await here.preflight(draft)
    assert [problem["type"] for problem in verdict.problems] == ["/problems/basis-repealed"]
    draft = await here.prepare("case-assistance.request", envelope.new_id(), [THERE], example("request"), SECRET)
    assert (await here.preflight(draft)).acceptable
    assert await end_of(there) == end


async def test_content_is_held_against_its_schema_on_both_sides_where_wanted(here: Client, there: Client) -> None:
    with pytest.raises(DataInvalid):
        await here.open_case(THERE, example("request"), SECRET, check=True)
    fitting = example("request", "sealed")
    fine = await newest(there, (await here.open_case(THERE, example("request"), fitting, check=True)).id)
    assert there.unseal(fine, check=True) == fitting
    loose = await newest(there, (await here.open_case(THERE, example("request"), SECRET)).id)
    with pytest.raises(DataInvalid):
        there.unseal(loose, check=True)


async def test_what_is_not_sealed_or_not_to_us_does_not_open(
    here: Client, there: Client, bureaus: dict[str, Bureau]
) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)
    item = await newest(there, sent.id)
    accepted = await newest(here, (await there.reply(item, "accept", {})).id)
    with pytest.raises(BadSeal):
        here.unseal(accepted)
    stranger = Client(here.url, THERE, bureaus[THERE].signing, [jwk.generate_encryption()])
    with pytest.raises(BadSeal):
        stranger.unseal(item)


async def test_an_expired_message_leaves_its_neighbours_undisturbed(
    here: Client, there: Client, tmp_path: Path
) -> None:
    before = await here.open_case(THERE, example("request"), SECRET)
    start = (await newest(there, before.id)).position
    remind, soon = example("remind"), datetime.now(UTC) + timedelta(seconds=0.3)
    await here.send("case-assistance.remind", before.case, [THERE], remind, expirytime=soon)
    after = await here.open_case(THERE, example("request"), SECRET)
    await asyncio.sleep(0.5)
    page = await there.poll(start)
    assert (list(page.expired), [item.event.id for item in page.items]) == ([start + 1], [after.id])
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(there.hub, THERE, start)
    followed = there.follow(cursor)
    assert (await anext(followed)).event.id == after.id
    await followed.aclose()


async def test_the_hub_says_why_and_the_fault_carries_it(here: Client) -> None:
    with pytest.raises(Refused) as refused:
        await here.case(envelope.new_id())
    assert refused.value.reason == "not-found"
    problem = refused.value.data["problem"]
    assert isinstance(problem, dict)
    assert problem["status"] == 404
    with pytest.raises(Refused, match="110101-health is not known"):
        await here.open_case("110101-health", example("request"), SECRET)


async def test_a_recipient_whose_keys_changed_a_moment_ago_is_sealed_to_anew(
    here: Client, bureaus: dict[str, Bureau], hub: RunningHub
) -> None:
    await here.open_case(THIRD, example("request"), SECRET)
    bureaus[THIRD] = replace(bureaus[THIRD], sealing=jwk.generate_encryption("P-256"), signing=jwk.generate_signing())
    await asyncio.to_thread(hub.enrol, [bureaus[THIRD].record()])
    await end_of(here)  # a call with a token has the hub look at its directory anew
    sent = await here.open_case(THIRD, example("request"), SECRET)
    async with bureaus[THIRD].client() as third:
        item = await newest(third, sent.id)
        assert third.unseal(item) == SECRET
        # Here has never seen the new signing key: it is asked for when it first appears.
        accepted = await third.reply(item, "accept", {})
    assert (await newest(here, accepted.id)).event.source == THIRD


async def test_a_case_is_opened_in_the_latest_version_and_goes_on_in_its_own(
    here: Client, bureaus: dict[str, Bureau], tmp_path: Path
) -> None:
    shutil.copytree(loading.FOLDER, tmp_path / "catalogue")
    newer = tmp_path / "catalogue" / "case-assistance" / "1.10"
    shutil.copytree(newer.with_name("1.0"), newer)
    flow = newer / "flow.toml"
    flow.write_text(flow.read_text("utf-8").replace('version = "1.0"', 'version = "1.10"', 1), "utf-8")
    sent = await here.open_case(THERE, example("request"), SECRET)
    async with bureaus[HERE].client(catalogue=loading.load(tmp_path / "catalogue")) as client:
        case = envelope.new_id()
        fresh = await client.prepare("case-assistance.request", case, [THERE], example("request"), SECRET)
        withdrawn = await client.prepare("case-assistance.withdraw", sent.case, [THERE], example("withdraw"))
        assert fresh.event.dataschema == f"{loading.BASE}/case-assistance/1.10/request"
        assert withdrawn.event.dataschema == f"{loading.BASE}/case-assistance/1.0/withdraw"
        assert (await client.resend(withdrawn)).case == sent.case


async def test_a_client_that_is_not_open_says_so(bureaus: dict[str, Bureau]) -> None:
    client = bureaus[HERE].client()
    with pytest.raises(ClientClosed):
        await client.poll(0)
    async with client:
        pass
    with pytest.raises(ClientClosed):
        await client.poll(0)
    async with client:
        assert (await client.poll(0)).next >= 0


@pytest.mark.parametrize(
    "url", ["hub.example", "ftp://hub.example", "http://", "http://hub.example/?a=1", "http://h:x"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(AddressInvalid):
        Client(url, HERE, jwk.generate_signing())


# Following --------------------------------------------------------------------------------------------


async def test_a_follower_lives_through_the_death_of_its_hub_and_misses_nothing(
    bureaus: dict[str, Bureau], hub: RunningHub, tmp_path: Path
) -> None:
    async with bureaus[HERE].client() as here, bureaus[THERE].client() as there:
        cursor = Cursor(tmp_path / "cursor")
        cursor.save(there.hub, THERE, await end_of(there))
        received: list[str] = []

        async def listen() -> None:
            async for item in there.follow(cursor):
                received.append(item.event.id)
                if len(received) == 6:
                    return

        listening = asyncio.create_task(listen())
        sent = [(await here.open_case(THERE, example("request"), SECRET)).id for _ in range(3)]
        while len(received) < 3:
            await asyncio.sleep(0.05)
        hub.process.kill()
        hub.process.wait()
        restarting = asyncio.create_task(asyncio.to_thread(hub.start))
        sent += [(await here.open_case(THERE, example("request"), SECRET)).id for _ in range(3)]
        await restarting
        await asyncio.wait_for(listening, 60)
    assert received == sent


async def test_who_is_stopped_in_the_middle_gets_that_message_again_and_no_other(
    here: Client, bureaus: dict[str, Bureau], tmp_path: Path
) -> None:
    cursor = Cursor(tmp_path / "cursor")
    async with bureaus[THERE].client() as there:
        cursor.save(there.hub, THERE, await end_of(there))
        sent = [(await here.open_case(THERE, example("request"), SECRET)).id for _ in range(3)]
        followed = there.follow(cursor)
        assert [(await anext(followed)).event.id, (await anext(followed)).event.id] == sent[:2]
        await followed.aclose()
    async with bureaus[THERE].client() as again:
        followed = again.follow(Cursor(cursor.path))
        assert [(await anext(followed)).event.id, (await anext(followed)).event.id] == sent[1:]
        await followed.aclose()


async def test_a_cursor_of_another_mailbox_or_beyond_the_end_is_refused(there: Client, tmp_path: Path) -> None:
    cursor = Cursor(tmp_path / "cursor")
    cursor.save(there.hub, HERE, 1)
    with pytest.raises(CursorInvalid):
        await anext(there.follow(cursor))
    with pytest.raises(CursorInvalid):
        await anext(there.follow(await end_of(there) + 1000, wait=0))


# A hub behind a proxy that misbehaves -----------------------------------------------------------------


def busy(times: int, arrivals: list[float], part: str, retry_after: Callable[[], str]) -> Tamper:
    """503 with Retry-After for the first `times` calls of `part`; every arrival is noted."""

    def tamper(answer: Answer) -> Answer | web.StreamResponse:
        if part not in answer.path:
            return answer
        arrivals.append(asyncio.get_running_loop().time())
        if len(arrivals) > times:
            return answer
        return web.Response(status=503, text="maintenance", headers={"Retry-After": retry_after()})

    return tamper


@pytest.mark.parametrize(
    "header",
    [lambda: "1", lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=2), usegmt=True)],
    ids=["seconds", "date"],
)
async def test_a_hub_that_asks_for_time_is_not_called_before_it_is_over(
    bureaus: dict[str, Bureau], hub: RunningHub, header: Callable[[], str]
) -> None:
    arrivals: list[float] = []
    async with (
        proxy(hub, busy(2, arrivals, "/v1/mailbox", header)) as url,
        bureaus[HERE].client(url) as client,
    ):
        await client.poll(0)
    pauses = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert len(pauses) == 2
    assert min(pauses) >= 1.0


async def test_a_hub_that_stays_away_leaves_the_message_undecided_with_its_bytes(
    bureaus: dict[str, Bureau], hub: RunningHub
) -> None:
    away = only("/v1/messages", lambda answer: web.Response(status=502, text="<html>", content_type="text/html"))
    async with proxy(hub, away) as url, bureaus[HERE].client(url, patience=SHORT) as client:
        with pytest.raises(Undecided) as undecided:
            await client.open_case(THERE, example("request"), SECRET)
        draft = await client.prepare("case-assistance.request", envelope.new_id(), [THERE], example("request"), SECRET)
        (outcome,) = await client.send_many([draft])
    compact = undecided.value.data["compact"]
    assert isinstance(compact, bytes)
    assert isinstance(outcome, Undecided)
    assert outcome.data["compact"] == draft.compact
    # The proxy handed both on before it lost the answers: sent again they are taken, once.
    async with bureaus[HERE].client() as client:
        assert (await client.resend(compact)).compact == compact


async def test_a_line_of_a_batch_that_is_not_taken_for_now_is_sent_again(
    bureaus: dict[str, Bureau], hub: RunningHub
) -> None:
    seen: list[int] = []

    def overloaded(answer: Answer) -> Answer:
        lines = answer.body.splitlines()
        seen.append(len(lines))
        if len(seen) == 1:
            problem = {"type": "/problems/overloaded", "title": "busy", "detail": "busy", "retryable": True}
            lines[1] = json.dumps(problem | {"status": 503}).encode()
        return replace(answer, body=b"\n".join(lines) + b"\n")

    async with proxy(hub, only("/batch", overloaded)) as url, bureaus[HERE].client(url) as client:
        drafts = [
            await client.prepare("case-assistance.request", envelope.new_id(), [THERE], example("request"), SECRET)
            for _ in range(3)
        ]
        outcomes = await client.send_many(drafts)
    assert [isinstance(outcome, Sent) for outcome in outcomes] == [True] * 3
    assert seen == [3, 1]


def page_of(media: str, body: bytes, status: int = 200) -> Tamper:
    return lambda answer: replace(answer, status=status, media=media, body=body)


def redirected(answer: Answer) -> web.StreamResponse:
    return web.Response(status=302, headers={"Location": "https://elsewhere.example/"})


GARBAGE: dict[str, Tamper] = {
    "a proxy's page": page_of("text/html", b"<html>login</html>"),
    "a page that calls itself JSON": page_of("application/json", b"<html>login</html>"),
    "nothing": page_of("application/json", b""),
    "a list": page_of("application/json", b"[1, 2]"),
    "an empty object": page_of("application/json", b"{}"),
    "null": page_of("application/json", b"null"),
    "other types": page_of("application/json", b'{"items": 1, "next": "x", "behind": null, "id": 5, "events": {}}'),
    "not UTF-8": page_of("application/json", b'{"items": "\xff\xfe"}'),
    "nested too deep": page_of("application/json", b"[" * 100_000),
    "a 404 page": page_of("text/html", b"<h1>Not Found</h1>", 404),
    "a 404 in other JSON": page_of("application/json", b'{"error": "not found"}', 404),
    "a problem without a type": page_of("application/problem+json", b'{"title": "no", "status": 400}', 400),
    "a problem that is a list": page_of("application/problem+json", b"[]", 409),
    "a 401 page": page_of("text/html", b"<h1>Who are you?</h1>", 401),
    "a 500 page": page_of("text/html", b"<h1>Oops</h1>", 500),
    "a redirect": redirected,
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=list(GARBAGE))
async def test_garbage_in_place_of_an_answer_is_a_fault(
    bureaus: dict[str, Bureau], hub: RunningHub, here: Client, garbage: Tamper
) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)
    working = True
    async with (
        proxy(hub, lambda answer: answer if working else garbage(answer)) as url,
        bureaus[THERE].client(url, patience=SHORT) as client,
    ):
        item = await newest(client, sent.id)
        draft = await client.prepare("case-assistance.accept", sent.case, [HERE], {})
        working = False
        for call in (
            lambda: client.poll(0),
            lambda: client.case(sent.case),
            lambda: client.events(HERE, sent.id),
            lambda: client.message(HERE, sent.id),
            lambda: client.acknowledge(item),
            lambda: client.preflight(draft),
            lambda: client.resend(draft),
            lambda: anext(aiter(client.cases())),
            lambda: anext(client.follow(0)),
        ):
            with pytest.raises((AnswerInvalid, ReceiptInvalid)):
                await call()
        (outcome,) = await client.send_many([draft])
        assert isinstance(outcome, AnswerInvalid | ReceiptInvalid)
        with pytest.raises(AnswerInvalid):
            async with bureaus[THERE].client(url, patience=SHORT):
                pass


async def test_what_does_not_speak_http_is_a_fault(bureaus: dict[str, Bureau]) -> None:
    async def chatter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"220 mail.example ESMTP\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(chatter, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(AnswerInvalid):
            async with bureaus[HERE].client(f"http://127.0.0.1:{port}", patience=SHORT):
                pass


async def test_an_answer_that_breaks_off_is_asked_for_again(bureaus: dict[str, Bureau], hub: RunningHub) -> None:
    broken: list[str] = []

    def cut(answer: Answer) -> Answer | web.StreamResponse:
        if "/v1/mailbox" not in answer.path or broken:
            return answer
        broken.append(answer.path)
        promised = {"Content-Length": str(len(answer.body) + 100), "Content-Type": answer.media}
        response = web.Response(body=answer.body, headers=promised)
        response.force_close()
        return response

    async with proxy(hub, cut) as url, bureaus[HERE].client(url) as client:
        assert (await client.poll(0)).next >= 0
    assert broken


# What a hub could say that is not so ------------------------------------------------------------------


def in_receipt(**changed: Any) -> Tamper:
    """A receipt with other fields, of a sending or of the mailbox's last item."""

    def tamper(answer: Answer) -> Answer:
        document = answer.json
        receipts = [item["receipt"] for item in document["items"]] if "items" in document else [document]
        log = {name: value for name, value in changed.items() if name in receipts[-1]["log"]}
        receipts[-1].update({name: value for name, value in changed.items() if name in receipts[-1]})
        receipts[-1]["log"].update(log)
        return answer.saying(document)

    return tamper


def reentered(answer: Answer) -> Answer:
    """The entry speaks of another case; everything around it is as it was."""
    document = answer.json
    entry = json.loads(base64.b64decode(document["log"]["entry"]))
    entry["subject"] = envelope.new_id()
    document["log"]["entry"] = base64.b64encode(json.dumps(entry).encode()).decode()
    return answer.saying(document)


FALSE_RECEIPTS: dict[str, Tamper] = {
    "another moment": in_receipt(accepted="2020-01-01T00:00:00Z"),
    "another digest": in_receipt(digest="sha-256:" + "0" * 64),
    "another message": in_receipt(message="019a8f11-04b2-7a6c-8d3e-51f7b90c2a48"),
    "another index": in_receipt(index=0),
    "no proof": in_receipt(proof=[]),
    "no checkpoint": in_receipt(checkpoint=""),
    "another log": in_receipt(origin="elsewhere.example/log"),
    "another entry": reentered,
}


@pytest.mark.parametrize("tamper", FALSE_RECEIPTS.values(), ids=list(FALSE_RECEIPTS))
async def test_a_receipt_that_was_tampered_with_is_refused(
    bureaus: dict[str, Bureau], hub: RunningHub, tamper: Tamper
) -> None:
    async with proxy(hub, only("/v1/messages", tamper)) as url, bureaus[HERE].client(url) as client:
        with pytest.raises(ReceiptInvalid):
            await client.open_case(THERE, example("request"), SECRET)


async def test_a_receipt_of_another_hub_is_refused_where_the_keys_are_pinned(
    bureaus: dict[str, Bureau], hub: RunningHub
) -> None:
    async with bureaus[HERE].client(hub_keys=[jwk.generate_signing().public]) as client:
        with pytest.raises(ReceiptInvalid):
            await client.open_case(THERE, example("request"), SECRET)


def last(change: Callable[[dict[str, Any], list[dict[str, Any]]], None]) -> Tamper:
    """Change the last item of a page."""

    def tamper(answer: Answer) -> Answer:
        page = answer.json
        change(page["items"][-1], page["items"])
        return answer.saying(page)

    return only("/v1/mailbox", tamper)


def _swap_receipts(item: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    item["receipt"] = items[-2]["receipt"]


def _repeat(item: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    """An older message once more, in the place of the last."""
    item["message"], item["receipt"] = items[-2]["message"], items[-2]["receipt"]


def _flip(item: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    head, payload, signature = item["message"].split(".")
    item["message"] = f"{head}.{payload}.{signature[:-4]}{'AAAA' if signature[-4:] != 'AAAA' else 'BBBB'}"


def _skip(item: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    item["position"] += 1


def _empty(item: dict[str, Any], items: Sequence[dict[str, Any]]) -> None:
    del item["message"]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (_swap_receipts, ReceiptInvalid),
        (_repeat, DeliveryInvalid),
        (_flip, ReceiptInvalid),
        (_skip, DeliveryInvalid),
        (_empty, DeliveryInvalid),
    ],
)
async def test_an_item_that_is_not_what_it_says_is_refused(
    bureaus: dict[str, Bureau],
    hub: RunningHub,
    here: Client,
    there: Client,
    change: Callable[[dict[str, Any], list[dict[str, Any]]], None],
    fault: type[Fault],
) -> None:
    end = await end_of(there)
    for _ in range(2):
        await here.open_case(THERE, example("request"), SECRET)
    async with proxy(hub, last(change)) as url, bureaus[THERE].client(url) as client:
        with pytest.raises(fault) as raised:
            await client.poll(end)
    assert raised.value.data.get("position", end + 2) == end + 2


async def test_a_message_for_others_is_refused(bureaus: dict[str, Bureau], hub: RunningHub, here: Client) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)
    item = {"position": 1, "message": sent.compact.decode(), "receipt": msgspec.to_builtins(sent.receipt)}
    strange = only("/v1/mailbox", lambda answer: answer.saying({"items": [item], "next": 1, "behind": 0}))
    async with proxy(hub, strange) as url, bureaus[THIRD].client(url) as third:
        with pytest.raises(DeliveryInvalid):
            await third.poll(0)


@pytest.mark.parametrize("pretended", ["same kid", "none"])
async def test_a_sender_whose_key_was_exchanged_is_not_believed(
    bureaus: dict[str, Bureau], hub: RunningHub, here: Client, there: Client, pretended: str
) -> None:
    end = await end_of(there)
    await here.open_case(THERE, example("request"), SECRET)

    def exchange(answer: Answer) -> Answer:
        key = dict(jwk.generate_signing().public.jwk)
        return answer.saying({"keys": [key] if pretended == "none" else [key | {"kid": bureaus[HERE].signing.kid}]})

    async with proxy(hub, only(f"/{HERE}/jwks.json", exchange)) as url, bureaus[THERE].client(url) as client:
        with pytest.raises((KeyUnknown, BadSignature)):
            await client.poll(end)


async def test_an_acknowledgement_the_log_does_not_have_is_refused(
    bureaus: dict[str, Bureau], hub: RunningHub, here: Client
) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)

    def earlier(answer: Answer) -> Answer:
        return answer.saying(answer.json | {"through": 1})

    def elsewhere(answer: Answer) -> Answer:
        document = answer.json
        document["log"]["index"] -= 1
        return answer.saying(document)

    async with bureaus[THERE].client() as client:
        item = await newest(client, sent.id)
    for tamper in (elsewhere, earlier):
        async with proxy(hub, only("/acknowledge", tamper)) as url, bureaus[THERE].client(url) as client:
            with pytest.raises((ReceiptInvalid, DeliveryInvalid)):
                await client.acknowledge(item)


async def test_a_case_that_is_another_one_is_refused(bureaus: dict[str, Bureau], hub: RunningHub, here: Client) -> None:
    first, second = [await here.open_case(THERE, example("request"), SECRET) for _ in range(2)]
    other = only("/v1/cases/", lambda answer: answer.saying(answer.json | {"id": second.case}))
    async with proxy(hub, other) as url, bureaus[HERE].client(url) as client:
        with pytest.raises(DeliveryInvalid):
            await client.case(first.case)


async def test_an_event_that_its_proof_does_not_carry_is_refused(
    bureaus: dict[str, Bureau], hub: RunningHub, here: Client
) -> None:
    sent = await here.open_case(THERE, example("request"), SECRET)

    def backdate(answer: Answer) -> Answer:
        document = answer.json
        document["events"][0]["entry"]["at"] = "2020-01-01T00:00:00Z"
        return answer.saying(document)

    async with proxy(hub, only("/events", backdate)) as url, bureaus[HERE].client(url) as client:
        with pytest.raises(DeliveryInvalid):
            await client.events(HERE, sent.id)
