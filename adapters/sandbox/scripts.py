"""What the counterparts do with a case, each script from its first message to its last."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from adapters.client import messages
from adapters.conformance import counterpart
from adapters.conformance.counterpart import REQUEST
from adapters.conformance.scenarios.contents import garbled, misdigested
from adapters.conformance.upgrade import UNKNOWN
from adapters.sandbox.actor import Actor, Case, Play
from keys import jwk
from keys.errors import BadSeal, Fault
from protocols import envelope
from protocols.deadlines import local_date
from protocols.loading import catalogue

PROPOSED: Final = timedelta(days=40)
_OUTCOME = {"outcome": "established"}
_SPOILT = (garbled, misdigested)
_BAD_SEAL = {"reason": "seal-unopened"}
_INSUFFICIENT = {"reason": "content-insufficient"}


# Reading and answering ------------------------------------------------------------------------------------------


async def accepted(case: Case) -> bool:
    """Accept what can be read."""
    if not await readable(case):
        return False
    await case.say("accept")
    return True


async def readable(case: Case) -> bool:
    """Whether the request can be read; one that can't is handed back, and whoever watches is told why."""
    try:
        _read(case)
    except Fault as fault:
        case.me.say(case.id, f"✗ {fault}")
        await case.say("exception", _BAD_SEAL if isinstance(fault, BadSeal) else _INSUFFICIENT)
        return False
    return True


def _read(case: Case) -> dict[str, Any]:
    """The sealed content of what brought the case. Raises BadSeal, DataInvalid."""
    assert case.first is not None
    event = case.first.event
    content = messages.unseal(event, [case.me.sealing, *case.me.earlier])
    messages.check_content(catalogue(), event.type, event.dataschema, content)
    return content


def found(case: Case) -> dict[str, str]:
    """What an answer seals: it quotes the file number that the request sealed."""
    reference = _read(case).get("reference", "")
    return {"narrative": f"经查属实，复贵机关{reference}。 Established; your file {reference}."}


async def answered(case: Case) -> None:
    """Answer."""
    await case.say("answer", _OUTCOME, found(case))


# Scripts of who is asked ----------------------------------------------------------------------------------------


async def answers(case: Case) -> None:
    """Accepts and answers."""
    if await accepted(case):
        await answered(case)


async def asks(case: Case) -> None:
    """Asks for clarification before it answers."""
    if await accepted(case):
        questions = {"questions": ["请说明工地的具体位置。 Where exactly is the site?"]}
        await case.say("ask", {"topics": ["time-and-place"]}, questions)
        await case.until("answer")
        await answered(case)


async def proposes(case: Case) -> None:
    """Proposes another date before it answers."""
    if await accepted(case):
        day = local_date(datetime.now(UTC)) + PROPOSED
        await case.say("propose-date", {"date": day.isoformat(), "reason": "records-in-archive"})
        await case.until("agree-date")
        await answered(case)


async def late(case: Case) -> None:
    """Answers after a while."""
    if await accepted(case):
        await case.say("progress", {"stage": "records-search"})
        await asyncio.sleep(case.me.world.delay)
        await answered(case)


async def declines(case: Case) -> None:
    """Declines."""
    await case.say("decline", {"reason": "no-competence"})


async def refuses(case: Case) -> None:
    """Hands it back."""
    await case.say("exception", _INSUFFICIENT)


async def silent(case: Case) -> None:
    """Says nothing."""
    case.me.say(case.id, "…")


async def forwards(case: Case) -> None:
    """Passes it on."""
    await case.say("forward", {"to": case.me.world.forwarded_to, "reason": "other-department"}, {})


async def taken_over(case: Case) -> None:
    """Answers what was passed on to it, once all that was handed over stands up."""
    assert case.first is not None
    (request, *_) = await case.me.client.handed_over(case.first)
    reference = (request.content or {}).get("reference", "")
    await case.say("accept")
    await case.say("answer", _OUTCOME, {"narrative": f"经查属实，复贵机关{reference}。 Established; {reference}."})


