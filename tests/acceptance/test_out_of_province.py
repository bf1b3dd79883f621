"""Hubs of several provinces: cases worked on as if there were one; outages, rotations, and a hub that lies."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
import pytest

from adapters.client import DeliveryInvalid, Refused, messages
from hub import telemetry
from hub.config import TelemetrySection
from hub.identity import hub_key
from keys import jwk, jws, jwt
from protocols import envelope, receipt
from protocols.between_hubs import Marked, Relayed
from protocols.entries import Accepted, Acknowledged, Expired, KeyAdded
from tests.acceptance.between import Answer, only, proxy
from tests.acceptance.bureaus import Bureau, content, example, mailbox, opened, said, view
from tests.acceptance.collector import Collector, collecting
from tests.acceptance.lying import Liar, code, handed, posted, size
from tests.acceptance.provinces import Province, admitted, carrying, eventually, neighbours, province, station

CASE = "case-assistance"


class World:
    """Three provinces, each a neighbour of each, with a bureau or two."""

    def __init__(self, collector: Collector, henan: Province, guangdong: Province, jiangsu: Province) -> None:
        self.collector = collector
        self.all = self.henan, self.guangdong, self.jiangsu = henan, guangdong, jiangsu
        self.a, self.b, self.c = henan.bureau("1002"), guangdong.bureau("0306"), jiangsu.bureau("0583")

    def stations(self) -> list[Any]:
        """The adapters, each beside its hub."""
        return [station(at, other) for at in self.all for other in self.all if at is not other]


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with contextlib.ExitStack() as stack:
        collector = stack.enter_context(collecting())
        more = f'[telemetry]\nendpoint = "{collector.url}"\n'
        made = World(collector, *(stack.enter_context(province(code, more)) for code in ("41", "44", "32")))
        neighbours(*made.all)
        asyncio.run(acquainted(made))
        yield made


async def acquainted(world: World) -> None:
    """Everybody knows everybody, and there was a case that went both ways."""
    async with carrying(*world.stations()):
        await introduced(world)
        sent = await opened(world.a, CASE, "request", [world.b.id])
        await eventually(lambda: of(world.b, sent.case))
        await said(world.b, sent.case, CASE, "accept")
        await eventually(lambda: of(world.a, sent.case))


def knows(bureau: Bureau, other: Bureau) -> Callable[[], Any]:
    async def ask() -> Any:
        async with bureau.client() as client:
            return [k for k in (await client.look_up(other.id))["jwks"]["keys"] if k["kid"] == other.signing.kid]

    return ask


def state(bureau: Bureau, case: str, wanted: str) -> Callable[[], Any]:
    async def ask() -> Any:
        return (await view(bureau, case))["state"] == wanted

    return ask


async def of(bureau: Bureau, case: str, count: int = 1) -> Any:
    """What lies in the bureau's mailbox of a case, once there is so much."""
    found = [one for one in await mailbox(bureau) if one.event.subject == case]
    return found if len(found) >= count else None


def arrived(bureau: Bureau, cases: list[str]) -> Callable[[], Any]:
    """Whose cases came in, in their order, once something of each did."""

    async def ask() -> Any:
        found = [one.event.subject for one in await mailbox(bureau) if one.event.subject in cases]
        return found if set(found) == set(cases) else None

    return ask


async def clock(bureau: Bureau, case: str) -> list[tuple[str, tuple[str, ...]]]:
    async with bureau.client() as client:
        return [(one["kind"], tuple(one["organisations"])) for one in (await client.clock(case))["stages"]]


async def introduced(world: World) -> None:
    for one in (world.a, world.b, world.c):
        for other in (world.a, world.b, world.c):
            if one is not other:
                await eventually(knows(one, other))


async def test_a_message_that_crosses_hubs_is_one_trace(world: World) -> None:
    a, b, collector = world.a, world.b, world.collector
    with telemetry.traced(TelemetrySection(collector.url), "adapters", "test"):
        async with carrying(*world.stations()):
            sent = await opened(a, CASE, "request", [b.id])
            await eventually(lambda: of(b, sent.case))
    wanted = UUID(sent.id).hex
    collector.until(lambda: {"receive", "relay"} <= {span.name for span in collector.of(wanted)})
    spans = {(span.name, span.attributes.get("xieban.hub")): span for span in collector.of(wanted)}
    relayed, named = spans["relay", "440000-hub"], {span.id: span for span in collector.of(wanted)}
    assert named[relayed.parent].name == "deliver" and named[relayed.parent].service == "adapters"
    assert {"wait", "commit", "prove"} <= {span.name for span in named.values() if span.parent == relayed.id}
    assert named[spans["receive", "410000-hub"].parent].name == "send"


