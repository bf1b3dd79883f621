"""How we prove ourselves to the platform: an API key, OAuth 2.0 client credentials, or a signature with SM2.

A proof is made for each request; secrets are read when they are wanted, and stand in no fault and no log.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import quote_plus, urlencode

from yarl import URL

from adapters.provincial import reading
from adapters.provincial.settings import Authentication, Key, OAuth, Sm2
from adapters.running.configuration import AdapterConfigInvalid
from adapters.running.partner import PartnerUnreachable
from keys import sm2
from keys.errors import Fault

Asked = Callable[[str, URL, dict[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""One bounded, guarded call without a proof: method, address, headers, body; the status and the body."""
FORM: Final = "application/x-www-form-urlencoded"
LIFETIME: Final = 300.0
"""Seconds that a token is used where the platform does not say."""


class Proof(Protocol):
    """What stands in a request so that the platform knows who asks."""

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        """The headers of one request. Raises PartnerUnreachable."""

    def renewed(self) -> bool:
        """The platform said 401: whether another try can do better."""


class Nothing:
    """No proof in the request itself."""

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        return {}

    def renewed(self) -> bool:
        return False


class ByKey(Nothing):
    """An API key."""

    def __init__(self, said: Key) -> None:
        said.secret.read()
        self._said = said

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        return {self._said.header: self._said.prefix + self._said.secret.read()}


class ByToken:
    """A token got with the client's credentials, kept until shortly before it expires."""

    def __init__(self, said: OAuth, url: URL, asked: Asked) -> None:
        said.secret.read()
        self._said, self._url, self._asked = said, url, asked
        self._token, self._until = "", 0.0

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        if time.monotonic() >= self._until:
            self._token, lifetime = await self._fetched()
            self._until = time.monotonic() + lifetime - min(30.0, lifetime / 10)
        return {"Authorization": f"Bearer {self._token}"}

    def renewed(self) -> bool:
        self._until = 0.0
        return True

    async def _fetched(self) -> tuple[str, float]:
        form = {"grant_type": "client_credentials"} | ({"scope": self._said.scope} if self._said.scope else {})
        headers = {"Content-Type": FORM, "Accept": "application/json"}
        client, secret = self._said.client_id, self._said.secret.read()
        if self._said.proof == "header":
            both = f"{quote_plus(client)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(both).decode()}"
        else:
            form |= {"client_id": client, "client_secret": secret}
        status, answer = await self._asked("POST", self._url, headers, urlencode(form).encode())
        if status != 200:
            raise PartnerUnreachable(f"the platform gives no token: {status}")
        return _token(reading.loads(answer))


class BySm2(Nothing):
    """A signature with SM2 over a text that the section describes."""

    def __init__(self, said: Sm2) -> None:
        self._said = said
        try:
            self._sign = sm2.signer(json.loads(said.key_file.read_bytes()))
            self._text("GET", URL("https://example.invalid/"), b"", "0", "0")
        except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise AdapterConfigInvalid(f"sm2: {said.key_file} or text: {type(error).__name__} {error}") from None
        except Fault as fault:
            raise AdapterConfigInvalid(f"sm2: {fault.detail}") from None

    async def headers(self, method: str, url: URL, body: bytes) -> dict[str, str]:
        now = time.time_ns() // (1_000_000 if self._said.clock == "milliseconds" else 1_000_000_000)
        nonce = secrets.token_hex(16)
        signature = self._sign(self._text(method, url, body, str(now), nonce).encode())
        written = signature.hex() if self._said.encoding == "hex" else base64.b64encode(signature).decode()
        return {self._said.appid_header: self._said.appid, self._said.timestamp_header: str(now),
                self._said.nonce_header: nonce, self._said.signature_header: written}  # fmt: skip

    def _text(self, method: str, url: URL, body: bytes, timestamp: str, nonce: str) -> str:
        held = {
            "appid": self._said.appid, "timestamp": timestamp, "nonce": nonce, "method": method,
            "path": url.raw_path, "query": url.raw_query_string, "body": body.decode("utf-8", "replace"),
            "body_sha256": hashlib.sha256(body).hexdigest(),
            "body_sm3": _sm3(body) if "{body_sm3}" in self._said.text else "",
        }  # fmt: skip
        return self._said.text.format_map(held)


def proof(said: Authentication, url: Callable[[str], URL], asked: Asked) -> Proof:
    """The proof of a section. Raises AdapterConfigInvalid."""
    if isinstance(said, Key):
        return ByKey(said)
    if isinstance(said, OAuth):
        return ByToken(said, url(said.token_url), asked)
    return BySm2(said) if isinstance(said, Sm2) else Nothing()


def _token(answer: Any) -> tuple[str, float]:
    """The token and its seconds (RFC 6749 §5.1). Raises PartnerUnreachable."""
    held = answer if isinstance(answer, dict) else {}
    token, seconds = held.get("access_token"), held.get("expires_in", LIFETIME)
    if not isinstance(token, str) or not token or not (token.isascii() and token.isprintable()):
        raise PartnerUnreachable("the platform's answer holds no access_token")
    if str(held.get("token_type", "bearer")).lower() != "bearer":
        raise PartnerUnreachable("the platform's token is no bearer token")
    usable = isinstance(seconds, int | float) and 0 < seconds < 10**8
    return token, float(seconds) if usable else LIFETIME


def _sm3(body: bytes) -> str:
    """SM3 (GB/T 32905) of the body. Raises ValueError where this OpenSSL has none."""
    return hashlib.new("sm3", body).hexdigest()
