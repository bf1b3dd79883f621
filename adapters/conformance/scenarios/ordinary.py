"""Work as it is every day: one case, the same thing twice, many cases at once, a case of its own."""

import asyncio

from adapters.conformance import faults
from adapters.conformance.counterpart import Opened
from adapters.conformance.faults import Times
from adapters.conformance.proxy import Call
from adapters.conformance.stage import ANSWERS, CantPlay, Stage, signed_anew


async def happy_path(stage: Stage) -> None:
    """A request is read, signed for, accepted and answered; the opener closes the case."""
    case = await stage.case()
    await stage.answered(case)
    stage.once(case)
    close = stage.here.drafted("close", case.case, [stage.partner], {"result": "satisfied"})
    closed = (await stage.here.client.resend(close)).id
    await stage.until(
        lambda: stage.signed_for(closed),
        "办结消息也已签收",
        "the message that closes the case is signed for too",
    )


async def duplicate_sends(stage: Stage) -> None:
    """The hub takes what is sent and its answer is lost, or it never hears of it; the counterpart sends twice."""
    lost, unheard = Times(2), Times(1)
    draft = stage.request()
    with stage.proxy.under(faults.lost(faults.sends, lost), faults.dropped(faults.sends, unheard)):
        (case,) = await stage.open(draft)
        await stage.open(draft)
        await stage.answered(case, within=stage.patience * 2)
    stage.expect(lost.done == 2, "两次应答确已丢失", "two answers were lost indeed")
    stage.once(case)
    timeline = (await stage.here.client.case(case.case))["timeline"]
    said = [one["type"] for one in timeline if one["source"] == stage.partner]
    stage.expect(sorted(said) == sorted(ANSWERS), "日志中受理和答复各一条", "the log holds one accept and one answer")


async def duplicate_pages(stage: Stage) -> None:
    """A page of the mailbox is lost, cut short, and handed out twice."""
    with stage.proxy.under(faults.lost(has_items, Times(1)), faults.cut(has_items, Times(1))):
        case = await stage.case()
        await stage.answered(case, within=stage.patience * 2)
    again = Times(2)
    with stage.proxy.under(faults.repeated(again)):
        cases = [await stage.case()]
        await stage.answered(*cases, within=stage.patience * 2)
        cases += [await stage.case()]
        await stage.answered(*cases, within=stage.patience * 2)
    stage.expect(again.done > 0, "旧页确曾再次交付", "an old page was handed out again indeed")
    await asyncio.sleep(1.0)
    stage.once(case, *cases)


def has_items(call: Call) -> bool:
    """Answers to polls that hold something."""
    return call.polls and b'"message"' in call.answer


async def reordering(stage: Stage) -> None:
    """Cases of two openers, crossing; one is withdrawn before it is read; pages of three items."""
    openers = (stage.here, stage.there)
    with stage.proxy.under(faults.limited(3)):
        cases: list[Opened] = []
        with stage.held():
            for number in range(6 if stage.quick else 12):
                by = openers[number % 2]
                cases += await stage.open(stage.request(by), by=by)
            await stage.here.client.resend(stage.drafted_update(cases[0]))
            (gone,) = await stage.open(stage.request())
            withdrawal = stage.here.drafted("withdraw", gone.case, [stage.partner], {"reason": "settled"})
            await stage.here.client.resend(withdrawal)
        own = {one.id: one for one in openers}
        for case in cases:
            await stage.until(
                lambda case=case: bool(stage.came(case, "answer", own[case.opener])),  # type: ignore[misc]
                "每件请求都得到答复",
                "each request is answered",
            )
            stage.answers_well(case, own[case.opener])
        await stage.acknowledged(*cases, gone)
        stage.once(*cases, gone)


async def own_case(stage: Stage) -> None:
    """The system under test opens a case; it is answered, and the answer signed for."""
    if not stage.subject.opens:
        raise CantPlay("未给出 --trigger", "no --trigger was given")
    known, before = set(stage.here.came), len(stage.sendings())
    with stage.proxy.under(faults.lost(faults.sends, Times(1))):
        await stage.subject.open_case()

    def opened() -> list[str]:
        return [case for case in set(stage.here.came) - known if _requested(stage, case)]

    await stage.until(lambda: bool(opened()), "对方收到请求", "the counterpart receives a request")
    requests = [one for one in stage.sendings()[before:] if one.event.type == "case-assistance.request"]
    stage.expect(not signed_anew(requests), "只发起了一件", "only one case was opened")
    (case, *_) = opened()
    item = stage.here.came[case][0]
    content = stage.unsealed(item, stage.here)
    stage.expect(content is not None, "密封请求能打开", "the sealed request opens")
    stage.expect(stage.fits(item, content), "密封请求符合模式", "the sealed request fits its schema")
    for message in ("accept", "answer"):
        data = {} if message == "accept" else {"outcome": "no-record"}
        told = {"narrative": "无相关记录。 No record."} if message == "answer" else None
        sent = await stage.here.client.reply(item, message, data, told)
    await stage.until(lambda: stage.signed_for(sent.id), "答复已签收", "the answer is signed for")


def _requested(stage: Stage, case: str) -> bool:
    first = stage.here.came[case][0].event
    return first.source == stage.partner and first.type == "case-assistance.request"
