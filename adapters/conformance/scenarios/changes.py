"""What changes while work goes on: keys, protocols, and the years."""

import asyncio
from typing import Any

from adapters.conformance import faults
from adapters.conformance.proxy import Call
from adapters.conformance.stage import CantPlay, Stage
from adapters.conformance.upgrade import UNKNOWN
from keys import jwk
from protocols import loading


async def key_rotation(stage: Stage) -> None:
    """The counterpart's keys change between its request and the answer; the old signature is judged by history."""
    with stage.held():
        before = await stage.case()
        signing, sealing = jwk.generate_signing("ES256"), jwk.generate_encryption("P-256")
        record = stage.here.record() | {"jwks": jwk.public_jwks([signing.public, sealing.public])}
        await stage.hub.enrol([record])
        await stage.here.rekeyed(signing, sealing)
    await stage.answered(before)
    after = await stage.case()
    await stage.answered(after)
    stage.once(before, after)


async def schema_upgrade(stage: Stage) -> None:
    """A version and a protocol that nobody asked it to know, and members of answers that nobody knows yet."""
    with stage.proxy.under(faults.altered(_documents, _later)):
        with stage.held():
            before = await stage.case()
            (unknown,) = await stage.open(stage.request(version=UNKNOWN))
            await _errand(stage)
            after = await stage.case()
        await stage.answered(before, after)
    stage.expect(
        stage.signed_for(unknown.id),
        "不认识的版本已签收，没有挡住后面的消息",
        "the unknown version is signed for, and blocks nothing behind it",
    )
    stage.once(before, after)


async def _errand(stage: Stage) -> None:
    found = loading.catalogue().latest("errand")
    assert found is not None
    request = found.messages["request"]
    assert request.sealed_schema is not None
    data, content = (schema.document["examples"][0] for schema in (request.schema, request.sealed_schema))
    content = {name: value for name, value in content.items() if name != "attachments"}
    await stage.here.client.open_case(stage.partner, data, content, protocol="errand")


def _documents(call: Call) -> bool:
    return call.method == "GET" and (call.path == "/v1/mailbox" or call.path.startswith(("/v1/cases/", "/v1/hub")))


def _later(document: Any) -> Any:
    return (
        document | {"since-2031": {"unknown": [True, None, "将来的字段"]}} if isinstance(document, dict) else document
    )


async def resent_year(stage: Stage) -> None:
    """The system loses its cursor and reads everything again, in large pages; what it says again was said before."""
    if not stage.subject.rewinds:
        raise CantPlay("未给出 --command 或 --restart", "neither --command nor --restart was given")
    cases, updates = (6, 60) if stage.quick else (40, 400)
    with stage.held():
        opened = await stage.open(*[stage.request() for _ in range(cases)])
        drafts = [stage.drafted_update(opened[number % cases]) for number in range(updates)]
        await stage.here.client.send_many(drafts)
        newest = await stage.case()
    await stage.answered(*opened, newest, within=stage.patience * 4)
    firsts = {one.signing_input: one.answer for one in stage.sendings() if one.taken}
    count, begun = len(stage.proxy.calls), asyncio.get_running_loop().time()
    with stage.proxy.under(faults.limited(500)):
        await stage.subject.rewind()
        await stage.until(
            lambda: any(call.after == 0 and call.given == 200 for call in stage.calls_since(begun)),
            "重启后从头读起",
            "it reads from the beginning again",
            within=stage.patience * 2,
        )
        await stage.until(
            lambda: any((call.after or 0) >= (stage.position(newest.id) or 0) for call in stage.calls_since(begun)),
            "读到了收件箱末尾",
            "it reads up to the end of the mailbox",
            within=stage.patience * 4,
        )
        last = await stage.case()
        await stage.answered(last)
    stage.once(*opened, newest, last)
    again = [one for one in stage.sendings() if one.call in stage.proxy.calls[count:] and one.taken]
    repeats = [one for one in again if one.signing_input in firsts]
    stage.expect(
        all(one.answer.get("accepted") == firsts[one.signing_input].get("accepted") for one in repeats),
        f"重发的 {len(repeats)} 条都得到首次的回执",
        f"the {len(repeats)} messages sent again get their first receipts",
    )
