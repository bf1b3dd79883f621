"""What the platform sends by itself: `POST /provincial/{record}`, proved, bounded, kept before it is answered."""

import hmac
from collections.abc import Callable, Sequence
from typing import Any, Final

from aiohttp import web

from adapters.provincial import reading, signatures
from adapters.provincial.reading import AnswerUnreadable
from adapters.provincial.settings import Webhook
from adapters.running.configuration import AdapterConfigInvalid
from adapters.running.kinds import Offering
from adapters.running.partner import Offer

PATH: Final = "/provincial/{record}"


class Receiver:
    """The calls of one platform. `offered` makes an offer of a record, `records` are the kinds that there are."""

    def __init__(
        self, said: Webhook, records: Sequence[str], offered: Callable[[str, Any], Offer], offer: Offering
    ) -> None:
        """Raises AdapterConfigInvalid where the platform would not have to prove itself."""
        self._said, self._records, self._offered, self._offer = said, frozenset(records), offered, offer
        self._verifier = signatures.verifier(said)
        if said.secret is None and self._verifier is None:
            raise AdapterConfigInvalid("webhook: the platform proves itself by a secret or by keys; name one")
        if said.secret is not None:
            said.secret.read()
        if self._verifier is not None and said.url is None:
            raise AdapterConfigInvalid("webhook: signatures need url, the address as the platform writes it")

    def routes(self) -> list[web.AbstractRouteDef]:
        """The one call."""
        return [web.post(PATH, self._taken)]

    async def _taken(self, request: web.Request) -> web.Response:
        try:
            proved = self._has_key(request)
        except AdapterConfigInvalid:
            return _problem(503, "the key can't be looked up just now")
        if not proved:
            return _problem(401, "the key is missing or wrong")
        body = await self._body(request)
        if body is None:
            return _problem(413, f"at most {self._said.largest} bytes")
        if self._verifier is not None and not self._signed(request, body):
            return _problem(401, "the signature is missing or does not hold (RFC 9421)")
        record = request.match_info["record"]
        if record not in self._records:
            return _problem(404, "the mapping has no such record")
        try:
            item = reading.loads(body)
        except AnswerUnreadable as fault:
            return _problem(400, fault.detail)
        offer = self._offered(record, item)
        fresh = self._offer(offer)
        told = {"key": offer.key, "known": not fresh} | ({"problem": offer.problem} if offer.problem else {})
        return web.json_response(told, status=202)

    def _has_key(self, request: web.Request) -> bool:
        if self._said.secret is None:
            return True
        given = request.headers.get(self._said.header, "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._said.secret.read().encode())

    def _signed(self, request: web.Request, body: bytes) -> bool:
        assert self._verifier is not None and self._said.url is not None
        url = self._said.url.rstrip("/") + request.rel_url.raw_path_qs
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
        return self._verifier.holds(request.method, url, headers, body)

    async def _body(self, request: web.Request) -> bytes | None:
        """The body, None where it is too large."""
        if (request.content_length or 0) > self._said.largest:
            return None
        found = bytearray()
        async for chunk in request.content.iter_chunked(1 << 16):
            found += chunk
            if len(found) > self._said.largest:
                return None
        return bytes(found)


def _problem(status: int, detail: str) -> web.Response:
    return web.json_response({"status": status, "detail": detail}, status=status,
                             content_type="application/problem+json")  # fmt: skip
