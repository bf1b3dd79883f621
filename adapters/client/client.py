"""One organisation's end of the wire: open a case, reply, poll, acknowledge, verify, seal and open."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import aiohttp
import msgspec

from keys import jws, jwt
from keys.errors import Fault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey, VerifyingKey, parse_jwks
from protocols import envelope, receipt, sealing
from protocols.loading import BASE
from protocols.receipt import Receipt

TRIES = 8


class Refused(Fault):
    """The hub refused; `problem` in data is its RFC 9457 answer."""

    code: ClassVar[str] = "refused"


class Undecided(Fault):
    """The hub could not be asked; send the same bytes again, nothing can happen twice."""

    code: ClassVar[str] = "undecided"


@dataclass(frozen=True, slots=True)
class Sent:
    """A message the hub has taken: its id, its case, its exact bytes and the verified receipt."""

    id: str
    case: str
    compact: bytes
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Item:
    """A message received; its sender's signature and its receipt were verified."""

    position: int
    compact: bytes
    event: envelope.Event
    receipt: Receipt


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the mailbox; `next` is the cursor to keep once its items are dealt with."""

    items: Sequence[Item]
    next: int
    behind: int


class Client:
    """An organisation at a hub. Use as an async context manager; raises Refused, Undecided, ReceiptInvalid."""

    def __init__(
        self, url: str, organisation: str, signing: SigningKey, sealed_with: Sequence[DecryptionKey] = ()
    ) -> None:
        self.url, self.organisation = url.rstrip("/"), organisation
        self._signing, self._sealed_with = signing, list(sealed_with)
        self._keys: dict[str, list[VerifyingKey | EncryptionKey]] = {}
        self._hub = ""
        self.hub_keys: list[VerifyingKey] = []

    async def __aenter__(self) -> "Client":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60))
        try:
            self._hub = (await self._get("/v1/hub"))["id"]
            keys = parse_jwks(await self._get("/.well-known/jwks.json"))
        except BaseException:
            await self._session.close()
            raise
        self.hub_keys = [key for key in keys if isinstance(key, VerifyingKey)]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def open_case(
        self,
        responder: str,
        data: dict[str, Any],
        content: Any,
        *,
        protocol: str = "case-assistance",
        message: str = "request",
    ) -> Sent:
        """Open a case with `responder`: `data` is the open part, `content` is sealed to both."""
        return await self.send(f"{protocol}.{message}", envelope.new_id(), [responder], data, content)

    async def reply(self, item: Item, message: str, data: dict[str, Any], content: Any = None) -> Sent:
        """Answer a received message in its case, to its sender."""
        type = f"{item.event.protocol}.{message}"
        return await self.send(type, item.event.subject, [item.event.source], data, content, item.event.id)

    async def send(
        self,
        type: str,
        case: str,
        recipients: Sequence[str],
        data: dict[str, Any],
        content: Any = None,
        causationid: str | None = None,
    ) -> Sent:
        """Compose, seal (where there is `content`), sign and send; the same bytes again until there is an answer."""
        protocol, _, message = type.partition(".")
        id = envelope.new_id()
        if content is not None:
            keys = [key for name in (*recipients, self.organisation) for key in await self._encryption(name)]
            data = data | sealing.seal(self.organisation, id, case, content, keys)
        attributes = envelope.compose(
            id=id,
            source=self.organisation,
            type=type,
            dataschema=f"{BASE}/{protocol}/1.0/{message}",
            subject=case,
            recipients=recipients,
            hub=self._hub,
            time=datetime.now(UTC),
            data=data,
            causationid=causationid,
        )
        compact = jws.sign(envelope.encode(attributes), self._signing, typ=envelope.TYP, cty=envelope.CTY)
        answer = await self._call("POST", "/v1/messages", compact)
        given = receipt.parse(answer)
        receipt.verify(given, self.hub_keys, compact=compact)
        return Sent(id, case, compact, given)

    async def poll(self, after: int, *, limit: int = 100, wait: int = 0) -> Page:
        """One page after the cursor; `wait` seconds (at most 30) for something to come."""
        answer = await self._get(f"/v1/mailbox?after={after}&limit={limit}&wait={wait}")
        items = [await self._item(raw) for raw in answer["items"] if "message" in raw]
        return Page(items, answer["next"], answer["behind"])

    async def follow(self, after: int) -> AsyncIterator[Item]:
        """Every message after the cursor, for ever; keep `item.position` once it is dealt with."""
        while True:
            page = await self.poll(after, wait=30)
            for item in page.items:
                yield item
            after = page.next

    async def acknowledge(self, item: Item) -> None:
        """Sign for everything up to and including `item`."""
        said = {
            "hub": self._hub,
            "recipient": self.organisation,
            "through": item.position,
            "digest": receipt.digest(item.compact),
            "time": envelope.rfc3339(datetime.now(UTC)),
        }
        compact = jws.sign(msgspec.json.encode(said), self._signing, typ=envelope.ACK_TYP)
        await self._call("POST", "/v1/mailbox/acknowledge", compact)

    def unseal(self, item: Item) -> Any:
        """The sealed content of a received message. Raises BadSeal."""
        event, fault = item.event, Fault("no key to open it with")
        for key in self._sealed_with:
            try:
                sealed, digest = event.data["sealed"], event.data["sealed_digest"]
                return sealing.unseal(sealed, digest, event.source, event.id, event.subject, key)
            except Fault as refusal:
                fault = refusal
        raise fault

    async def case(self, id: str) -> dict[str, Any]:
        """A case's state, due date, timeline and allowed actions."""
        return dict(await self._get(f"/v1/cases/{id}"))

    async def _item(self, raw: dict[str, Any]) -> Item:
        compact = raw["message"].encode()
        decoded = jws.decode(compact, typ=envelope.TYP)
        event = envelope.event(envelope.read(decoded.payload))
        kid = decoded.header.kid
        keys = [key for key in await self._organisation(event.source) if isinstance(key, VerifyingKey)]
        if not any(key.kid == kid for key in keys):
            keys = [k for k in await self._organisation(event.source, fresh=True) if isinstance(k, VerifyingKey)]
        for key in keys:
            if key.kid == kid:
                jws.verify(decoded, key)
                break
        else:
            raise Refused(f"{event.source} has no key {kid}")
        given = receipt.parse(raw["receipt"])
        receipt.verify(given, self.hub_keys, compact=compact)
        return Item(raw["position"], compact, event, given)

    async def _encryption(self, name: str) -> list[EncryptionKey]:
        return [key for key in await self._organisation(name) if isinstance(key, EncryptionKey)]

    async def _organisation(self, name: str, fresh: bool = False) -> list[VerifyingKey | EncryptionKey]:
        if fresh or name not in self._keys:
            self._keys[name] = parse_jwks(await self._get(f"/v1/organisations/{name}/jwks.json?history=1"))
        return self._keys[name]

    async def _get(self, path: str) -> Any:
        return msgspec.json.decode(await self._call("GET", path))

    async def _call(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """One call, repeated with back-off while the hub is away or asks for it."""
        delay = 0.1
        for _ in range(TRIES):
            headers = {} if body is None else {"Content-Type": "application/jose"}
            if self._hub and body is None:
                token = jwt.bearer(self.organisation, self._hub, self._signing, datetime.now(UTC))
                headers["Authorization"] = f"Bearer {token}"
            try:
                async with self._session.request(method, self.url + path, data=body, headers=headers) as response:
                    content = await response.read()
                    if response.status < 400:
                        return content
                    if response.status not in (429, 502, 503, 504):
                        problem = msgspec.json.decode(content)
                        raise Refused(f"{problem['type']}: {problem['detail']}", problem=problem)
                    delay = max(delay, float(response.headers.get("Retry-After", 0)))
            except (aiohttp.ClientConnectionError, TimeoutError, OSError):
                pass
            await asyncio.sleep(delay)
            delay = min(2 * delay, 10.0)
        raise Undecided(f"no answer from {self.url}")
