"""One call of the platform: guarded, proved, paced, bounded in time and size, never redirected; its answer judged."""

import asyncio
import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from adapters.client.patience import retry_after
from adapters.provincial.authentication import Proof, proof
from adapters.provincial.guarding import Guard
from adapters.provincial.settings import Certificate, Settings
from adapters.running.configuration import AdapterConfigInvalid
from adapters.running.partner import PartnerRejected, PartnerUnreachable
from protocols import tracing

AGAIN: Final = frozenset({401, 408, 425, 429})
"""Refusals that are not about the message: too early, too often, or of our own proof, which may have expired."""
JSON: Final = "application/json"
_PLACE: Final = re.compile(r"%7B([a-z]+)%7D")


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    link: str | None = None
    """Where its Link header says the next page is (RFC 8288)."""


class Caller:
    """The platform's other end. Use as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        """Raises AdapterConfigInvalid."""
        self.guard = Guard(settings.networks(), settings.allow_http)
        self._largest, self._timeout = settings.largest, settings.timeout
        self._gap = 60.0 / settings.per_minute if settings.per_minute else 0.0
        self._next, self._turn = 0.0, asyncio.Lock()
        self._tls = _tls(settings)
        self._session: aiohttp.ClientSession | None = None
        self._proof: Proof = proof(settings.authentication, self.guard.url, self._asked)

    async def open(self) -> None:
        """Begin."""
        self._session = aiohttp.ClientSession(
            connector=self.guard.connector(ssl=self._tls, limit=16),
            timeout=aiohttp.ClientTimeout(total=self._timeout, sock_connect=min(10.0, self._timeout)),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "xieban"},
        )

    async def close(self) -> None:
        """End."""
        if self._session is not None:
            await self._session.close()

    async def call(self, method: str, url: URL, headers: Mapping[str, str] | None = None, body: bytes = b"") -> Answer:
        """Ask, proved; once more with a new token after a 401. Raises PartnerUnreachable, PartnerRejected."""
        asked = {"Accept": JSON} | ({"Content-Type": JSON} if body else {}) | dict(headers or {})
        asked |= tracing.outgoing()
        answer = await self._proved(method, url, asked, body)
        if answer.status == 401 and self._proof.renewed():
            answer = await self._proved(method, url, asked, body)
        return judged(answer)

    async def _proved(self, method: str, url: URL, headers: dict[str, str], body: bytes) -> Answer:
        return await self._exchange(method, url, headers | await self._proof.headers(method, url, body), body)

    async def _asked(self, method: str, url: URL, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        answer = await self._exchange(method, url, headers, body)
        if answer.status in (429, 503):
            judged(answer)
        return answer.status, answer.body

    async def _exchange(self, method: str, url: URL, headers: dict[str, str], sent: bytes) -> Answer:
        if self._session is None:
            raise PartnerUnreachable("the adapter does not run")
        await self._paced()
        try:
            async with self._session.request(
                method, url, headers=headers, data=sent or None, allow_redirects=False
            ) as response:
                following = response.links.get("next")
                link = None if following is None else str(following.get("url") or "") or None
                return Answer(response.status, response.headers, await self._read(response), link)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            why = "" if isinstance(error, aiohttp.ClientResponseError) else f" {str(error)[:160]}"
            raise PartnerUnreachable(f"{url.host}: {type(error).__name__}{why}") from None

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        found = bytearray()
        async for chunk in response.content.iter_chunked(1 << 16):
            found += chunk
            if len(found) > self._largest:
                response.close()
                raise PartnerUnreachable(f"the platform answers with more than {self._largest} bytes; see largest")
        return bytes(found)

    async def _paced(self) -> None:
        if not self._gap:
            return
        async with self._turn:
            await asyncio.sleep(max(0.0, self._next - time.monotonic()))
            self._next = time.monotonic() + self._gap


def judged(answer: Answer) -> Answer:
    """The answer, if it is a success. Raises PartnerUnreachable (with `after` where asked for), PartnerRejected."""
    status = answer.status
    if 200 <= status < 300:
        return answer
    if 400 <= status < 500 and status not in AGAIN:
        raise PartnerRejected(f"the platform answered {status}: {shown(answer.body)}")
    if 300 <= status < 400:
        raise PartnerUnreachable(f"the platform answered {status}, and redirects are not followed")
    after = retry_after(answer.headers.get("Retry-After"), answer.headers.get("Date"), datetime.now(UTC))
    asked = {} if after is None else {"after": after}
    raise PartnerUnreachable(f"the platform answered {status}", **asked)


def shown(body: bytes) -> str:
    """The beginning of an answer for a person who looks into why; kept in a dead letter, never in a log."""
    text = body[:400].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text)[:200]


def filled(url: URL, held: Mapping[str, str | None]) -> URL | None:
    """The address with its places filled in, each as one step of a path; None where one is missing."""
    if any(held.get(name) in (None, "", ".", "..") for name in _PLACE.findall(str(url))):
        return None
    return URL(_PLACE.sub(lambda place: quote(str(held[place[1]]), safe=""), str(url)), encoded=True)


def _tls(settings: Settings) -> ssl.SSLContext:
    """The platform's certificate is always verified; ours is shown where there is one."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
        if settings.tls is not None:
            _show(context, settings.tls)
    except (OSError, ValueError) as error:
        raise AdapterConfigInvalid(f"tls, ca_file: {type(error).__name__}: {error}") from None
    return context


def _show(context: ssl.SSLContext, ours: Certificate) -> None:
    # Without a passphrase OpenSSL would ask the terminal for one.
    passphrase = ours.passphrase.read() if ours.passphrase else ""
    context.load_cert_chain(ours.certificate, ours.key, password=lambda: passphrase)
