"""A province's platform as a partner: messages are pushed to it, its records are pulled or taken, receipts go back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import msgspec
from aiohttp import web
from yarl import URL

from adapters.provincial import mapping, reading, signatures, translating
from adapters.provincial.calling import Answer, Caller, filled, shown
from adapters.provincial.case_numbers import CaseNumbers, NumberTaken
from adapters.provincial.expressions import Expression, Unmapped
from adapters.provincial.mapping import MessageRule, Rules
from adapters.provincial.pulling import Puller
from adapters.provincial.reading import AnswerUnreadable
from adapters.provincial.receiving import Receiver
from adapters.provincial.settings import Settings
from adapters.provincial.signatures import IDEMPOTENCY, Signer
from adapters.running.configuration import AdapterConfigInvalid, Common
from adapters.running.kinds import Offering
from adapters.running.partner import (
    Collected,
    Delivery,
    Offer,
    Outcome,
    Partner,
    PartnerRejected,
    PartnerUnreachable,
)
from protocols.loading import Catalogue

PUSHED: Final = ("type", "id", "case", "number", "organisation")
SETTLED: Final = ("record", "key", "case", "message", "number")
"""What addresses may have in braces."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A section made ready: nothing is called, everything is looked at."""

    rules: Rules
    caller: Caller
    puller: Puller | None
    signer: Signer | None
    places: Mapping[str, URL]
    """Where each type of message goes."""
    settled: URL | None
    taken: Expression | None
    again: Expression | None

    @classmethod
    def of(cls, settings: Settings, known: Catalogue) -> Self:
        """The parts of a section, by the protocols that are known. Raises AdapterConfigInvalid."""
        rules, caller, push = mapping.load(settings.mapping, known), Caller(settings), settings.push
        if push is None and rules.messages:
            raise AdapterConfigInvalid("the mapping has messages, and there is no push")
        pushed = push.url if push is not None else ""
        taken, again = (None, None) if push is None else (push.taken, push.again)
        return cls(
            rules=rules,
            caller=caller,
            puller=Puller(settings.pull, caller) if settings.pull else None,
            signer=signatures.signer(push) if push else None,
            places={type: caller.guard.url(rule.url or pushed, PUSHED) for type, rule in rules.messages.items()},
            settled=caller.guard.url(settings.settle.url, SETTLED) if settings.settle else None,
            taken=mapping.compiled(taken, "push.taken") if taken else None,
            again=mapping.compiled(again, "push.again") if again else None,
        )


