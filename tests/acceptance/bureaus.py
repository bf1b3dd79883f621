"""Organisations with keys and the SDK, for tests that are about what they do and not about how they send it."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from adapters.client import Client, Item, Sent
from keys import jwk, jwt
from keys.jwk import DecryptionKey, SigningKey
from protocols import envelope
from protocols.loading import catalogue
from tests.conftest import RunningHub


@dataclass
class Bureau:
    """An organisation with its keys; where it reaches the hub is for each test to say."""

    id: str
    url: str = ""
    signing: SigningKey = field(default_factory=jwk.generate_signing)
    sealing: DecryptionKey = field(default_factory=jwk.generate_encryption)
    roles: tuple[str, ...] = ("bureau",)
    superior: str | None = None

    def record(self) -> dict[str, object]:
        """Its line in the file of organisations."""
        keys = jwk.public_jwks([self.signing.public, self.sealing.public])
        who = {"id": self.id, "name": {"zh": self.id, "en": self.id}, "superior": self.superior}
        return who | {"roles": list(self.roles), "jwks": keys}

    def client(self, url: str | None = None, **options: Any) -> Client:
        """A client of its own."""
        return Client(url or self.url, self.id, self.signing, [self.sealing], **options)


def enrolled(hub: RunningHub, *bureaus: Bureau) -> None:
    """Make the bureaus known to the hub, and the hub to them."""
    for bureau in bureaus:
        bureau.url = hub.url
    hub.enrol([bureau.record() for bureau in bureaus])


def example(protocol: str, message: str, **changed: Any) -> dict[str, Any]:
    """The first example of a message's open part."""
    found = catalogue().latest(protocol)
    assert found is not None
    return dict(found.messages[message].schema.document["examples"][0]) | changed


def content(protocol: str, message: str) -> dict[str, Any] | None:
    """The first example of a message's sealed part, if it must have one; what hands a case over has its originals."""
    found = catalogue().latest(protocol)
    assert found is not None
    one = found.messages[message]
    if one.declared.sealed != "required" or one.sealed_schema is None:
        return None
    return {k: v for k, v in one.sealed_schema.document["examples"][0].items() if k != "messages"}


async def opened(bureau: Bureau, protocol: str, message: str, to: Sequence[str], **changed: Any) -> Sent:
    """A case opened by an example of the opening message."""
    async with bureau.client() as client:
        data, sealed = example(protocol, message, **changed), content(protocol, message)
        return await client.send(f"{protocol}.{message}", envelope.new_id(), to, data, sealed)


async def said(bureau: Bureau, case: str, protocol: str, message: str, **changed: Any) -> Sent:
    """An example of a message, sent in a case."""
    async with bureau.client() as client:
        return await client.reply_in(case, message, example(protocol, message, **changed), content(protocol, message))


async def view(bureau: Bureau, case: str) -> dict[str, Any]:
    """A case as the bureau sees it."""
    async with bureau.client() as client:
        return await client.case(case)


async def until(
    bureau: Bureau, case: str, holds: Callable[[dict[str, Any]], bool], within: float = 20
) -> dict[str, Any]:
    """The case once `holds` is true of it."""
    async with asyncio.timeout(within):
        while True:
            found = await view(bureau, case)
            if holds(found):
                return found
            await asyncio.sleep(0.1)


async def mailbox(bureau: Bureau) -> list[Item]:
    """Everything in the bureau's mailbox."""
    found: list[Item] = []
    async with bureau.client() as client:
        after = 0
        while True:
            page = await client.poll(after, limit=500)
            found += page.items
            after = page.next
            if not page.behind:
                return found


def audited(hub: RunningHub) -> str:
    """The audit's own words; empty where everything holds."""
    done = hub.run("audit", "--data", str(hub.data))
    return "" if done.returncode == 0 else done.stdout + done.stderr


def get(bureau: Bureau, path: str) -> tuple[int, Any]:
    """What a call of the bureau's own answers: the status, and the JSON."""
    token = jwt.bearer(bureau.id, "410000-hub", bureau.signing, datetime.now(UTC))
    request = urllib.request.Request(bureau.url + path, headers={"Authorization": f"Bearer {token}"})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())
