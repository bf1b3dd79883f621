"""The catalogue at work: what each protocol is for, played through a real hub."""

import asyncio
import json
import urllib.error
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters import evidence as evidences
from adapters.client import DeliveryInvalid, Item, Refused
from hub.identity import hub_key
from keys import base64url, jwe, jws
from keys.errors import BadSeal, BadSignature
from protocols import deadlines, envelope
from protocols.loading import catalogue
from tests.acceptance.bureaus import (
    Bureau,
    audited,
    content,
    enrolled,
    example,
    get,
    mailbox,
    opened,
    said,
    until,
    view,
)
from tests.conftest import RunningHub

HERE, THERE, THIRD = Bureau("411002-health"), Bureau("440306-health"), Bureau("320583-health")
POLICE, CIVIL = Bureau("411002-public-security"), Bureau("411002-civil-affairs")
COUNTY = Bureau("411002-supervision", roles=("supervisor",))
PROVINCE = Bureau("410000-supervision", roles=("supervisor",))
NATION = Bureau("100000-supervision", roles=("supervisor",))
ELSEWHERE = Bureau("500000-supervision", roles=("supervisor",))
OLD, NEW = Bureau("411003-health"), Bureau("411024-health")


@pytest.fixture(scope="module", autouse=True)
def everybody(hub: RunningHub) -> None:
    HERE.superior = THERE.superior = PROVINCE.id
    PROVINCE.superior = NATION.id
    enrolled(hub, NATION, HERE, THERE, THIRD, POLICE, CIVIL, COUNTY, PROVINCE, ELSEWHERE, OLD, NEW)


# Tip-off referral: who gave the tip-off ------------------------------------------------------------------


async def referred(informant: dict[str, Any], narrative: str) -> tuple[str, Item]:
    async with HERE.client() as client:
        sent = await client.open_case(
            THERE.id,
            example("tip-off-referral", "refer"),
            {"narrative": narrative, "informant": informant},
            protocol="tip-off-referral",
            message="refer",
            check=True,
        )
    (item,) = [item for item in await mailbox(THERE) if item.event.id == sent.id]
    return sent.case, item


async def test_who_gave_a_tip_off_is_sealed_to_the_receiving_authority_alone() -> None:
    _, item = await referred({"anonymous": False, "name": "王某某（示例）", "phone": "0769-00000301"}, "反映情况。")
    async with THERE.client() as there:
        assert there.unseal(item, check=True)["informant"]["name"] == "王某某（示例）"
    async with HERE.client() as here:
        own = await here.message(HERE.id, item.event.id)
        with pytest.raises(BadSeal):
            here.unseal(own)
    assert set(jwe.recipient_kids(item.event.data["sealed"])) == {THERE.sealing.public.kid}


async def test_a_tip_off_with_a_name_looks_like_one_without() -> None:
    _, anonymous = await referred({"anonymous": True}, "反映情况。")
    named = {"anonymous": False, "name": "王" * 60, "phone": "0769-00000301", "address": "示例路" * 60}
    _, with_name = await referred(named, "反映某门诊部无证开展诊疗活动。" * 80)
    seen = []
    for item in (anonymous, with_name):
        sealed = item.event.data["sealed"]
        open_part = {k: v for k, v in item.event.data.items() if k not in ("sealed", "sealed_digest")}
        seen.append((len(item.compact), len(sealed["ciphertext"]), open_part, len(sealed["recipients"])))
    assert seen[0] == seen[1]
    assert jwe.ciphertext_length(anonymous.event.data["sealed"]) == 16 * 1024


@pytest.mark.parametrize("fault", ["also to the sender", "padded to 1 KiB"])
async def test_a_tip_off_that_could_give_the_informant_away_is_refused(fault: str) -> None:
    from protocols import sealing

    case, id = envelope.new_id(), envelope.new_id()
    keys = [THERE.sealing.public, *([HERE.sealing.public] if fault == "also to the sender" else [])]
    padding = 16 * 1024 if fault == "also to the sender" else 1024
    sealed = sealing.seal(HERE.id, id, case, content("tip-off-referral", "refer") or {}, keys, padding=padding)
    async with HERE.client() as here:
        draft = await here.prepare(
            "tip-off-referral.refer", case, [THERE.id], example("tip-off-referral", "refer") | sealed
        )
        with pytest.raises(Refused) as refused:
            await here.resend(draft)
    assert refused.value.reason == "sealing-invalid"


