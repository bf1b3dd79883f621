"""A partner by the wire alone, without the SDK, that keeps to the contract but for the faults it is given."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from adapters.client import messages
from adapters.conformance.counterpart import REQUEST, request
from keys import jwk, jws, jwt
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey, parse_public
from protocols import envelope, receipt, sealing
from protocols.envelope import Event
from protocols.loading import BASE

HUB = "410000-hub"
FAULTS = (
    "no-verification",
    "new-ids",
    "hot-loop",
    "ignores-retry-after",
    "naive-date",
    "forgets",
    "no-acknowledge",
    "mixes-up",
    "old-keys",
    "strict",
    "trusts-date",
    "reads-anything",
    "impatient",
    "small",
    "silent",
    "keeps-cursor",
    "no-cause",
    "garbles",
    "no-schema",
)
"""Every way in which it can fail: see where each is named below."""


class Lost(Exception):
    """No answer came."""


class Unbelievable(Exception):
    """What came is not what it must be."""


@dataclass
class Careless:
    """One organisation at one hub; what it signed it keeps in memory, over its restarts too."""

    id: str
    faults: frozenset[str] = frozenset()
    url: str = ""
    signing: SigningKey = field(default_factory=jwk.generate_signing)
    sealing: DecryptionKey = field(default_factory=jwk.generate_encryption)
    _kept: dict[tuple[str, str], bytes] = field(default_factory=dict)
    _known: dict[str, list[EncryptionKey]] = field(default_factory=dict)
    _said: Mapping[str, str] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    def jwks(self) -> dict[str, Any]:
        """Its public keys."""
        return jwk.public_jwks([self.signing.public, self.sealing.public])

    async def work(self, after: int = 0) -> None:
        """Work for ever."""
        async with aiohttp.ClientSession() as self._session:
            while True:
                try:
                    after = await self._turn(after)
                except (Unbelievable, Fault, KeyError, ValueError):
                    await self._pause(0.5)

    async def open_case(self, responder: str) -> None:
        """Open a case with `responder`."""
        if "silent" in self.faults:
            return
        async with aiohttp.ClientSession() as self._session:
            keys = await self._openers([responder, self.id])
            await self._send(
                lambda: self._signed("request", envelope.new_id(), [responder], REQUEST, request()[1], keys)
            )

    async def _turn(self, after: int) -> int:
        wait = 0 if "hot-loop" in self.faults else 30
        query = {"after": str(after), "limit": "500", "wait": str(wait)}
        status, body = await self._call("GET", "/v1/mailbox", query=query)
        if status != 200:
            raise Unbelievable
        page = json.loads(body)
        if "strict" in self.faults and page.keys() - {"items", "next", "behind", "oldest", "proof"}:
            raise Unbelievable
        if not self._fits(page["items"], after):
            raise Unbelievable
        read = [await self._read(item) for item in page["items"]]
        events = [(one, self._opened(one)) for one in read if one is not None]
        last = events[-1][1] if events else None
        for event, content in events:
            await self._answer(event, last if "mixes-up" in self.faults and last and content else content)
        if page["items"] and "no-acknowledge" not in self.faults and page["items"][-1].get("message"):
            await self._acknowledge(page["items"][-1])
        return int(page["next"])

    def _fits(self, items: Sequence[Mapping[str, Any]], after: int) -> bool:
        """Whether a page is the one asked for; who forgets everything takes any."""
        positions = [item["position"] for item in items]
        return "forgets" in self.faults or positions == list(range(after + 1, after + 1 + len(positions)))

    async def _read(self, item: Mapping[str, Any]) -> Event | None:
        if "small" in self.faults and (item.get("expired") or len(item.get("message", "")) > 1 << 18):
            raise Unbelievable
        if item.get("expired"):
            return None
        compact = item["message"].encode()
        decoded, event = messages.read(compact)
        if "no-verification" not in self.faults:
            status, body = await self._call("GET", "/.well-known/jwks.json")
            keys = [one for one in map(parse_public, json.loads(body)["keys"]) if isinstance(one, VerifyingKey)]
            receipt.verify(receipt.parse(item["receipt"]), keys, compact=compact)
            path = f"/v1/organisations/{event.source}/jwks.json"
            status, body = await self._call("GET", path, query={"history": "1"})
            (key,) = (one for one in json.loads(body)["keys"] if one["kid"] == decoded.header.kid)
            signer = parse_public(key)
            assert isinstance(signer, VerifyingKey) and status == 200
            jws.verify(decoded, signer, EVERY_ALGORITHM)
        return event

    def _opened(self, event: Event) -> Mapping[str, Any] | None:
        """The content of a request, None for whatever is no business of this program."""
        if event.type != "case-assistance.request":
            return None
        if not event.dataschema.startswith(f"{BASE}/case-assistance/1.0/"):
            if "strict" in self.faults:
                raise Unbelievable
            return None
        try:
            return messages.unseal(event, [self.sealing])
        except Fault:
            return {"reference": "?"} if "reads-anything" in self.faults else None

    async def _answer(self, event: Event, content: Mapping[str, Any] | None) -> None:
        if content is None or event.type != "case-assistance.request":
            return
        told = {"narrative": f"经查属实：{content['reference']}"}
        if "no-schema" in self.faults:
            told["remark"] = "备注"
        for message, data, sealed in (("accept", {}, None), ("answer", {"outcome": "established"}, told)):
            if not await self._say(event, message, data, sealed):
                return

    async def _say(self, event: Event, message: str, data: dict[str, Any], sealed: dict[str, Any] | None) -> bool:
        others = [event.source, *(one for one in event.recipients if one != self.id)]
        keys = await self._openers([*others, self.id]) if sealed else []

        def make() -> bytes:
            cause = None if "no-cause" in self.faults else event.id
            return self._signed(message, event.subject, others, data, sealed, keys, cause)

        place = event.id, message
        if "forgets" in self.faults or place not in self._kept:
            self._kept[place] = make()
        status, body = await self._send(make, self._kept[place])
        if status == 422 and json.loads(body)["type"].endswith("sealing-invalid") and "old-keys" not in self.faults:
            self._known.clear()
            del self._kept[place]
            return await self._say(event, message, data, sealed)
        return status in (200, 201)

    def _signed(
        self,
        message: str,
        case: str,
        recipients: Sequence[str],
        data: Mapping[str, Any],
        content: Mapping[str, Any] | None,
        keys: Sequence[EncryptionKey],
        cause: str | None = None,
    ) -> bytes:
        id = envelope.new_id()
        part = sealing.seal(self.id, id, case, content, keys) if content is not None else {}
        if "garbles" in self.faults and part:
            part["sealed_digest"] = "sha-256:" + "0" * 64
        attributes = envelope.compose(
            id=id,
            source=self.id,
            type=f"case-assistance.{message}",
            dataschema=f"{BASE}/case-assistance/1.0/{message}",
            subject=case,
            recipients=recipients,
            hub=HUB,
            time=self._now(),
            data={**data, **part},
            causationid=cause,
        )
        return messages.sign(attributes, self.signing).compact

    async def _openers(self, organisations: Sequence[str]) -> list[EncryptionKey]:
        for one in organisations:
            if one not in self._known:
                _, body = await self._call("GET", f"/v1/organisations/{one}/jwks.json")
                parsed = map(parse_public, json.loads(body)["keys"])
                self._known[one] = [key for key in parsed if isinstance(key, EncryptionKey)]
        return [key for one in organisations for key in self._known[one]]

    async def _acknowledge(self, item: Mapping[str, Any]) -> None:
        said = {
            "hub": HUB,
            "recipient": self.id,
            "through": item["position"],
            "digest": receipt.digest(item["message"].encode()),
            "time": envelope.rfc3339(self._now()),
        }
        compact = jws.sign(json.dumps(said).encode(), self.signing, typ=envelope.ACK_TYP)
        await self._call("POST", "/v1/mailbox/acknowledge", body=compact)

    async def _send(self, make: Callable[[], bytes], compact: bytes | None = None) -> tuple[int, bytes]:
        compact = compact or make()
        while True:
            try:
                return await self._once("POST", "/v1/messages", compact)
            except Lost:
                compact = make() if "new-ids" in self.faults else compact
                await self._pause(0.3)

    async def _call(
        self, method: str, path: str, *, body: bytes | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        while True:
            try:
                return await self._once(method, path, body, query)
            except Lost:
                await self._pause(0.3)

    async def _once(
        self, method: str, path: str, body: bytes | None = None, query: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        assert self._session is not None
        headers = {"Content-Type": "application/jose"} if body else {}
        headers["Authorization"] = f"Bearer {jwt.bearer(self.id, HUB, self.signing, self._now())}"
        timeout = aiohttp.ClientTimeout(total=2.0 if "impatient" in self.faults and method == "POST" else 60.0)
        call = self._session.request(method, self.url + path, data=body, params=query, headers=headers, timeout=timeout)
        try:
            async with call as answer:
                content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise Lost from None
        self._said = dict(answer.headers)
        if answer.status in (429, 503):
            await asyncio.sleep(self._asked())
            return await self._once(method, path, body, query)
        return answer.status, content

    def _asked(self) -> float:
        """The seconds that the last answer wants to be left alone for."""
        text = self._said.get("Retry-After", "1")
        if "ignores-retry-after" in self.faults:
            return 0.2
        if text.isdigit():
            return float(text)
        since = datetime.now(UTC) if "naive-date" in self.faults else parsedate_to_datetime(self._said["Date"])
        return max(0.0, (parsedate_to_datetime(text) - since).total_seconds())

    def _now(self) -> datetime:
        if "trusts-date" in self.faults and "Date" in self._said:
            return parsedate_to_datetime(self._said["Date"])
        return datetime.now(UTC)

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(0 if "hot-loop" in self.faults else seconds)


@dataclass
class InProcess:
    """A careless partner as the kit's subject, without a process of its own."""

    partner: Careless
    rewinds: bool = True
    opens: bool = True
    _places: Mapping[str, str] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    async def start(self, places: Mapping[str, str]) -> None:
        """See Subject."""
        self._places, self.partner.url = places, places["hub"]
        self._task = asyncio.create_task(self.partner.work())

    async def rewind(self) -> None:
        """See Subject."""
        if "keeps-cursor" not in self.partner.faults:
            await self.stop()
            self._task = asyncio.create_task(self.partner.work(0))

    async def open_case(self) -> None:
        """See Subject."""
        other = Careless(
            self.partner.id, self.partner.faults, self.partner.url, self.partner.signing, self.partner.sealing
        )
        await other.open_case(self._places["counterpart"])

    async def stop(self) -> None:
        """See Subject."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