async def test_a_case_is_worked_on_across_two_hubs_with_the_calls_of_one(world: World) -> None:
    a, b = world.a, world.b
    async with carrying(*world.stations()):
        sent = await opened(a, CASE, "request", [b.id])
        (item,) = await eventually(lambda: of(b, sent.case))
        assert item.compact == sent.compact and [one.log.origin for one in item.receipts] == [sent.receipt.log.origin]
        async with b.client() as client:
            assert client.unseal(item) == content(CASE, "request")
            await client.acknowledge(item)
            seen = await client.case(sent.case)
            assert (seen["home"], seen["opener"], seen["responder"]) == (world.henan.id, a.id, b.id)
            assert "accept" in [action["message"] for action in seen["allowed_actions"]]
            answer = await client.reply(item, "accept", example(CASE, "accept"))
            assert answer.receipt.log.origin == client.log_origin
            assert (await client.resend(answer.compact)).receipt == answer.receipt
            with pytest.raises(Refused) as refused:
                await client.holders(sent.case, "own-case")
            assert refused.value.reason == "other-hub"
        for bureau in (a, b):
            await eventually(state(bureau, sent.case, "in-progress"))
        (back,) = await eventually(lambda: of(a, sent.case))
        assert back.compact == answer.compact and [one.log for one in back.receipts] == [answer.receipt.log]
        await said(b, sent.case, CASE, "answer")
        for bureau in (a, b):
            await eventually(state(bureau, sent.case, "answered"))
        here, there = await view(a, sent.case), await view(b, sent.case)
        assert here["due"] == there["due"] and here["home"] is None and there["on_the_way"] == []
        assert [s["id"] for s in here["timeline"]] == [s["id"] for s in there["timeline"]]
        async with a.client() as client:
            await client.acknowledge((await mailbox(a))[-1])
            events = [one.entry for one in await client.events(a.id, sent.id)]
            marked = {one.mark: one for one in events if isinstance(one, Marked)}
            assert marked.keys() == {"fetched", "acknowledged"} and marked["acknowledged"].jws

        async def same() -> Any:
            found, theirs = await clock(a, sent.case), await clock(b, sent.case)
            return found == theirs and found[-1][0] == "opener"

        await eventually(same)
        kinds = [kind for kind, _ in await clock(a, sent.case)]
        assert kinds == ["transit", "unread", "responder", "responder", "transit", "unread", "opener"], kinds
    assert [one.audited() for one in world.all] == ["", "", ""]


async def test_what_the_home_does_not_take_comes_back_with_its_reason(world: World) -> None:
    a, b = world.a, world.b
    sent = await opened(a, CASE, "request", [b.id])
    async with carrying(station(world.henan, world.guangdong), station(world.guangdong, world.henan)):
        await eventually(lambda: _has(b, sent.case))
        answer = await said(b, sent.case, CASE, "answer")  # nothing was taken up yet

        async def returned() -> Any:
            return [one for one in (await view(b, sent.case))["on_the_way"] if one["problem"]]

        (told,) = await eventually(returned)
        assert (told["id"], told["problem"]) == (answer.id, "not-allowed-now")
        await said(b, sent.case, CASE, "accept")
        await eventually(state(a, sent.case, "in-progress"))
    assert (world.henan.audited(), world.guangdong.audited()) == ("", "")


async def _has(bureau: Bureau, case: str) -> Any:
    return (await view(bureau, case))["id"] == case