async def test_a_forwarded_tip_off_reaches_the_next_authority_and_not_the_first_again() -> None:
    case, _ = await referred({"anonymous": False, "name": "王某某（示例）"}, "反映情况。")
    await said(THERE, case, "tip-off-referral", "accept")
    await said(THERE, case, "tip-off-referral", "forward", to=THIRD.id)
    (item,) = [i for i in await mailbox(THIRD) if i.event.subject == case]
    async with THIRD.client() as third:
        handed = await third.handed_over(item)
    refer = next(one for one in handed if one.event.message == "refer")
    assert refer.content is not None and refer.content["informant"]["name"] == "王某某（示例）"
    (told,) = [i for i in await mailbox(HERE) if i.event.subject == case and i.event.message == "forward"]
    async with HERE.client() as here:
        with pytest.raises(BadSeal):
            here.unseal(told)


# Several participants: whoever hands a case over hands over the very words -------------------------------


async def test_a_newcomer_checks_every_word_against_its_author() -> None:
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    await said(THERE, sent.case, "case-assistance", "accept")
    await said(HERE, sent.case, "case-assistance", "add-participant", organisation=THIRD.id)
    (item,) = [i for i in await mailbox(THIRD) if i.event.subject == sent.case]
    async with THIRD.client() as third:
        handed = await third.handed_over(item)
        assert [one.event.message for one in handed] == ["request", "accept"]
        assert handed[0].content == content("case-assistance", "request")
    await said(THERE, sent.case, "case-assistance", "forward", to=POLICE.id)
    (item,) = [i for i in await mailbox(POLICE) if i.event.subject == sent.case]
    async with POLICE.client() as police:
        handed = await police.handed_over(item)
    assert [one.event.message for one in handed] == ["request", "accept", "add-participant"]
    assert (await view(POLICE, sent.case))["allowed_actions"]


FAULTS = {"another word": BadSeal, "another signature": BadSignature}


@pytest.mark.parametrize("fault", ["another word", "another signature", "another case", "invented", "twice"])
async def test_what_is_not_handed_over_as_it_was_is_seen(fault: str) -> None:
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    other = await opened(HERE, "case-assistance", "request", [THERE.id])
    async with THERE.client() as there:
        first = next(i for i in await mailbox(THERE) if i.event.id == (other if fault == "another case" else sent).id)
        plaintext = base64url.encode(jwe.unseal(first.event.data["sealed"], THERE.sealing))
        original = {"jws": first.compact.decode(), "plaintext": plaintext}
        if fault == "another word":
            changed = base64url.decode(plaintext).replace("请协助".encode(), "请不要".encode(), 1)
            original["plaintext"] = base64url.encode(changed + b" ")
        if fault == "another signature":
            original["jws"] = original["jws"][:-6] + ("AAAAAA" if original["jws"][-6:] != "AAAAAA" else "BBBBBB")
        if fault == "invented":
            draft = await there.prepare_reply(sent.case, "accept", {})
            original = {"jws": draft.compact.decode()}
        originals = [original, original] if fault == "twice" else [original]
        sealed = {"messages": originals}
        await there.reply_in(sent.case, "forward", example("case-assistance", "forward", to=THIRD.id), sealed)
    (item,) = [i for i in await mailbox(THIRD) if i.event.subject == sent.case]
    async with THIRD.client() as third:
        with pytest.raises(FAULTS.get(fault, DeliveryInvalid)):
            await third.handed_over(item)


async def racing(*sending: Any) -> list[Any]:
    """Everything at the same moment; what each came to."""
    return await asyncio.gather(*sending, return_exceptions=True)


