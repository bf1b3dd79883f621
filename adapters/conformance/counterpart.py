"""The kit's own organisations: they open cases with the system under test, and read what it answers."""

import asyncio
import contextlib
import math
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.client import Client, Draft, Item, Patience, messages
from keys import jwk
from keys.errors import Fault
from keys.jwk import DecryptionKey, EncryptionKey, SigningKey
from protocols import envelope, sealing
from protocols.loading import BASE

PATIENT = Patience(within=math.inf, first=0.1, longest=0.5)
REQUEST = {
    "legal_basis": {"instrument": "npc-70-2021", "article": 26},
    "urgency": "ordinary",
    "matter": "wage-arrears",
    "facts": ["employment", "wages-paid"],
}
CONTACT = {"name": "周明（示例）", "office": "监督执法科", "phone": "0374-0000101"}
UPDATE = {"parts": ["documents"]}


@dataclass(frozen=True, slots=True)
class Opened:
    """A case that a counterpart opened with the system under test, and the file number that its answer must quote."""

    case: str
    id: str
    reference: str
    opener: str


@dataclass
class Counterpart:
    """One organisation of the kit: the keys it has now, and what came into its mailbox, by case."""

    id: str
    url: str
    signing: SigningKey = field(default_factory=jwk.generate_signing)
    sealing: DecryptionKey = field(default_factory=jwk.generate_encryption)
    came: dict[str, list[Item]] = field(default_factory=dict)
    _client: Client | None = None
    _after: int = 0

    def record(self) -> dict[str, Any]:
        """Its line in the file of organisations."""
        keys = jwk.public_jwks([self.signing.public, self.sealing.public])
        name = {"zh": "符合性测试机构", "en": "Conformance kit"}
        return {"id": self.id, "name": name, "superior": None, "roles": ["bureau"], "jwks": keys}

    @property
    def client(self) -> Client:
        """Its SDK."""
        assert self._client is not None
        return self._client

    @contextlib.asynccontextmanager
    async def working(self) -> AsyncIterator["Counterpart"]:
        """While it lasts it speaks, and keeps what comes in."""
        await self._connect()
        following = asyncio.create_task(self._follow())
        try:
            yield self
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await self.client.__aexit__(None, None, None)

    async def rekeyed(self, signing: SigningKey, sealing: DecryptionKey) -> None:
        """From now on it has these keys and no others."""
        self.signing, self.sealing = signing, sealing
        before = self.client
        await self._connect()
        await before.__aexit__(None, None, None)

    async def _connect(self) -> None:
        self._client = Client(self.url, self.id, self.signing, [self.sealing], patience=PATIENT)
        await self._client.__aenter__()

    async def _follow(self) -> None:
        while True:
            try:
                page = await self.client.poll(self._after, limit=500, wait=10)
            except Fault:  # its keys are being changed
                await asyncio.sleep(0.2)
                continue
            for item in page.items:
                self.take(item)
            self._after = page.next

    def take(self, item: Item) -> None:
        """Keep what came in."""
        self.came.setdefault(item.event.subject, []).append(item)

    def drafted(
        self,
        message: str,
        case: str,
        recipients: Sequence[str],
        data: Mapping[str, Any],
        sealed: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        version: str = "1.0",
        protocol: str = "case-assistance",
        causationid: str | None = None,
        expirytime: datetime | None = None,
    ) -> Draft:
        """A signed message; `sealed` are the members that its open part carries besides `data`."""
        attributes = envelope.compose(
            id=id or envelope.new_id(),
            source=self.id,
            type=f"{protocol}.{message}",
            dataschema=f"{BASE}/{protocol}/{version}/{message}",
            subject=case,
            recipients=recipients,
            hub=self.client.hub,
            time=datetime.now(UTC),
            data={**data, **(sealed or {})},
            causationid=causationid,
            expirytime=expirytime,
        )
        return messages.sign(attributes, self.signing)


def request(narrative: str = "符合性测试：请协助查明。 Conformance: please establish.") -> tuple[str, dict[str, Any]]:
    """A file number never used before, and the sealed content of a request that names it."""
    reference = f"KIT-{secrets.token_hex(8)}"
    return reference, {"narrative": narrative, "reference": reference, "contact": CONTACT}


def sealed(
    source: str, id: str, case: str, content: Mapping[str, Any], keys: Sequence[EncryptionKey], kib: int = 1
) -> dict[str, Any]:
    """The members of a sealed part, its plaintext padded to a multiple of `kib` KiB."""
    return sealing.seal(source, id, case, content, keys, padding=kib * sealing.BLOCK)