async def test_the_middle_hub_is_away_keys_change_meanwhile_and_all_is_caught_up_in_order(world: World) -> None:
    a, b, c = world.a, world.b, world.c
    stations = world.stations()
    async with carrying(*stations):
        from_b = await opened(b, CASE, "request", [c.id])
        from_c = await opened(c, CASE, "request", [a.id])
        await eventually(lambda: _has(c, from_b.case))
        await eventually(lambda: _has(a, from_c.case))
        world.guangdong.hub.stop()
        cases = [(await opened(a, CASE, "request", [b.id])).case for _ in range(8)]
        # Signed before the rotation, carried days after it: the key of then proves it.
        accepted = await said(c, from_b.case, CASE, "accept")
        old, c.signing = c.signing, jwk.generate_signing()
        world.jiangsu.enrol(c)
        progress = await said(c, from_b.case, CASE, "answer")
        # Another key is revoked at once: what it signs from then on is taken nowhere.
        lost, a.signing = a.signing, jwk.generate_signing()
        world.henan.enrol(a)
        world.henan.run("organisations", "revoke", a.id, lost.kid, "--compromised-since", datetime.now(UTC).isoformat())
        with pytest.raises(Refused):
            await opened(Bureau(a.id, a.url, lost, a.sealing), CASE, "request", [b.id])
        # The way between the others is open all the time.
        await said(a, from_c.case, CASE, "accept")
        await eventually(state(c, from_c.case, "in-progress"))
        assert [one["id"] for one in (await view(c, from_b.case))["on_the_way"]] == [accepted.id, progress.id]
        world.guangdong.hub.start()
        for one in stations:
            one._store.reset()
        mine = await eventually(arrived(b, cases), 60)
        await eventually(state(b, from_b.case, "answered"))
        await eventually(state(c, from_b.case, "answered"))
    assert mine == cases and old.kid != c.signing.kid
    assert [one.position for one in await mailbox(b)] == list(range(1, len(await mailbox(b)) + 1))
    for one in world.all:
        assert one.audited() == ""
        one.run("recompute")  # a case counts at its home, once


async def test_what_expires_unread_at_another_hub_is_told_to_its_sender_by_the_home(world: World) -> None:
    a, b = world.a, world.b
    stations = station(world.henan, world.guangdong), station(world.guangdong, world.henan)
    async with carrying(*stations):
        sent = await opened(a, CASE, "request", [b.id])
        await eventually(lambda: _has(b, sent.case))
        attributes = envelope.compose(
            source=a.id, type=f"{CASE}.remind", subject=sent.case, recipients=[b.id], hub=world.henan.id,
            dataschema=f"https://xieban.example/v1/protocols/{CASE}/1.0/remind", time=datetime.now(UTC),
            data={"about": "accept"}, expirytime=datetime.now(UTC) + timedelta(seconds=4),
        )  # fmt: skip
        async with a.client() as client:
            reminder = await client.resend(messages.sign(attributes, a.signing).compact)

        async def told() -> Any:
            found = [one.event for one in await mailbox(a) if one.event.subject == sent.case]
            return [one for one in found if one.type == f"{CASE}.undelivered"]

        (notice,) = await eventually(told)
        assert (notice.source, notice.causationid) == (world.henan.id, reminder.id)
        assert notice.data["reason"] == "expired" and notice.data["recipient"] == b.id
        async with a.client() as client:
            ends = [one.entry for one in await client.events(a.id, reminder.id)]
        (expired,) = [one for one in ends if isinstance(one, Expired)]
        assert expired.there is not None and expired.there.hub == world.guangdong.id
    assert [one.audited() for one in (world.henan, world.guangdong)] == ["", ""]


# A hub that lies ------------------------------------------------------------------------------------------


def signed(source: Bureau, to: Bureau, home: str) -> Any:
    """A message that opens a case, as a liar would have it: read, and its bytes."""
    attributes = envelope.compose(
        source=source.id, type=f"{CASE}.request", subject=envelope.new_id(), recipients=[to.id], hub=home,
        dataschema=f"https://xieban.example/v1/protocols/{CASE}/1.0/request", time=datetime.now(UTC),
        data=example(CASE, "request"),
    )  # fmt: skip
    return envelope.event(attributes), jws.sign(
        envelope.encode(attributes), source.signing, typ=envelope.TYP, cty=envelope.CTY
    )


def accepted(event: Any, compact: bytes, **changed: Any) -> Accepted:
    """What a home's log would say of it."""
    words: dict[str, Any] = {
        "id": event.id, "digest": receipt.digest(compact), "source": event.source, "type": event.type,
        "subject": event.subject, "causationid": event.causationid, "at": envelope.rfc3339(datetime.now(UTC)),
        "recipients": dict.fromkeys(event.recipients, 1), "due": None,
    }  # fmt: skip
    return Accepted(**words | changed)


