"""What the proxy can do to a call: each a rule, and what it does is allowed by the contract or must be survived."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from adapters.conformance.proxy import Call, Dropped, Given, Onward, Rule

Where = Callable[[Call], bool]


def polls(call: Call) -> bool:
    """Calls that read the mailbox."""
    return call.polls


def sends(call: Call) -> bool:
    """Calls that send messages."""
    return call.sends


def everything(call: Call) -> bool:
    """All calls."""
    return True


class Times:
    """How often something is still to be done, and how often it was."""

    def __init__(self, left: int | None) -> None:
        self.left, self.done = left, 0

    def more(self) -> bool:
        """Whether it is to be done now."""
        return self.left is None or self.done < self.left


def lost(where: Where, times: Times) -> Rule:
    """The hub takes the call and answers; the answer never arrives."""

    async def rule(call: Call, onward: Onward) -> Given:
        given = await onward(call)
        if where(call) and times.more():
            times.done += 1
            raise Dropped
        return given

    return rule


def dropped(where: Where, times: Times) -> Rule:
    """The connection ends before the hub hears of the call."""

    async def rule(call: Call, onward: Onward) -> Given:
        if where(call) and times.more():
            times.done += 1
            raise Dropped
        return await onward(call)

    return rule


def cut(where: Where, times: Times) -> Rule:
    """The answer ends in its middle."""

    async def rule(call: Call, onward: Onward) -> Given:
        given = await onward(call)
        if where(call) and times.more():
            times.done += 1
            return replace(given, cut=True)
        return given

    return rule


def away(status: int, retry_after: Callable[[], dict[str, str]], where: Where, times: Times) -> Rule:
    """The hub has no time now (RFC 9110 §10.2.3): a problem with Retry-After, and whatever headers it gives."""

    async def rule(call: Call, onward: Onward) -> Given:
        if not (where(call) and times.more()):
            return await onward(call)
        times.done += 1
        problem = {
            "type": "/problems/unavailable",
            "status": status,
            "title": "暂不可用 · unavailable",
            "detail": "the conformance kit says so",
            "retryable": True,
        }
        headers = {"Content-Type": "application/problem+json"} | retry_after()
        return Given(status, headers, json.dumps(problem).encode())

    return rule


def slow(where: Where, seconds: float) -> Rule:
    """Answers take `seconds` longer."""

    async def rule(call: Call, onward: Onward) -> Given:
        given = await onward(call)
        if where(call):
            await asyncio.sleep(seconds)
        return given

    return rule


def skewed(by: timedelta) -> Rule:
    """The Date of every answer is off (RFC 9110 §6.6.1)."""

    async def rule(call: Call, onward: Onward) -> Given:
        given = await onward(call)
        return replace(given, headers=dict(given.headers) | {"Date": http_date(datetime.now(UTC) + by)})

    return rule


def http_date(moment: datetime) -> str:
    """As RFC 9110 §5.6.7 writes it."""
    return format_datetime(moment, usegmt=True)


def limited(limit: int) -> Rule:
    """Pages of so many items, whatever was asked for."""

    async def rule(call: Call, onward: Onward) -> Given:
        if call.polls:
            call.query = call.query | {"limit": str(limit)}
        return await onward(call)

    return rule


def repeated(times: Times, where: Where = everything) -> Rule:
    """A page of the mailbox comes again where the next belongs, as from a cache in between."""
    last: list[Given] = []

    async def rule(call: Call, onward: Onward) -> Given:
        if call.polls and last and times.more():
            times.done += 1
            return last[-1]
        given = await onward(call)
        if call.polls and given.status == 200 and json.loads(given.body).get("items") and where(call):
            last[:] = [given]
        return given

    return rule


def held(where: Where) -> Rule:
    """Calls wait for as long as the rule lasts; then polls begin again."""

    async def rule(call: Call, onward: Onward) -> Given:
        if where(call):
            await asyncio.Event().wait()
        return await onward(call)

    return rule


def altered(where: Where, change: Callable[[Any], Any]) -> Rule:
    """JSON answers say something else."""

    async def rule(call: Call, onward: Onward) -> Given:
        given = await onward(call)
        if not where(call) or not re.match(r"application/([a-z-]+\+)?json", given.headers.get("Content-Type", "")):
            return given
        return replace(given, body=json.dumps(change(json.loads(given.body)), ensure_ascii=False).encode())

    return rule
