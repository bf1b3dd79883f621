"""The hub is slow, busy or gone, or its clock is said to be another."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.conformance import faults
from adapters.conformance.faults import Times
from adapters.conformance.proxy import Call
from adapters.conformance.stage import Stage, token_claims
from protocols import envelope

RATE = 4.0
"""Requests a second, at most, while the hub is away: a handful of calls that back off stay far below."""
BURST = 8
IDLE_RATE = 2.0
LEEWAY = timedelta(seconds=30)
AHEAD = timedelta(minutes=1)


async def retry_after(stage: Stage) -> None:
    """503, then 429, each with Retry-After: no request before it has passed."""
    asked = 3
    for status in (503, 429):
        times = Times(1)
        rule = faults.away(status, lambda: {"Retry-After": str(asked)}, faults.sends, times)
        with stage.proxy.under(rule):
            case = await stage.case()
            await stage.answered(case, within=stage.patience + asked)
        refusals = [call for call in stage.proxy.calls if call.sends and call.given == status and call.taken is None]
        told = refusals[-1]
        stage.expect(bool(times.done), f"确曾以 {status} 应答", f"{status} was answered indeed")
        early = [call for call in _sent_since(stage, told) if call.begun - told.begun < asked - 0.2]
        stage.expect(not early, "Retry-After 之前没有再次发送", "nothing is sent again before Retry-After has passed")
    stage.once(case)


async def retry_after_date(stage: Stage) -> None:
    """Retry-After as a date, by a hub whose clock is four minutes off (RFC 9110 §10.2.3)."""
    for off in (timedelta(minutes=4), timedelta(minutes=-4)):

        def headers(off: timedelta = off) -> dict[str, str]:
            now = (datetime.now(UTC) + off).replace(microsecond=0)
            return {"Date": faults.http_date(now), "Retry-After": faults.http_date(now + timedelta(seconds=3))}

        times = Times(1)
        with stage.proxy.under(faults.away(503, headers, faults.sends, times)):
            case = await stage.case()
            await stage.answered(case, within=stage.patience + 3)
        told = [call for call in stage.proxy.calls if call.sends and call.given == 503 and call.taken is None][-1]
        early = [call for call in _sent_since(stage, told) if call.begun - told.begun < 2.0]
        stage.expect(
            bool(times.done) and not early,
            "按应答自己的 Date 计算等待时间",
            "the wait is counted from the answer's own Date",
        )


def _sent_since(stage: Stage, told: Call) -> list[Call]:
    return [call for call in stage.proxy.calls if call.sends and call.begun > told.begun]


async def slow_hub(stage: Stage) -> None:
    """Every answer to a message takes five seconds; in the long run every answer but the mailbox's, ten."""
    seconds = 5.0 if stage.quick else 10.0
    where = faults.sends if stage.quick else _not_polls
    with stage.proxy.under(faults.slow(where, seconds)):
        case = await stage.case()
        await stage.answered(case, within=stage.patience + (2 if stage.quick else 12) * seconds)
    stage.once(case)


def _not_polls(call: Call) -> bool:
    return not call.polls


async def dying_hub(stage: Stage) -> None:
    """The hub is killed while there is work, refuses connections, drops them, and comes back."""
    clock = asyncio.get_running_loop().time
    with stage.held():
        cases = [await stage.case() for _ in range(2)]
    await stage.hub.kill()
    await stage.proxy.deafen()
    await asyncio.sleep(1.0)
    await stage.proxy.listen()
    begun = clock()
    await asyncio.sleep(2.0 if stage.quick else 20.0)
    await stage.hub.start()
    tries = stage.calls_since(begun)
    away = clock() - begun
    stage.expect(
        len(tries) <= BURST + RATE * away,
        f"枢纽不在时请求有节制（{away:.0f} 秒内 {len(tries)} 次）",
        f"requests are few while the hub is away ({len(tries)} in {away:.0f} s)",
    )
    cases.append(await stage.case())
    await stage.answered(*cases, within=stage.patience + 15)
    stage.once(*cases)


async def idle(stage: Stage) -> None:
    """Nothing comes: the mailbox is waited on, not asked again and again."""
    begun, seconds = asyncio.get_running_loop().time(), 4.0
    await asyncio.sleep(seconds)
    tries = stage.calls_since(begun)
    stage.expect(
        len(tries) <= 2 + IDLE_RATE * seconds,
        f"没有新消息时请求有节制（{seconds:.0f} 秒内 {len(tries)} 次）",
        f"requests are few while nothing comes ({len(tries)} in {seconds:.0f} s)",
    )


async def clock_skew(stage: Stage) -> None:
    """The Date of every answer is four minutes off, first ahead, then behind: one's own clock counts."""
    begun = asyncio.get_running_loop().time()
    for off in (timedelta(minutes=4), timedelta(minutes=-4)):
        with stage.proxy.under(faults.skewed(off), faults.altered(_hub_document, _moved(off))):
            case = await stage.case()
            await stage.answered(case)
            stage.once(case)
    calls = stage.calls_since(begun)
    tokens = [(call, claims) for call in calls if (claims := token_claims(call)) is not None]
    stage.expect(bool(tokens), "令牌可读", "its tokens can be read")
    stage.expect(
        all(0 < claims["exp"] - claims["iat"] <= 300 for _, claims in tokens),
        "令牌有效期不超过 5 分钟",
        "no token lives longer than 5 minutes",
    )
    stage.expect(
        all(_in_force(call, claims) for call, claims in tokens),
        "令牌以真实时间签发",
        "tokens are issued by the true time",
    )
    stage.expect(
        all(one.event.time - one.call.at < AHEAD for one in stage.sendings() if one.call in calls),
        "消息的 time 是真实时间",
        "the time of messages is the true time",
    )


def _in_force(call: Call, claims: dict[str, Any]) -> bool:
    issued, expires = (datetime.fromtimestamp(claims[name], UTC) for name in ("iat", "exp"))
    return issued <= call.at + LEEWAY and call.at < expires + LEEWAY


def _hub_document(call: Call) -> bool:
    return call.path == "/v1/hub"


def _moved(off: timedelta) -> Any:
    def change(document: Any) -> Any:
        return document | {"time": envelope.rfc3339(datetime.now(UTC) + off)}

    return change