def relayed(event: Any, compact: bytes, **changed: Any) -> Relayed:
    """What the hub of a sender would say of it."""
    words: dict[str, Any] = {
        "id": event.id, "digest": receipt.digest(compact), "source": event.source, "type": event.type,
        "subject": event.subject, "causationid": event.causationid, "home": event.hub, "recipients": {},
        "at": envelope.rfc3339(datetime.now(UTC)),
    }  # fmt: skip
    return Relayed(**words | changed)


async def next_place(at: Province, other: Province) -> int:
    found = json.loads(at.run("hubs", "list", "--json"))["items"]
    return int(next(one["taken"] for one in found if one["hub"] == other.id)) + 1


async def test_a_hub_that_lies_is_refused_by_name_and_nothing_of_it_is_entered(world: World) -> None:
    henan, guangdong, jiangsu, a, b, c = *world.all, world.a, world.b, world.c
    liar, stranger = Liar(guangdong), Bureau(b.id)
    place = await next_place(henan, guangdong)
    via = {henan.id: place}
    event, compact = signed(b, a, guangdong.id)
    good = accepted(event, compact, via=via)
    before = size(henan)

    def refused(compact: bytes, *receipts: Any) -> str:
        answer = handed(henan, compact, *receipts)
        assert answer[0] in (400, 401, 403, 404, 409, 422), answer
        assert size(henan) == before
        return code(answer)

    true = liar.receipt(good)
    # A message that was altered, and a receipt that was.
    head, payload, mark = compact.split(b".")
    assert refused(b".".join([head, payload[:-4] + b"AAAA", mark]), true) in ("relay-invalid", "payload-malformed",
                                                                              "jws-malformed")  # fmt: skip
    assert refused(compact, true | {"accepted": "2026-01-01T00:00:00.000000Z"}) == "relay-invalid"
    assert refused(compact, {**true, "log": {**true["log"], "index": 99}}) == "relay-invalid"
    assert refused(compact, Liar(guangdong, signing=jwk.generate_signing()).receipt(good)) == "relay-invalid"
    assert refused(compact, Liar(jiangsu).receipt(good)) == "relay-invalid"
    # Another order: ahead of what is next, and again at a place that was dealt with.
    for wrong in (place + 1, place - 1, 10**9):
        assert refused(compact, liar.receipt(accepted(event, compact, via={henan.id: wrong}))) == "relay-out-of-order"
    # A key that is not the sender's, and words for who is of another hub.
    forged_event, forged = signed(Bureau(b.id, "", stranger.signing), a, guangdong.id)
    assert refused(forged, liar.receipt(accepted(forged_event, forged, via=via))) == "key-unknown"
    for other in (a, c):
        someone, words = signed(other, b if other is a else a, guangdong.id)
        assert refused(words, liar.receipt(accepted(someone, words, via=via))) == "organisation-elsewhere"
    nobody, words = signed(Bureau("449999-health"), a, guangdong.id)
    assert refused(words, liar.receipt(accepted(nobody, words, via=via))) == "sender-unknown"
    # A case that is not its own to advance.
    ours, words = signed(b, a, henan.id)
    assert refused(words, liar.receipt(accepted(ours, words, via=via))) == "relay-invalid"
    assert refused(words, liar.receipt(relayed(ours, words, via={henan.id: place + 7}))) == "relay-out-of-order"
    # Loops, and chains that are longer than a message's way.
    (known, *_) = [one for one in await mailbox(a) if one.event.hub == henan.id]
    own = known.receipt
    assert refused(compact, own, true) == "relay-loop"
    assert refused(compact, true, own) == "relay-loop"
    assert refused(compact, true, true) == "relay-invalid"
    assert refused(compact, true, true, true) == "relay-invalid"
    assert refused(compact) == "relay-invalid"
    # A replay changes nothing.
    answer = handed(henan, known.compact, *known.receipts)
    assert answer[0] == 200 and size(henan) == before
    assert answer[1]["log"]["entry"] == own.log.entry
    # Neither do arbitrary bytes.
    for body in (b"", b"{}", b"[]", b"\xff", b'{"message":"a.b.c","receipts":[]}', b"[" * 5000, json.dumps(
        {"message": compact.decode(), "receipts": [{}]}).encode()):  # fmt: skip
        status, _ = posted(henan, "/v1/relay", body)
        assert 400 <= status < 500, body[:40]
    assert size(henan) == before and henan.audited() == ""


def own_token(at: Province, issuer: Province | None = None) -> str:
    who = issuer or at
    return jwt.bearer(who.id, at.id, hub_key(who.hub.data), datetime.now(UTC))