async def again(case: Case) -> None:
    """Answers a case that was opened again."""
    await case.say("answer", _OUTCOME, {"narrative": "经复查，情况同前。 Looked into again: as before."})


async def rotates(case: Case) -> None:
    """Changes its keys before it answers."""
    if await accepted(case):
        content, me = found(case), case.me
        signing, sealing = jwk.generate_signing("ES256"), jwk.generate_encryption("P-256")
        keys = jwk.public_jwks([signing.public, sealing.public])
        await me.world.hub.enrol([me.record() | {"jwks": keys}])
        await me.rekeyed(signing, sealing)
        me.say(case.id, f"新密钥 · new keys: {signing.kid}")
        await case.say("answer", _OUTCOME, content)


async def dies(case: Case) -> None:
    """Has the hub killed before it answers."""
    if await accepted(case):
        await case.me.world.hub.kill()
        case.me.say(case.id, "枢纽已被强行终止 · the hub is killed")
        await case.me.world.hub.start()
        await answered(case)


# Scripts of who misbehaves --------------------------------------------------------------------------------------


async def repeats(case: Case) -> None:
    """Sends each message twice."""
    if await readable(case):
        for message, data, content in (("accept", {}, None), ("answer", _OUTCOME, found(case))):
            draft = await case.draft(message, data, content)
            await case.send(draft)
            await case.send(draft)


async def unopenable(case: Case) -> None:
    """Answers with a sealed part that does not open, takes it back, and answers well."""
    if not await accepted(case):
        return
    me, id = case.me, envelope.new_id()
    part = counterpart.sealed(me.id, id, case.id, found(case), [*me.world.keys, me.sealing.public])
    spoilt = _SPOILT[len(me.cases) % len(_SPOILT)](part)
    draft = me.drafted("answer", case.id, [me.world.partner], _OUTCOME, spoilt, id=id, causationid=case.cause)
    bad = await case.send(draft)
    await case.say("invalidate", {"message": bad, "reason": "wrong-content"})
    await answered(case)


# Scripts of who opens cases -------------------------------------------------------------------------------------


async def opens(case: Case) -> None:
    """Answers, and opens a case in return."""
    await answers(case)
    await open_case(case.me)


async def newer(case: Case) -> None:
    """Answers, and opens a case in a version that nobody knows."""
    await answers(case)
    await open_case(case.me, UNKNOWN)


async def open_case(me: Actor, version: str = "1.0") -> None:
    """A request to the partner; what follows is the script of an opener. Raises Refused."""
    id, case = envelope.new_id(), Case(me, envelope.new_id())
    part = counterpart.sealed(me.id, id, case.id, counterpart.request()[1], [*me.world.keys, me.sealing.public])
    me.begin(case, opened)
    await case.send(me.drafted("request", case.id, [me.world.partner], REQUEST, part, id=id, version=version))


async def opened(case: Case) -> None:
    """Answers what is asked, agrees to a date, closes once there is an answer."""
    while True:
        event = (await case.came.get()).event
        match event.type.partition(".")[2]:
            case "ask":
                await case.say("answer", {}, {"narrative": "工地位于示例路东侧。 East of Shili Road."})
            case "propose-date":
                await case.say("agree-date", {"agreed": True, "date": event.data["date"]})
            case "answer":
                await case.say("close", {"result": "satisfied"})
                return


# Who plays what -------------------------------------------------------------------------------------------------

_ASKED: Final[Mapping[str, Play]] = {
    "answers": answers,
    "asks": asks,
    "proposes": proposes,
    "late": late,
    "declines": declines,
    "refuses": refuses,
    "silent": silent,
    "forwards": forwards,
    "opens": opens,
    "rotates": rotates,
    "repeats": repeats,
    "unopenable": unopenable,
    "altered": answers,
    "lossy": answers,
    "busy": answers,
    "slow": answers,
    "newer": newer,
    "dies": dies,
}


def scripts(name: str) -> dict[str, Play]:
    """The scripts of a behaviour, by the message that brings a case."""
    return {"request": _ASKED[name]} | ({} if name == "silent" else {"forward": taken_over, "reopen": again})