class Platform(Partner):
    """One platform, on behalf of one or many organisations."""

    def __init__(self, common: Common, settings: Settings, offer: Offering) -> None:
        """Raises AdapterConfigInvalid."""
        self._settings, self._organisations = settings, common.organisations
        self._parts = Parts.of(settings, common.catalogue())
        self._cases = CaseNumbers(Path(common.store))
        self._receiver = None
        if settings.webhook is not None:
            self._receiver = Receiver(settings.webhook, tuple(self._parts.rules.records), self._offered, offer)

    async def __aenter__(self) -> Self:
        await self._parts.caller.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._parts.caller.close()
        self._cases.close()

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        return self._receiver.routes() if self._receiver is not None else ()

    # Down -------------------------------------------------------------------------------------------------

    async def deliver(self, delivery: Delivery) -> None:
        event = delivery.item.event
        if self._parts.rules.ignores(event.type):
            return
        rule = self._parts.rules.messages.get(event.type)
        if rule is None:
            raise PartnerRejected(f"the mapping has no message {event.type}")
        if delivery.unopened is not None:
            raise PartnerRejected(f"it can't be opened here: {delivery.unopened}")
        view = translating.seen(delivery, self._cases.number(event.subject))
        try:
            body = msgspec.json.encode(translating.body_of(rule, view))
        except (Unmapped, ValueError) as fault:
            raise PartnerRejected(fault.detail if isinstance(fault, Unmapped) else "the body is no JSON") from None
        url = filled(self._parts.places[event.type], {name: str(value) for name, value in view.items()})
        if url is None:
            raise PartnerRejected(f"no address for {event.type}: what it names is not there")
        assert self._settings.push is not None
        self._numbered(
            rule, event.subject, await self._pushed(self._settings.push.method, url, self._id(delivery), body)
        )

    def _id(self, delivery: Delivery) -> str:
        """By what the platform knows a message again: its id, with whose it is where several of ours get it."""
        event = delivery.item.event
        ours = [one for one in event.recipients if one in self._organisations]
        return event.id if len(ours) < 2 else f"{event.id}.{delivery.organisation}"

    def _numbered(self, rule: MessageRule, case: str, answer: Answer) -> None:
        """Keep the number that the platform gave the case."""
        if rule.number is None:
            return
        try:
            number = translating.number_in(rule.number, reading.loads(answer.body)) if answer.body else None
            if number is not None:
                self._cases.link(number, case)
        except AnswerUnreadable as fault:
            raise PartnerUnreachable(fault.detail) from None  # whoever answered: it is asked again under the same key
        except (Unmapped, NumberTaken) as fault:
            raise PartnerRejected(f"the platform took it, but: {fault.detail}") from None

    async def _pushed(self, method: str, url: URL, key: str, body: bytes) -> Answer:
        headers = {"Content-Type": "application/json", IDEMPOTENCY: f'"{key}"'}
        if self._parts.signer is not None:
            headers |= self._parts.signer.headers(method, str(url), headers, body)
        answer = await self._parts.caller.call(method, url, headers, body)
        if self._parts.again is not None and _says(self._parts.again, answer):
            raise PartnerUnreachable("the platform says that it can't just now")
        if self._parts.taken is not None and not _says(self._parts.taken, answer):
            raise PartnerRejected(f"the platform answered {answer.status}: {shown(answer.body)}")
        return answer

    # Up ---------------------------------------------------------------------------------------------------

    async def collect(self, cursor: str | None) -> Collected:
        if self._parts.puller is None:
            return Collected((), cursor)
        page = await self._parts.puller.page(cursor)
        return Collected([self._offered(kind, item) for kind, item in page.items], page.cursor, page.more)

    def _offered(self, record: str, item: Any) -> Offer:
        return translating.offered(self._parts.rules, record, item, self._cases, self._organisations)

    def reconsider(self, offer: Offer) -> Offer:
        raw = offer.raw if isinstance(offer.raw, dict) else {}
        record, item = raw.get("record"), raw.get("item")
        if not isinstance(record, str):
            return offer
        return msgspec.structs.replace(self._offered(record, item), key=offer.key)

    async def settle(self, offer: Offer, outcome: Outcome) -> None:
        if self._parts.settled is None or not isinstance(offer.raw, dict):
            return
        told = {"record": offer.raw.get("record"), "key": offer.raw.get("key"), "message": outcome.message,
                "case": outcome.case, "number": self._cases.number(outcome.case) if outcome.case else None}  # fmt: skip
        url = filled(self._parts.settled, told)
        if url is None:  # what has no key or no case can't be told where they name the place
            return
        body = told | {"taken": outcome.taken, "receipt": outcome.receipt, "problem": outcome.problem}
        assert self._settings.settle is not None
        encoded = msgspec.json.encode({name: value for name, value in body.items() if value is not None})
        key = f"{offer.key}/{'taken' if outcome.taken else 'refused'}"
        await self._pushed(self._settings.settle.method, url, key, encoded)


def _says(expression: Expression, answer: Answer) -> bool:
    """Whether an expression is true of an answer. Raises PartnerUnreachable where it is no answer of the platform's."""
    try:
        return expression.of(reading.loads(answer.body)) is True
    except AnswerUnreadable as fault:
        raise PartnerUnreachable(fault.detail) from None
    except Unmapped:
        return False