async def test_a_hub_can_not_invent_keys_nor_acknowledgements(world: World) -> None:
    henan, guangdong, a, b = world.henan, world.guangdong, world.a, world.b
    liar, now = Liar(guangdong), envelope.rfc3339(datetime.now(UTC))
    liar.leaves = [b"{}"] * 5000  # after everything that was learned of the true log
    key = jwk.generate_signing().public
    known, before = (key.kid, key.jwk), size(henan)

    def told(*proofs: receipt.LogProof, token: str | None = None) -> tuple[int, Any]:
        body = json.dumps({"entries": [receipt_as(one) for one in proofs], "scanned": 0}).encode()
        given = own_token(henan) if token is None else token
        return posted(henan, f"/v1/hubs/{guangdong.id}/entries", body, token=given)

    def receipt_as(one: receipt.LogProof) -> dict[str, Any]:
        return {name: getattr(one, name) for name in one.__struct_fields__}

    assert code(told(liar.proof(KeyAdded(a.id, key.kid, key.jwk, now)))) == "organisation-elsewhere"
    assert code(told(liar.proof(KeyAdded(world.c.id, key.kid, key.jwk, now)))) == "organisation-elsewhere"
    assert code(told(liar.proof(KeyAdded("440309-health", key.kid, key.jwk, now)))) == "relay-invalid"
    assert code(told(liar.proof(KeyAdded(b.id, "another", key.jwk, now)))) == "relay-invalid"
    (item, *_) = [one for one in await mailbox(b) if one.event.hub == henan.id]
    digest = receipt.digest(item.compact)
    false = {"hub": guangdong.id, "recipient": b.id, "through": 10**6, "digest": digest, "time": now}
    word = jws.sign(json.dumps(false).encode(), jwk.generate_signing(), typ=envelope.ACK_TYP).decode()
    lie = liar.proof(Acknowledged(b.id, 1, 10**6, now, word))
    assert code(told(lie)) == "relay-invalid"
    assert code(told(msgspec.structs.replace(lie, index=9_999))) == "relay-invalid"
    other = Liar(guangdong, origin=f"xieban.example/{guangdong.id}/20260101-setback").proof(KeyAdded(b.id, *known, now))
    status, problem = told(other)
    assert status == 422 and "was set back and goes on as" in problem["detail"]
    assert told(lie, token="")[0] == 401
    assert told(lie, token=own_token(henan, guangdong))[0] == 403
    assert size(henan) == before and henan.audited() == ""


async def test_a_client_believes_no_hub_about_what_another_has_entered(world: World) -> None:
    b = world.b

    def without(answer: Answer) -> Answer:
        page = answer.json
        for item in page["items"]:
            item.pop("receipts", None)
        return answer.saying(page)

    def swapped(answer: Answer) -> Answer:
        page = answer.json
        found = [item for item in page["items"] if item.get("receipts")]
        for item in found:
            item["receipts"] = found[-1]["receipts"] if item is not found[-1] else found[0]["receipts"]
        return answer.saying(page)

    for tamper in (without, swapped):
        async with proxy(world.guangdong.hub, only("/v1/mailbox", tamper)) as url, b.client(url) as client:
            with pytest.raises(Exception, match=r"receipt|missing|bytes") as refused:
                await client.poll(0)
            assert isinstance(refused.value, DeliveryInvalid) or "receipt" in str(refused.value)


def altered(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[Answer], Answer]:
    """Change the items of every page of a mailbox, or of what a log says."""

    def told(answer: Answer) -> Answer:
        page = answer.json
        change(page.get("items") or page.get("entries") or [])
        return answer.saying(page)

    return told


def _swap(items: list[dict[str, Any]]) -> None:
    if len(items) > 1:
        items[0]["message"], items[1]["message"] = items[1]["message"], items[0]["message"]


def _other(items: list[dict[str, Any]]) -> None:
    for item in items:
        head, payload, mark = item["message"].split(".")
        item["message"] = f"{head}.{payload[:-6]}AAAAAA.{mark}"


def _index(items: list[dict[str, Any]]) -> None:
    for item in items:
        item["receipt"]["log"]["index"] += 1


def _left_out(items: list[dict[str, Any]]) -> None:
    del items[:1]


def _words(items: list[dict[str, Any]]) -> None:
    for item in items:
        item["log"]["entry"] = "e30="


