"""One hub over HTTP: calls repeated while it is away, every answer judged before anybody reads it."""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from adapters.client.certificate import CERTIFICATE, of_environment
from adapters.client.faults import AddressInvalid, AnswerInvalid, ClientClosed, Refused, Undecided
from adapters.client.patience import Patience, retry_after
from protocols import tracing

JSON: Final = ("application/json", "application/jwk-set+json", "application/schema+json")
JOSE: Final = ("application/jose",)
NDJSON: Final = ("application/x-ndjson",)
EVERYTHING_WITHIN: Final = 30.0
"""Seconds for one try, beside what a long poll waits."""
CONNECT_WITHIN: Final = 10.0
MAX_ANSWER: Final = 64 << 20
"""Longest answer taken, in bytes, where a call does not say otherwise."""
_AWAY: Final = frozenset({408, 425, 429, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Call:
    """One call: where, with what body, and what media type its answer may have. `wait` is that of a long poll."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: bytes | None = None
    media: str | None = None
    expects: tuple[str, ...] = JSON
    token: bool = True
    wait: float = 0.0
    at_most: int = MAX_ANSWER
    headers: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Away:
    """Why a try was in vain, to be repeated; `asked` are the seconds that the hub wants to be left alone."""

    why: str
    asked: float | None = None
    problem: Mapping[str, Any] | None = None


class Connection:
    """HTTP to one hub. Use as an async context manager.

    `token` makes a bearer token for one try; without it calls go out without. `tls` says whom to trust, and may hold a
    certificate to show; without it the environment says (`certificate.of_environment`). Raises AddressInvalid,
    CertificateUnusable.
    """

    def __init__(
        self,
        url: str,
        patience: Patience | None = None,
        token: Callable[[], str | None] | None = None,
        tls: ssl.SSLContext | None = None,
    ):
        self.url = url.rstrip("/")
        self.patience, self._token, self._tls = patience or Patience(), token, tls or of_environment()
        self._session: aiohttp.ClientSession | None = None
        try:
            parts = urlsplit(self.url)
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and not (parts.query or parts.fragment)
            fits = fits and parts.port != 0 and not any(char.isspace() for char in self.url)
        except ValueError:
            fits = False
        if not fits:
            raise AddressInvalid(f"{url[:200]!r} is not the address of a hub, such as https://hub.example")

    async def __aenter__(self) -> "Connection":
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=True if self._tls is None else self._tls)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def call(self, call: Call, patience: Patience | None = None) -> bytes:
        """The body of a successful answer of the right type. Raises Refused, Undecided, AnswerInvalid, ClientClosed.

        Repeating is safe for every call of the contract: the same bytes are taken once.
        """
        patience = patience or self.patience
        clock = asyncio.get_running_loop().time
        started, tried = clock(), 0
        while True:
            outcome = await self._try(call)
            if isinstance(outcome, bytes):
                return outcome
            tried += 1
            pause = patience.pause(tried, clock() - started, outcome.asked)
            if pause is None:
                raise Undecided(
                    f"no answer from {self.url} after {tried} tries: {outcome.why}",
                    retry_after=outcome.asked,
                    problem=outcome.problem,
                )
            await asyncio.sleep(pause)

    async def _try(self, call: Call) -> bytes | Away:
        if self._session is None:
            raise ClientClosed()
        timeout = aiohttp.ClientTimeout(total=EVERYTHING_WITHIN + call.wait, sock_connect=CONNECT_WITHIN)
        try:
            async with self._session.request(
                call.method,
                self.url + call.path,
                params=call.query,
                data=call.body,
                headers=self._headers(call),
                timeout=timeout,
                # A redirect would take a token or a message to somebody else.
                allow_redirects=False,
            ) as response:
                content = await _bounded(response, call.at_most)
        except aiohttp.ClientSSLError as error:
            raise Undecided(f"{self.url} does not prove who it is: {error}") from error
        except aiohttp.ClientResponseError as error:
            raise AnswerInvalid(f"{self.url} does not speak HTTP: {error.message[:200]}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Away(str(error) or type(error).__name__)
        return judge(call.expects, response.status, response.headers, content)

    def _headers(self, call: Call) -> dict[str, str]:
        headers = dict(call.headers or {}) | tracing.outgoing()
        headers |= {} if call.media is None else {"Content-Type": call.media}
        token = self._token() if call.token and self._token is not None else None
        return headers | ({} if token is None else {"Authorization": f"Bearer {token}"})


async def _bounded(response: aiohttp.ClientResponse, at_most: int) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(1 << 16):
        size += len(part)
        if size > at_most:
            raise AnswerInvalid(f"the answer is longer than {at_most} bytes", status=response.status)
        parts.append(part)
    return b"".join(parts)


def judge(expects: tuple[str, ...], status: int, headers: Mapping[str, str], content: bytes) -> bytes | Away:
    """What an answer means: its body, or that the hub is away for now. Raises Refused, AnswerInvalid.

    A problem (RFC 9457) that calls itself retryable means away, whatever its status; a refusal without a
    problem is not a hub's.
    """
    media = headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if 200 <= status < 300:
        if media not in expects:
            raise AnswerInvalid(f"{media[:80] or 'nothing'} came where {expects[0]} belongs", status=status)
        return content
    problem = read_problem(content) if media in ("application/problem+json", *JSON) else None
    if status in _AWAY or (problem is not None and problem.get("retryable") is True):
        asked = retry_after(headers.get("Retry-After"), headers.get("Date"), datetime.now(UTC))
        why = f"{status} {problem['detail'] if problem else 'without a problem'}"
        return Away(why, asked, problem)
    if problem is None:
        hint = f"; a proxy may want a certificate ({CERTIFICATE})" if status == 403 else ""
        said = f"status {status} with {media[:80] or 'no content'}, not with a hub's problem{hint}"
        raise AnswerInvalid(said, status=status)
    raise refusal(problem)


def read_problem(content: bytes) -> dict[str, Any] | None:
    """The RFC 9457 problem in an answer, None where it has no `type`, `title` and `detail`."""
    try:
        problem = msgspec.json.decode(content)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    if not isinstance(problem, dict):
        return None
    texts = [problem.get(name) for name in ("type", "title", "detail")]
    return problem if all(isinstance(text, str) and text for text in texts) else None


def refusal(problem: Mapping[str, Any]) -> Refused:
    """The fault that says what the hub's problem says."""
    return Refused(f"{problem['type']}: {problem['detail']}", problem=dict(problem))
