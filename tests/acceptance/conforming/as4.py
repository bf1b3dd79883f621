"""A partner with an access point that is not ours: what is pushed to it is answered through it, signed by it."""

import asyncio
import base64
import json
import re
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from adapters.client import messages
from adapters.conformance.running import free_port
from keys.errors import Fault
from keys.jwk import DecryptionKey
from tests.acceptance.as4.parties import Counterpart, Keys, keys
from tests.acceptance.conforming.common import ASKED, KNOWN, LOOK, Given, replies, run

GATEWAY, FAR, AGREED = "gateway", "far", "urn:xieban:conforming"
LATER: Final = 0.5
"""Seconds until what the adapter did not sign for is sent again, the same bytes under the same id."""
PARTNER = """
[adapters.as4.partner]
party = "far"
certificate = "far.pem"
allow_http = true
url = "{url}/msh"
"""


class Back:
    """What goes back, by the counterpart, in order; each until there is a receipt for it."""

    def __init__(self, point: Counterpart, endpoint: str) -> None:
        self.point, self.endpoint = point, endpoint
        self.waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def put(self, id: str, conversation: str, wanted: dict[str, Any]) -> None:
        """A message that is to be signed by the gateway."""
        payload = base64.b64encode(json.dumps(wanted).encode()).decode()
        self.waiting.put_nowait({
            "id": id, "service": "case-assistance", "action": wanted["type"], "conversation": conversation,
            "payloads": [("application/json", payload)],
        })  # fmt: skip

    async def run(self) -> None:
        """Send for ever."""
        while True:
            said = await self.waiting.get()
            built = await asyncio.to_thread(self.point, "build", **said)
            while not await asyncio.to_thread(self.signed_for, built):
                await asyncio.sleep(LATER)

    def signed_for(self, built: dict[str, Any]) -> bool:
        """Send; whether the receipt that came is one for it."""
        try:
            answer = self.point.send(self.endpoint, built)
        except AssertionError:  # nobody listens there yet
            return False
        return "state" in answer["seen"] and not answer["seen"].get("errors") and "why" not in answer["seen"]


class System:
    """It holds the organisation's own keys, and reads the signed message itself."""

    def __init__(self, given: Given, openers: list[DecryptionKey], back: Back) -> None:
        self.given, self.openers, self.back = given, openers, back

    def came(self, message: dict[str, Any]) -> None:
        """A message of the hub, or what became of one of ours."""
        if message["error"] is not None:  # the adapter was told so
            return
        first = message["payloads"][0]
        if first.startswith(b"ey"):
            self.read(first)
            return
        ref = re.search(r"RefToMessageId>open\.([0-9a-f-]+)@", message["envelope"])
        if ref is not None and "receipt" in json.loads(first):
            self.given.opened(ref[1])

    def read(self, compact: bytes) -> None:
        """Answer a request that can be opened."""
        _, event = messages.read(compact)
        if event.type != ASKED or event.dataschema != KNOWN:
            return
        try:
            content = messages.unseal(event, self.openers)
        except Fault:
            return
        for message, data, told in replies(content["reference"]):
            wanted = {"source": self.given.organisation, "type": f"case-assistance.{message}", "data": data,
                      "content": told, "case": event.subject, "causationid": event.id}  # fmt: skip
            self.back.put(f"{event.id}.{message}@far", event.subject, wanted)

    def open(self) -> None:
        """Have the cases opened that are wanted."""
        for name, said in self.given.wishes():
            wanted = {"source": self.given.organisation, "type": ASKED, "to": [said["to"]], "data": said["data"],
                      "content": said["content"]}  # fmt: skip
            self.back.put(f"open.{name}@far", name, wanted)
            self.given.handed(name)


def kept(folder: Path, name: str) -> Keys:
    """A side's keys, made once: what was signed before a restart is known after it."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    if not certificate.exists():
        key.write_text(keys(name).key_pem)
        key.chmod(0o600)
        certificate.write_text(keys(name).pem)
    opened = load_pem_private_key(key.read_bytes(), None)
    assert isinstance(opened, RSAPrivateKey)
    return Keys(opened, x509.load_pem_x509_certificate(certificate.read_bytes()))


async def work(given: Given) -> None:
    """Take what is pushed, and answer it."""
    held = {name: kept(given.state, name) for name in (GATEWAY, FAR)}
    point, listen = Counterpart(FAR, GATEWAY, False, AGREED, held), f"127.0.0.1:{free_port()}"
    back = Back(point, f"http://{listen}/as4")
    system, seen = System(given, given.openers(), back), 0
    section = {"listen": listen, "party": GATEWAY, "certificate": "gateway.pem", "key": "gateway.key",
               "agreement": AGREED, "receipt_within": 10.0}  # fmt: skip
    sending = asyncio.create_task(back.run())
    try:
        async with given.adapter("as4", section, PARTNER.format(url=point.url)):
            while not sending.done():
                for message in await asyncio.to_thread(point.received, seen):
                    system.came(message)
                    seen += 1
                system.open()
                await asyncio.sleep(LOOK)
            sending.result()
    finally:
        sending.cancel()
        point.stop()


if __name__ == "__main__":
    run(work)