async def test_an_adapter_that_is_lied_to_on_its_way_hands_over_nothing(world: World) -> None:
    henan, guangdong, a, b = world.henan, world.guangdong, world.a, world.b
    honest = station(henan, guangdong)
    async with carrying(honest, station(guangdong, henan)):
        await eventually(knows(b, a))
    sent = [await opened(b, CASE, "request", [a.id]) for _ in range(3)]
    before = size(henan)
    lies: list[tuple[str, Callable[[list[dict[str, Any]]], Any]]] = [
        ("/v1/mailbox", _other),
        ("/v1/mailbox", _swap),
        ("/v1/mailbox", _index),
        ("/v1/mailbox", list.reverse),
        ("/v1/mailbox", _left_out),
        ("/entries", _words),
    ]
    for path, lie in lies:
        async with proxy(guangdong.hub, only(path, altered(lie))) as url:
            lied_to = station(henan, guangdong, url)
            lied_to._store.reset()
            async with carrying(lied_to):
                await asyncio.sleep(0.8)
            assert size(henan) == before or path == "/entries", lie
    honest._store.reset()
    async with carrying(honest):
        for one in sent:
            await eventually(partial(of, a, one.case))
    assert henan.audited() == ""


# Trust within limits --------------------------------------------------------------------------------------


async def test_a_neighbour_speaks_for_whom_the_anchor_lets_it_and_as_long(world: World) -> None:
    henan, guangdong, jiangsu, c = world.henan, world.guangdong, world.jiangsu, world.c
    school = guangdong.bureau("0308", "education")
    clinic = guangdong.bureau("0309")
    admitted(henan, guangdong, departments=["health"], divisions=["44"])
    async with carrying(station(henan, guangdong)):
        await eventually(knows(world.a, clinic))
        with pytest.raises(Refused):
            await knows(world.a, school)()
    # A local organisation is never taken over, nor one of a neighbour by an import.
    file = henan.folder / "stolen.json"
    file.write_text(json.dumps([clinic.record()]))
    done = henan.hub.run("organisations", "import", str(file), "--data", str(henan.hub.data), "--config", henan.config)
    assert done.returncode != 0 and "another hub" in done.stderr
    # Ended: at once, in both ways.
    assert await knows(world.a, c)()
    henan.run("hubs", "end", jiangsu.id)
    with pytest.raises(Refused) as refused:
        await opened(world.a, CASE, "request", [c.id])
    assert refused.value.reason == "recipients-invalid"
    event, compact = signed(c, world.a, jiangsu.id)
    place = await next_place(henan, jiangsu)
    given = Liar(jiangsu).receipt(accepted(event, compact, via={henan.id: place}))
    assert code(handed(henan, compact, given)) == "neighbour-unknown"
    request = urllib.request.Request(
        henan.url + "/v1/mailbox", headers={"Authorization": f"Bearer {own_token(henan, jiangsu)}"}
    )
    with pytest.raises(urllib.error.HTTPError) as forbidden:
        urllib.request.urlopen(request, timeout=10)
    assert forbidden.value.code == 403
    # Admitted again, and expired after a moment.
    admitted(henan, jiangsu, seconds=4)
    await opened(world.a, CASE, "request", [c.id])

    async def expired() -> Any:
        try:
            await opened(world.a, CASE, "request", [c.id])
        except Refused as refused:
            return refused.reason == "recipients-invalid"
        return None

    await eventually(expired)
    assert henan.audited() == ""


async def test_a_hub_can_not_say_that_what_does_not_expire_has_expired(world: World) -> None:
    """The last test on this world: after it the lie stands at a place of the log that true entries never reach."""
    henan, guangdong, b = world.henan, world.guangdong, world.b
    (item, *_) = [one for one in await mailbox(b) if one.event.hub == henan.id]
    liar = Liar(guangdong, leaves=[b"{}"] * 5000)
    lie = liar.proof(
        Expired(b.id, item.position, item.event.id, item.event.source, envelope.rfc3339(datetime.now(UTC)))
    )
    before = size(henan)
    body = json.dumps({"entries": [msgspec.to_builtins(lie)], "scanned": 0}).encode()
    status, _ = posted(henan, f"/v1/hubs/{guangdong.id}/entries", body, token=own_token(henan))
    assert (status, size(henan)) == (200, before) and henan.audited() == ""