@pytest.mark.parametrize(
    ("one", "other", "states"),
    [
        (("THERE", "accept", {}), ("THERE", "forward", {"to": "320583-health"}), {"requested": 2, "in-progress": 1}),
        (("HERE", "withdraw", {}), ("THERE", "answer", {}), {"withdrawn": 1, "answered": 1}),
        (("THERE", "forward", {"to": "320583-health"}), ("THERE", "exception", {}), {"requested": 1, "refused": 1}),
        (("HERE", "withdraw", {}), ("THERE", "forward", {"to": "320583-health"}), {"withdrawn": 1, "requested": 1}),
    ],
)
async def test_what_excludes_each_other_ends_in_one_state(one: Any, other: Any, states: dict[str, int]) -> None:
    who = {"HERE": HERE, "THERE": THERE}
    seen = set()
    for _ in range(6):
        sent = await opened(HERE, "case-assistance", "request", [THERE.id])
        if one[1] != "accept":
            await said(THERE, sent.case, "case-assistance", "accept")
        before = len((await view(HERE, sent.case))["timeline"])
        outcomes = await racing(
            *(said(who[name], sent.case, "case-assistance", message, **data) for name, message, data in (one, other))
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert all(r.reason in ("not-allowed-now", "role-not-allowed", "recipients-invalid") for r in refused), outcomes
        found = await view(HERE, sent.case)
        # After a forward the opener may still withdraw: then both are taken, in their order, towards the newcomer.
        taken = [step["type"].partition(".")[2] for step in found["timeline"]][before:]
        assert len(taken) == 2 - len(refused)
        assert found["state"] in states
        seen.add(found["state"])
    assert seen <= states.keys()


async def test_of_two_openers_of_one_case_one_is_first() -> None:
    case = envelope.new_id()
    data, sealed = example("case-assistance", "request"), content("case-assistance", "request")

    async def open_it(bureau: Bureau) -> Any:
        async with bureau.client() as client:
            return await client.send("case-assistance.request", case, [THIRD.id], data, sealed)

    outcomes = await racing(open_it(HERE), open_it(THERE))
    (refused,) = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert refused.reason == "case-exists"
    assert len((await view(THIRD, case))["timeline"]) == 1


# Reverse trace -------------------------------------------------------------------------------------------


async def traced() -> tuple[str, str]:
    """A case, and a trace about it by the province."""
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    await said(THERE, sent.case, "case-assistance", "accept")
    trace = await opened(PROVINCE, "reverse-trace", "trace", [THERE.id, HERE.id], case=sent.case)
    return sent.case, trace.case


async def test_a_supervisor_traces_a_duty_through_the_authorities_that_held_it() -> None:
    case, trace = await traced()
    assert set((await view(PROVINCE, trace))["awaits"]) == {THERE.id, HERE.id}
    await said(THERE, trace, "reverse-trace", "statement")
    assert (await view(PROVINCE, trace))["awaits"] == [HERE.id]
    with pytest.raises(Refused):
        await said(THERE, trace, "reverse-trace", "statement")
    await said(HERE, trace, "reverse-trace", "statement")
    await said(PROVINCE, trace, "reverse-trace", "find", responsible=HERE.id)
    assert (await view(PROVINCE, trace))["responder"] == HERE.id
    await said(HERE, trace, "reverse-trace", "appeal")
    await said(PROVINCE, trace, "reverse-trace", "uphold")
    await said(PROVINCE, trace, "reverse-trace", "order")
    with pytest.raises(Refused) as refused:
        await said(HERE, trace, "reverse-trace", "appeal")
    assert refused.value.reason == "not-allowed-now"
    await said(HERE, trace, "reverse-trace", "rectified")
    await said(PROVINCE, trace, "reverse-trace", "confirm")
    found = await view(HERE, case)
    assert found["linked"] == [{"id": trace, "protocol": "reverse-trace", "state": "closed"}]
    assert (await view(PROVINCE, trace))["about"] == case


async def test_a_look_at_a_trace_by_who_is_no_party_is_logged_with_its_purpose() -> None:
    case, trace = await traced()
    for bureau in (HERE, THERE, PROVINCE):
        assert get(bureau, f"/v1/cases/{trace}")[0] == 200
    status, problem = get(NATION, f"/v1/cases/{trace}")
    assert (status, problem["type"]) == (400, "/problems/purpose-needed")
    before = log_size()
    assert get(NATION, f"/v1/cases/{trace}?purpose=curiosity")[0] == 400
    assert get(ELSEWHERE, f"/v1/cases/{trace}?purpose=supervision")[0] == 403
    assert log_size() == before
    assert get(NATION, f"/v1/cases/{trace}?purpose=supervision")[0] == 200
    assert log_size() == before + 1
    assert get(NATION, f"/v1/cases/{case}")[0] == 200
    assert log_size() == before + 1


def log_size() -> int:
    with urllib.request.urlopen(HERE.url + "/log/checkpoint", timeout=20) as response:
        return int(response.read().decode().splitlines()[1])


async def test_who_may_trace_what() -> None:
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    for bureau, to, reason in (
        (HERE, [THERE.id], "role-not-allowed"),
        (ELSEWHERE, [THERE.id], "data-invalid"),
        (PROVINCE, [THIRD.id], "recipients-invalid"),
    ):
        with pytest.raises(Refused) as refused:
            await opened(bureau, "reverse-trace", "trace", to, case=sent.case)
        assert refused.value.reason == reason
    with pytest.raises(Refused) as refused:
        await opened(PROVINCE, "reverse-trace", "trace", [THERE.id], case=envelope.new_id())
    assert refused.value.reason == "data-invalid"


async def test_who_held_a_case_is_told_from_the_log_and_every_look_is_entered() -> None:
    sent = await opened(HERE, "case-assistance", "request", [THERE.id])
    await said(THERE, sent.case, "case-assistance", "accept")
    await said(THERE, sent.case, "case-assistance", "ask")
    path = f"/v1/cases/{sent.case}/holders"
    status, found = get(PROVINCE, f"{path}?purpose=trace")
    assert status == 200
    today = str(deadlines.local_date(datetime.now(UTC)))
    assert [(one["state"], one["holders"]) for one in found["holdings"]] == [
        ("requested", [THERE.id]),
        ("in-progress", [THERE.id]),
        ("clarifying", [HERE.id]),
    ]
    assert all(one["first"] == today and one["log"]["proof"] for one in found["holdings"])
    assert [one["through"] for one in found["holdings"]] == [today, today, None]
    async with PROVINCE.client() as client:
        verified = await client.holders(sent.case, "trace")
        assert [one["log"]["entry"] for one in verified["holdings"]] == [
            one["log"]["entry"] for one in found["holdings"]
        ]
        with pytest.raises(Refused):
            await client.holders(sent.case, "curiosity")
    later = str(deadlines.local_date(datetime.now(UTC)) + timedelta(days=12))
    status, on = get(PROVINCE, f"{path}?purpose=trace&on={later}")
    assert [one["state"] for one in on["holdings"]] == ["clarifying"]
    assert on["viewed"] > found["viewed"]
    assert get(PROVINCE, path)[0] == 400
    assert get(PROVINCE, f"{path}?purpose=curiosity")[0] == 400
    assert get(PROVINCE, f"{path}?purpose=trace&on=tomorrow")[0] == 400
    assert get(ELSEWHERE, f"{path}?purpose=trace")[0] == 403
    assert get(HERE, f"/v1/cases/{envelope.new_id()}/holders?purpose=own-case")[0] == 404
    assert "sealed" not in json.dumps(found)


# Information bulletins ------------------------------------------------------------------------------------


def month(back: int) -> str:
    first = deadlines.local_date(datetime.now(UTC)).replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return first.isoformat()[:7]


def counts(**changed: Any) -> dict[str, Any]:
    found = dict(example("information-bulletin", "report")["counts"])
    return {k: v for k, v in (found | changed).items() if v is not None}


async def reported(bureau: Bureau, period: str, **changed: Any) -> str:
    sent = await opened(
        bureau, "information-bulletin", "report", [HERE.id], period=period, counts=counts(exchanged=None, **changed)
    )
    return sent.case


async def findings(bureau: Bureau, case: str) -> list[dict[str, Any]]:
    found = await until(bureau, case, lambda v: v["state"] == "returned")
    assert found["timeline"][-1]["source"] == "410000-hub"
    return list(found["timeline"][-1]["data"]["findings"])


async def settled(hub: RunningHub) -> None:
    """Wait until the hub has looked at every bulletin."""
    import asyncpg

    from hub.store import embedded

    connection = await asyncpg.connect(embedded.dsn(hub.data))
    async with asyncio.timeout(20):
        while await connection.fetchval("SELECT count(*) FROM hub_duty WHERE ready <= now()::date"):
            await asyncio.sleep(0.1)
    await connection.close()


async def test_a_bulletin_that_does_not_add_up_is_returned_with_reasons_and_corrected(hub: RunningHub) -> None:
    case = await reported(POLICE, month(3), registered_end=13050, services_total=97)
    assert await findings(POLICE, case) == [
        {"check": "balance", "field": "registered-end", "reported": 13050, "expected": 13049},
        {"check": "services", "field": "services-total", "reported": 97, "expected": 96},
    ]
    await said(POLICE, case, "information-bulletin", "correct", version=2, counts=counts(exchanged=None))
    await settled(hub)
    assert (await view(POLICE, case))["state"] == "submitted"
    await said(HERE, case, "information-bulletin", "accept")
    found = await view(HERE, case)
    assert [step["type"].partition(".")[2] for step in found["timeline"]] == [
        "report",
        "nonconforming",
        "correct",
        "accept",
    ]
    assert found["timeline"][0]["data"]["counts"]["registered_end"] == 13050
    following = await reported(POLICE, month(2), registered_start=1, registered_end=210)
    (finding,) = await findings(POLICE, following)
    assert (finding["check"], finding["reported"], finding["expected"]) == ("carried", 1, 13049)
    again = await reported(POLICE, month(3))
    assert (await findings(POLICE, again))[0]["check"] == "duplicate"


async def test_what_two_departments_exchanged_must_agree(hub: RunningHub) -> None:
    def exchange(other: str, sent: int, received: int) -> list[dict[str, Any]]:
        return [{"department": other, "sent": sent, "received": received}]

    first = await opened(
        POLICE, "information-bulletin", "report", [HERE.id],
        period=month(5), counts=counts(exchanged=exchange("civil-affairs", 12, 9)),
    )  # fmt: skip
    await settled(hub)
    second = await opened(
        CIVIL, "information-bulletin", "report", [HERE.id],
        period=month(5), counts=counts(exchanged=exchange("public-security", 9, 11)),
    )  # fmt: skip
    assert (await findings(CIVIL, second.case)) == [
        {"check": "counterpart", "field": "exchanged", "reported": 11, "expected": 12, "department": "public-security"}
    ]
    assert (await view(POLICE, first.case))["state"] == "submitted"


async def test_silence_is_not_a_report_and_zero_is(hub: RunningHub) -> None:
    period = month(7)
    await opened(POLICE, "information-bulletin", "zero-report", [HERE.id], period=period)
    await settled(hub)
    status, found = get(HERE, f"/v1/statistics/bulletins?period={period}")
    assert status == 200
    standing = {one["reporter"]: (one["state"], one["timely"]) for one in found["reports"]}
    assert standing == {POLICE.id: ("submitted", False), CIVIL.id: ("missing", False)}
    due = deadlines.due_date(deadlines.end_of_month(period), 3, "calendar").date
    assert found["due"] == str(due) and due.day >= 3
    assert get(POLICE, f"/v1/statistics/bulletins?period={period}&lead={HERE.id}")[0] == 403
    assert get(HERE, "/v1/statistics/bulletins?period=2026-13")[0] == 400
    with pytest.raises(Refused) as refused:
        await opened(POLICE, "information-bulletin", "zero-report", [HERE.id], period=month(0))
    assert refused.value.reason == "data-invalid"


# Succession ----------------------------------------------------------------------------------------------


async def test_a_successor_takes_over_open_cases_and_the_mailbox(hub: RunningHub) -> None:
    running = await opened(HERE, "case-assistance", "request", [OLD.id])
    ended = await opened(HERE, "case-assistance", "request", [OLD.id])
    await said(OLD, ended.case, "case-assistance", "decline")
    own = await opened(OLD, "case-assistance", "request", [THERE.id])
    today = str(deadlines.local_date(datetime.now(UTC)))
    facing = await opened(OLD, "case-assistance", "request", [NEW.id])
    arguments = ("organisations", "succeed", OLD.id, NEW.id, "--on", today, "--data", str(hub.data))
    done = hub.run(*arguments)
    assert done.returncode == 1 and facing.case in done.stderr
    await said(OLD, facing.case, "case-assistance", "withdraw")
    done = hub.run(*arguments)
    assert done.returncode == 0, done.stderr
    assert (await view(NEW, running.case))["responder"] == NEW.id
    assert (await view(NEW, own.case))["opener"] == NEW.id
    assert (await view(NEW, ended.case))["responder"] == OLD.id
    await said(NEW, running.case, "case-assistance", "accept")
    with pytest.raises(Refused) as refused:
        await said(OLD, own.case, "case-assistance", "withdraw")
    assert refused.value.reason == "forbidden"
    assert get(OLD, f"/v1/cases/{own.case}")[0] == 403
    assert sent_by_old(running.case) == "/problems/role-not-allowed"
    with pytest.raises(Refused) as refused:
        await opened(HERE, "case-assistance", "request", [OLD.id])
    assert refused.value.reason == "recipients-invalid" and NEW.id in str(refused.value)
    status, page = get(NEW, f"/v1/mailbox?of={OLD.id}&after=0&limit=100")
    assert status == 200 and page["items"]
    assert get(HERE, f"/v1/mailbox?of={OLD.id}")[0] == 403
    assert acknowledged(hub, NEW, OLD.id, page["items"][-1]) == 200
    assert acknowledged(hub, HERE, OLD.id, page["items"][-1]) == 401
    status, found = get(HERE, f"/v1/cases/{running.case}/holders?purpose=own-case")
    assert [(one["type"], one["holders"]) for one in found["holdings"]] == [
        ("case-assistance.request", [OLD.id]),
        ("succeeded", [NEW.id]),
        ("case-assistance.accept", [NEW.id]),
    ]
    again = hub.run(*arguments)
    assert again.returncode == 1 and "already" in again.stderr
    trusted = [hub_key(hub.data).public]
    for bureau in (HERE, NEW):
        async with bureau.client() as client:
            evidence = await evidences.gather(client, running.case)
        report = evidences.check(evidence, trusted, catalogue())
        assert report.findings == [] and f"{NEW.id} in its place" in evidence.summary
        assert [(word.organisation, word.successor) for _, word in report.successions] == [(OLD.id, NEW.id)]
        silent = replace(evidence, keys={**evidence.keys, OLD.id: evidence.keys[OLD.id][:-1]})
        assert evidences.check(silent, trusted, catalogue()).findings


def sent_by_old(case: str) -> str:
    """What the hub says to a message in the old name, signed with the old key."""
    data = example("case-assistance", "accept")
    now = datetime.now(UTC)
    attributes = envelope.compose(
        source=OLD.id, type="case-assistance.accept", subject=case, recipients=[HERE.id], hub="410000-hub", time=now,
        dataschema="https://xieban.example/v1/protocols/case-assistance/1.0/accept", data=data,
    )  # fmt: skip
    token = jws.sign(envelope.encode(attributes), OLD.signing, typ=envelope.TYP, cty=envelope.CTY)
    return str(posted(OLD.url + "/v1/messages", token)[1]["type"])


def posted(url: str, token: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(url, token, {"Content-Type": "application/jose"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return int(response.status), json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def acknowledged(hub: RunningHub, signer: Bureau, recipient: str, item: dict[str, Any]) -> int:
    word = {
        "hub": "410000-hub",
        "recipient": recipient,
        "through": item["position"],
        "digest": item["receipt"]["digest"],
        "time": envelope.rfc3339(datetime.now(UTC)),
    }
    token = jws.sign(json.dumps(word).encode(), signer.signing, typ="xieban-ack+jws")
    return posted(f"{hub.url}/v1/mailbox/acknowledge", token)[0]


@pytest.mark.parametrize(
    ("old", "new", "on", "said"),
    [
        ("999999-health", "411002-health", "2030-01-01", "not known"),
        ("411002-health", "411002-health", "2030-01-01", "in the place of"),
        ("411002-health", "440306-health", "soon", "is a day"),
    ],
)
def test_a_succession_that_makes_no_sense_changes_nothing(
    hub: RunningHub, old: str, new: str, on: str, said: str
) -> None:
    done = hub.run("organisations", "succeed", old, new, "--on", on, "--data", str(hub.data))
    assert done.returncode != 0 and said in done.stderr


def test_a_succession_to_come_is_noted(hub: RunningHub) -> None:
    names = THIRD.id, CIVIL.id
    done = hub.run("organisations", "succeed", *names, "--on", "2099-01-01", "--data", str(hub.data), "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["cases"] is None


def test_all_of_this_stands_up_to_the_audit(hub: RunningHub) -> None:
    assert audited(hub) == ""
