"""`POST /as4`: what the partner sends by itself, and what it pulls; every call ends with a signal or a 4xx."""

import asyncio
import contextlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog
from aiohttp import web
from lxml import etree

from adapters.as4 import content, messaging, mime, packing, receipts
from adapters.as4.errors import (
    PASSING,
    EbmsError,
    EmptyPartition,
    FailedAuthentication,
    FeatureNotSupported,
    InvalidHeader,
    InvalidReceipt,
    MimeInconsistency,
    MissingReceipt,
    ModeMismatch,
    ValueInconsistent,
)
from adapters.as4.ledger import Ledger, Sent
from adapters.as4.messaging import ErrorSignal, PullRequest, ReceiptSignal, UserMessage
from adapters.as4.packing import Opened
from adapters.as4.settings import Agreement
from adapters.running.partner import Offer

logger = structlog.get_logger()
PATIENCE: Final = 60.0
"""Seconds in which a request must have come whole."""
FRESH: Final = timedelta(minutes=5)
"""How far a pull request's time may be from now: it can't be used again later."""
UNREADABLE: Final = (MimeInconsistency, InvalidHeader, FeatureNotSupported)


class Bell:
    """Wakes whoever waits for the ledger to change."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def ring(self) -> None:
        """Something changed."""
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until the next ring, at most so many seconds."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), seconds)


class Endpoint:
    """The partner's way in. `offer` keeps what it has for the hub."""

    def __init__(self, agreement: Agreement, ledger: Ledger, bell: Bell, offer: Callable[[Offer], bool]) -> None:
        self._agreement, self._ledger, self._bell, self._offer = agreement, ledger, bell, offer

    async def post(self, request: web.Request) -> web.Response:
        """One message of the partner."""
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise web.HTTPUnsupportedMediaType(text="no content encoding is taken")
        body = await _whole(request)
        try:
            opened = await packing.opened(
                self._agreement.identity, request.headers.get("Content-Type", ""), body, datetime.now(UTC)
            )
            return await self._answered(opened, body)
        except EbmsError as error:
            if not isinstance(error, EmptyPartition):
                logger.warning("as4-refused", error=error.number, why=error.detail, message=error.message_id)
            return self._said(error)

    async def _answered(self, opened: Opened, body: bytes) -> web.Response:
        unit = opened.unit
        try:
            match unit:
                case UserMessage():
                    return self._taken(opened, unit)
                case PullRequest():
                    return await self._pulled(unit)
                case ReceiptSignal():
                    self.receipted(unit, body)
                case ErrorSignal():
                    self.failed(unit)
        except EbmsError as error:
            raise error.about(unit.id) from None
        return web.Response(status=202)

    def _taken(self, opened: Opened, message: UserMessage) -> web.Response:
        """Keep a message, once, and sign for it: for what came now, were it the tenth time."""
        digest = content.digest(opened)
        known = self._ledger.received(message.id)
        if known is None:
            self._offer(content.coming_up(self._agreement, message, opened))
            self._ledger.take(message.id, digest)
        elif known != digest:
            raise ValueInconsistent("another message had this id")
        evidence = receipts.evidence(opened.references)
        return self._signal(
            messaging.receipt_signal(self._agreement.us.id, message.id, datetime.now(UTC), evidence), 200
        )

    async def _pulled(self, request: PullRequest) -> web.Response:
        """The oldest message that waits on the channel."""
        if self._agreement.url is not None or request.mpc != self._agreement.settings.mpc:
            raise ModeMismatch("there is no such channel for this partner")
        if abs(datetime.now(UTC) - request.at) > FRESH:
            raise FailedAuthentication("the pull request is not of now")
        if not self._ledger.pull(request.id):
            raise FailedAuthentication("this pull request came before")
        loop = asyncio.get_running_loop()
        until = loop.time() + self._agreement.settings.pull_wait
        while (sent := self._next()) is None:
            left = until - loop.time()
            if left <= 0:
                raise EmptyPartition()
            await self._bell.wait(left)
        return web.Response(body=sent.sealed.body, headers={"Content-Type": sent.sealed.content_type})

    def _next(self) -> Sent | None:
        """What is handed out now; what went out too often without a receipt is given up."""
        settings = self._agreement.settings
        while (sent := self._ledger.oldest()) is not None and sent.attempts >= settings.attempts:
            self._ledger.failed(sent.id, content.refused(MissingReceipt(f"pulled {sent.attempts} times")))
            self._bell.ring()
        if sent is not None:
            self._ledger.handed_out(sent.id, settings.receipt_within)
        return sent

    def receipted(self, receipt: ReceiptSignal, envelope: bytes) -> None:
        """Keep a receipt for what was sent. Raises InvalidReceipt."""
        sent = self._ledger.sent(receipt.ref)
        if sent is None:
            raise InvalidReceipt("the receipt is for nothing that was sent")
        receipts.checked(receipt, sent.sealed.digests)
        self._ledger.receipted(sent.id, envelope)
        self._bell.ring()

    def failed(self, signal: ErrorSignal) -> None:
        """Note that the partner does not take what was sent, unless it may the next time."""
        why = " · ".join(f"{code} {said}" for code, said in signal.errors)
        logger.warning("as4-error", message=signal.ref, why=why)
        if signal.ref is not None and not all(code in PASSING for code, _ in signal.errors):
            self._ledger.failed(signal.ref, why)
            self._bell.ring()

    def _said(self, error: EbmsError) -> web.Response:
        header = messaging.error_signal(self._agreement.us.id, datetime.now(UTC), error)
        return self._signal(header, 400 if isinstance(error, UNREADABLE) else 200)

    def _signal(self, header: etree._Element, status: int) -> web.Response:
        sealed = packing.sealed(self._agreement.identity, header)
        return web.Response(status=status, body=sealed.body, headers={"Content-Type": sealed.content_type})


async def _whole(request: web.Request) -> bytes:
    """The body. Raises HTTPRequestEntityTooLarge, HTTPRequestTimeout, HTTPBadRequest."""
    too_large = web.HTTPRequestEntityTooLarge(mime.LARGEST, request.content_length or mime.LARGEST + 1)
    if (request.content_length or 0) > mime.LARGEST:
        raise too_large
    held = bytearray()
    try:
        async with asyncio.timeout(PATIENCE):
            async for chunk in request.content.iter_chunked(1 << 16):
                held += chunk
                if len(held) > mime.LARGEST:
                    raise too_large
    except TimeoutError:
        raise web.HTTPRequestTimeout() from None
    except web.HTTPException:
        raise
    except (web.RequestPayloadError, ValueError):
        raise web.HTTPBadRequest() from None
    return bytes(held)
