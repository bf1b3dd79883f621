"""A partner with an access point: messages pushed to it or kept until it pulls them, each until its receipt is here."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, NoReturn, Self

from aiohttp import ClientConnectorError, ClientError, ClientSession, ClientTimeout, StreamReader, web

from adapters.as4 import content, envelope, messaging, mime, packing
from adapters.as4.endpoint import Bell, Endpoint
from adapters.as4.errors import PASSING, EbmsError, MissingReceipt
from adapters.as4.ledger import Ledger, Sent
from adapters.as4.messaging import ErrorSignal, ReceiptSignal, UserMessage
from adapters.as4.names import DEFAULT_MPC
from adapters.as4.packing import Payload
from adapters.as4.settings import Agreement
from adapters.running.kinds import Offering
from adapters.running.partner import Delivery, Offer, Outcome, Partner, PartnerRejected, PartnerUnreachable

LOOK: Final = 5.0
"""Seconds between two looks at a message that waits to be pulled, were the bell not rung."""
LARGEST_ANSWER: Final = 1 << 20


class AccessPoint(Partner):
    """The partner of one agreement."""

    def __init__(self, agreement: Agreement, ledger: Ledger, offer: Offering) -> None:
        self._agreement, self._ledger, self._bell = agreement, ledger, Bell()
        self._endpoint = Endpoint(agreement, ledger, self._bell, offer)
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(timeout=ClientTimeout(total=self._agreement.settings.receipt_within))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        self._ledger.close()

    def ends(self) -> Sequence[datetime]:
        """When ours and the partner's certificates end."""
        identity = self._agreement.identity
        held = (identity.certificate, identity.partner, identity.partner_encryption)
        return tuple(one.not_valid_after_utc for one in held)

    def routes(self) -> Sequence[web.AbstractRouteDef]:
        """The endpoint."""
        return (web.post("/as4", self._endpoint.post),)

    async def deliver(self, delivery: Delivery) -> None:
        """Hand a message over; done when its receipt is here."""
        sent = self._kept(*content.going_down(self._agreement, delivery, datetime.now(UTC)))
        if sent.state == "receipted":
            return
        if self._agreement.url is None:
            await self._signed_for(sent.id, None)
        else:
            await self._pushed(sent)

    async def settle(self, offer: Offer, outcome: Outcome) -> None:
        """Send the hub's receipt, or why there is none; where the partner pulls, it waits there."""
        sent = self._kept(*content.going_back(self._agreement, offer, outcome, datetime.now(UTC)))
        if sent.state == "waiting" and self._agreement.url is not None:
            await self._pushed(sent)

    def _kept(self, message: UserMessage, payloads: Sequence[Payload]) -> Sent:
        """The message with its bytes: those that went out before, or new ones where it failed."""
        known = self._ledger.sent(message.id)
        if known is not None and known.state != "failed":
            return known
        self._ledger.drop(message.id)
        parts, attachments = packing.attached(payloads)
        mpc = self._agreement.settings.mpc if self._agreement.url is None else DEFAULT_MPC
        header = messaging.user_message(message, parts, None if mpc == DEFAULT_MPC else mpc)
        sent = self._ledger.keep(message.id, packing.sealed(self._agreement.identity, header, attachments))
        self._bell.ring()
        return sent

    async def _signed_for(self, id: str, within: float | None) -> bool:
        """Wait for the receipt; False where it did not come. Raises PartnerRejected."""
        loop = asyncio.get_running_loop()
        until = None if within is None else loop.time() + within
        while True:
            sent = self._ledger.sent(id)
            if sent is None or sent.state == "failed":
                raise PartnerRejected((sent.problem if sent else None) or "the partner does not take it")
            if sent.state == "receipted":
                return True
            left = LOOK if until is None else until - loop.time()
            if left <= 0:
                return False
            await self._bell.wait(min(left, LOOK))

    async def _pushed(self, sent: Sent) -> None:
        """Send the bytes and take the receipt, from the answer or from a call of the partner's own."""
        assert self._session is not None and self._agreement.url is not None
        headers = {"Content-Type": sent.sealed.content_type}
        try:
            async with self._session.post(
                self._agreement.url, data=sent.sealed.body, headers=headers, allow_redirects=False,
                ssl=self._agreement.tls or True,
            ) as answer:  # fmt: skip
                status, kind = answer.status, answer.headers.get("Content-Type", "")
                after = answer.headers.get("Retry-After", "")
                body = await _at_most(LARGEST_ANSWER, answer.content)
        except ClientConnectorError as error:
            raise PartnerUnreachable(f"the access point can't be reached: {error}") from None
        except (ClientError, TimeoutError) as error:
            self._unanswered(sent, f"the answer did not come: {type(error).__name__}")
        if _is_message(kind) and body:
            await self._judged(sent, kind, body)
        elif status >= 300:  # it says itself that it did not take it: a proxy, a path, a pause
            raise PartnerUnreachable(
                f"the access point answers {status}", after=int(after) if after.isdigit() else None
            )
        elif not await self._signed_for(sent.id, self._agreement.settings.receipt_within):
            self._unanswered(sent, "the receipt did not come")

    async def _judged(self, sent: Sent, kind: str, body: bytes) -> None:
        """What the partner answers. Raises PartnerRejected, PartnerUnreachable."""
        try:
            unit = (await packing.opened(self._agreement.identity, kind, body, datetime.now(UTC))).unit
            if isinstance(unit, ReceiptSignal) and unit.ref == sent.id:
                self._endpoint.receipted(unit, body)
                return
        except EbmsError as error:
            self._unanswered(sent, f"{content.refused(error)}{await _unsigned(kind, body)}")
        if not isinstance(unit, ErrorSignal) or unit.ref not in (None, sent.id):
            self._unanswered(sent, "the answer is about another message")
        why = " · ".join(f"{code} {said}" for code, said in unit.errors)
        if all(code in PASSING for code, _ in unit.errors):
            raise PartnerUnreachable(why)
        self._ledger.failed(sent.id, why)
        raise PartnerRejected(why)

    def _unanswered(self, sent: Sent, why: str) -> NoReturn:
        """It went out and no receipt came: again later with the same id, until it was often enough."""
        attempts = self._ledger.handed_out(sent.id, 0)
        if attempts < self._agreement.settings.attempts:
            raise PartnerUnreachable(why)
        given_up = content.refused(MissingReceipt(f"sent {attempts} times; {why}"))
        self._ledger.failed(sent.id, given_up)
        raise PartnerRejected(given_up)


async def _at_most(most: int, content: StreamReader) -> bytes:
    """The body, as much of it as is looked at: one that is longer is no signal."""
    held = bytearray()
    async for chunk in content.iter_chunked(1 << 16):
        held += chunk
        if len(held) > most:
            return b""
    return bytes(held)


def _is_message(kind: str) -> bool:
    return kind.partition(";")[0].strip().lower() in ("application/soap+xml", "multipart/related")


async def _unsigned(kind: str, body: bytes) -> str:
    """What an answer without a good signature claims, for people to read; nothing is decided by it."""
    try:
        unit = messaging.read(envelope.opened((await mime.unpacked(kind, body)).envelope).messaging)
    except EbmsError:
        return ""
    if not isinstance(unit, ErrorSignal):
        return ""
    return " (unsigned: " + " · ".join(f"{code} {said}" for code, said in unit.errors)[:200] + ")"
