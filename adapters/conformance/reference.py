"""A reference partner on the SDK that does what the kit asks: `python -m adapters.conformance.reference`.

It reads its mailbox, answers each request for case assistance by `accept` and `answer`, and signs for what it received.
What it signed is on disk before it is sent, and is what is sent again, however often the request comes.
"""

import argparse
import asyncio
import contextlib
import json
import math
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from adapters.client import Client, Cursor, CursorInvalid, Draft, Item, Patience, Refused
from adapters.conformance.counterpart import REQUEST, request
from adapters.conformance.running import FROM
from keys.errors import BadSeal, Fault
from keys.jwk import DecryptionKey, SigningKey, VerifyingKey, parse_jwks
from keys.keystore import KeyStore, read_passphrase
from protocols.loading import catalogue

PATIENT = Patience(within=math.inf, first=0.2, longest=2.0)
AGAIN = 1.0
"""Seconds until what could not be believed is asked for again."""
RENEWED = "sealing-invalid"
"""The hub's word that somebody's keys changed since a message was sealed."""


@dataclass(frozen=True)
class Reference:
    """One organisation at one hub, with a folder for its cursor and for what it signed."""

    hub: str
    organisation: str
    signing: SigningKey
    opening: Sequence[DecryptionKey]
    state: Path
    hub_keys: Sequence[VerifyingKey] | None = None
    say: Callable[[str], None] = print

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        """A client with nothing remembered."""
        async with Client(
            self.hub, self.organisation, self.signing, self.opening, hub_keys=self.hub_keys, patience=PATIENT
        ) as client:
            yield client

    async def work(self, after: int | None = None) -> None:
        """Work for ever, from the cursor kept, or from `after`."""
        self.state.mkdir(parents=True, exist_ok=True)
        cursor = Cursor(self.state / "cursor")
        while True:
            async with self.client() as client:
                here = cursor.load(client.hub, self.organisation) if after is None else after
                with contextlib.suppress(KeysChanged):
                    while True:
                        here = after = await self.turn(client, here)
                        cursor.save(client.hub, self.organisation, here)

    async def turn(self, client: Client, here: int) -> int:
        """One page answered and signed for; the cursor after it. Raises KeysChanged."""
        try:
            page = await client.poll(here, limit=500, wait=30)
            if page.next < here:
                raise CursorInvalid(f"the mailbox ends at {page.next}, before {here}")
            for item in page.items:
                await self.handle(client, item)
            if page.items:
                await client.acknowledge(page.items[-1])
            return page.next
        except KeysChanged:
            raise
        except Fault as fault:
            # Nothing that does not hold is passed over: it is asked for again until it does.
            self.say(f"{type(fault).__name__}: {fault.detail}")
            await asyncio.sleep(AGAIN)
            return here

    async def handle(self, client: Client, item: Item) -> None:
        """Answer a request; whatever else came is for people to read."""
        if item.event.type != "case-assistance.request" or not _known(item):
            return
        try:
            content = client.unseal(item)
        except BadSeal as fault:
            self.say(f"{item.event.id} {fault.detail}")
            await self.reply(client, item, "exception", {"reason": "seal-unopened"})
            return
        reference = str(content.get("reference", ""))
        found = {"narrative": f"经查属实，复贵机关{reference}。 Established; your file {reference}."}
        if await self.reply(client, item, "accept", {}):
            await self.reply(client, item, "answer", {"outcome": "established"}, found)

    async def reply(
        self, client: Client, item: Item, message: str, data: dict[str, Any], content: dict[str, Any] | None = None
    ) -> bool:
        """Send what was signed before, else sign it, keep it and send it; whether it was taken, now or earlier.

        Raises KeysChanged where it was sealed to keys that are gone: nothing of it was taken.
        """
        kept = self.state / f"{item.event.id}.{message}.jose"
        if not kept.exists():
            case, cause = item.event.subject, item.event.id
            _keep(kept, await client.prepare_reply(case, message, data, content, causationid=cause, check=True))
        try:
            await client.resend(kept.read_bytes())
        except Refused as refusal:
            if refusal.reason == RENEWED:
                kept.unlink()
                raise KeysChanged from None
            self.say(f"{item.event.id} {message}: {refusal.detail}")
            return False
        return True

    async def open_case(self, responder: str) -> None:
        """Open one case with `responder`."""
        async with self.client() as client:
            await client.open_case(responder, dict(REQUEST), request()[1], check=True)


class KeysChanged(Fault):
    """Somebody's keys are others than this client remembers."""


def _known(item: Item) -> bool:
    try:
        catalogue().message(item.event.type, item.event.dataschema)
    except Fault:
        return False
    return True


def _keep(path: Path, draft: Draft) -> None:
    """On disk whole or not at all, before anybody else has it."""
    new = path.with_suffix(".new")
    with open(new, "wb") as file:
        file.write(draft.compact)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m adapters.conformance.reference", description=__doc__)
    parser.add_argument("--hub", required=True, metavar="URL")
    parser.add_argument("--as", dest="organisation", required=True, metavar="ORGANISATION")
    parser.add_argument("--keys", required=True, type=Path, metavar="DIR", help="key store; see xieban keys new")
    parser.add_argument("--state", required=True, type=Path, metavar="DIR", help="its cursor, and what it signed")
    parser.add_argument("--hub-jwks", type=Path, metavar="FILE", help="the hub's keys, obtained otherwise")
    parser.add_argument("--passphrase-file", type=Path, metavar="FILE", help="else XIEBAN_PASSPHRASE")
    parser.add_argument("--open", metavar="RESPONDER", help="open one case with it, and end")
    return parser.parse_args()


def main() -> None:
    """Run until SIGTERM."""
    given = _arguments()
    store, passphrase = KeyStore(given.keys), read_passphrase(given.passphrase_file)
    trusted = parse_jwks(json.loads(given.hub_jwks.read_text())) if given.hub_jwks else None
    partner = Reference(
        given.hub,
        given.organisation,
        store.signing_key(passphrase, datetime.now(UTC)),
        store.decryption_keys(passphrase),
        given.state,
        [key for key in trusted if isinstance(key, VerifyingKey)] if trusted is not None else None,
        lambda text: print(text, file=sys.stderr, flush=True),
    )
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    if given.open:
        asyncio.run(partner.open_case(given.open))
    else:
        start = os.environ.get(FROM)
        asyncio.run(partner.work(int(start) if start else None))


if __name__ == "__main__":
    main()
