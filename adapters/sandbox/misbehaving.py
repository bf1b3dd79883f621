"""What goes wrong between the partner and the hub when it works with some counterparts: rules of the kit's proxy."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.client import messages
from adapters.conformance import faults
from adapters.conformance.faults import Times, Where
from adapters.conformance.proxy import Call, Given, Onward, Proxy, Rule
from adapters.conformance.scenarios.contents import ALTERATIONS
from adapters.conformance.stage import messages_in
from protocols.envelope import Event

RETRY_AFTER: Final = {"Retry-After": "1"}
ALTERED: Final = 2
"""So many times a message is handed out altered, before it comes as it is."""
KEPT: Final = 1000
"""So many of the last calls are remembered."""


def rules(cast: Mapping[str, str], delay: float, proxy: Proxy) -> Iterator[Rule]:
    """The rules for counterparts by the names of their scripts."""
    yield _forgetting(proxy)
    lossy, busy = Tries(cast["lossy"]), Tries(cast["busy"])
    yield faults.lost(lossy.is_number(1), Times(None))
    yield faults.dropped(lossy.is_number(2), Times(None))
    yield faults.away(503, lambda: dict(RETRY_AFTER), busy.is_number(1), Times(None))
    yield faults.away(429, lambda: dict(RETRY_AFTER), busy.is_number(2), Times(None))
    yield faults.slow(lambda call: bool(_sent_to(call, cast["slow"])), delay)
    yield Pages(cast["repeats"]).rule()
    yield faults.altered(faults.polls, Tampering(cast["altered"]))


def _sent_to(call: Call, organisation: str) -> list[str]:
    """The ids of the messages to an organisation that a call sends."""
    if not call.sends:
        return []
    return [event.id for event, _ in messages_in(call).values() if organisation in event.recipients]


class Tries:
    """How often each message to an organisation was sent."""

    def __init__(self, organisation: str) -> None:
        self._organisation = organisation
        self._calls: dict[str, list[Call]] = {}

    def is_number(self, number: int) -> Where:
        """Calls that send a message to it for this time."""
        return lambda call: self._number(call) == number

    def _number(self, call: Call) -> int:
        """Which of a message's sendings this call is; 0 for every other call."""
        for message in _sent_to(call, self._organisation):
            calls = self._calls.setdefault(message, [])
            if not any(one is call for one in calls):
                calls.append(call)
            return next(number for number, one in enumerate(calls, 1) if one is call)
        return 0


class Tampering:
    """Alters an organisation's messages the first times that they are handed out, each in one of the kit's ways.

    One message of a page at a time, the first: who stops there meets the alteration of each.
    """

    def __init__(self, source: str) -> None:
        self._source = source
        self._handed_out: Counter[str] = Counter()

    def __call__(self, page: Any) -> Any:
        """The page as it is handed out."""
        for item, event in _messages(page):
            if event.source == self._source and self._handed_out[event.id] < ALTERED:
                self._handed_out[event.id] += 1
                way = list(self._handed_out).index(event.id) % len(ALTERATIONS)
                ALTERATIONS[way](item)
                break
        return page


class Pages:
    """Hands out again, once, each page with a message of an organisation that no page had before."""

    def __init__(self, source: str) -> None:
        self._source, self._seen, self._times = source, set[str](), Times(0)

    def rule(self) -> Rule:
        """As a rule of the proxy."""
        return faults.repeated(self._times, self._new)

    def _new(self, call: Call) -> bool:
        events = [event for _, event in _messages(json.loads(call.answer))]
        found = {event.id for event in events if event.source == self._source} - self._seen
        self._seen |= found
        if found:
            assert self._times.left is not None
            self._times.left += 1
        return bool(found)


def _messages(page: Any) -> Iterator[tuple[dict[str, Any], Event]]:
    """The items of a page that hold a message, with what that says; a refusal holds none."""
    for item in page.get("items", ()):
        if item.get("message"):
            yield item, messages.read(item["message"].encode())[1]


def _forgetting(proxy: Proxy) -> Rule:
    """The proxy remembers every call for a judge; here nobody judges."""

    async def rule(call: Call, onward: Onward) -> Given:
        del proxy.calls[:-KEPT]
        return await onward(call)

    return rule
