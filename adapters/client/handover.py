"""Handing a case over: the exact plaintexts re-sealed with the signed messages they came in, each checked again.

Whoever forwards a case or adds a participant vouches for nothing: the newcomer holds every word against the signature
and the digest of its own author.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from adapters.client import messages
from adapters.client.faults import DeliveryInvalid, Refused
from adapters.client.inbox import Inbox
from adapters.client.messages import Item
from adapters.client.signatories import Signatories
from keys import base64url, jwe, jws
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import BadSeal, Fault
from keys.jwk import DecryptionKey
from protocols import attachments, sealing
from protocols.envelope import Event
from protocols.loading import Catalogue

MESSAGES = "messages"
"""The field of a sealed part that holds the originals: `[{"jws", "plaintext"}]`."""


class _Original(msgspec.Struct, frozen=True, omit_defaults=True):
    jws: str
    plaintext: str | UnsetType = UNSET


@dataclass(frozen=True, slots=True)
class Handed:
    """A message handed over, its signature verified; `content` is what was sealed in it, None where nothing was.

    Nothing is handed over either of what the one who hands over could not open itself.
    """

    event: Event
    compact: bytes
    content: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Handover:
    """What one organisation hands over of its cases, and how it checks what is handed to it."""

    inbox: Inbox
    signatories: Signatories
    catalogue: Catalogue
    keys: Sequence[DecryptionKey]

    def hands_over(self, type: str, dataschema: str) -> bool:
        """Whether a message of this type holds originals; one that this version does not know holds none."""
        try:
            _, message = self.catalogue.message(type, dataschema)
        except Fault:
            return False
        schema = message.sealed_schema
        return schema is not None and MESSAGES in schema.document.get("properties", {})

    async def originals(self, view: Mapping[str, Any]) -> list[dict[str, str]]:
        """Every message of the case that this organisation has, each with its plaintext where it can open it.

        What was handed to it before is handed on as it came. Messages between others are not there to be handed on.
        """
        found: dict[str, dict[str, str]] = {}
        for step in view["timeline"]:
            try:
                item = await self.inbox.message(step["source"], step["id"])
            except Refused as refusal:
                if refusal.reason in ("forbidden", "gone"):
                    continue
                raise
            original = {"jws": item.compact.decode()}
            plaintext = self._plaintext(item.event)
            if plaintext is not None and self.hands_over(item.event.type, item.event.dataschema):
                for earlier in _originals(_content(plaintext, item.event)):
                    found.setdefault(earlier["jws"], dict(earlier))
            elif plaintext is not None:
                original["plaintext"] = base64url.encode(plaintext)
            found[original["jws"]] = original
        return list(found.values())

    async def check(self, item: Item, content: Mapping[str, Any], view: Mapping[str, Any]) -> list[Handed]:
        """The messages handed over in `content`, the sealed part of `item`; `view` is the case as the hub has it.

        Raises DeliveryInvalid where one is of another case, not among the case's messages, or there twice;
        BadSignature, KeyUnknown, BadSeal where one is not what its author signed.
        """
        known = {(step["source"], step["id"]): step for step in view["timeline"]}
        found: list[Handed] = []
        for original in _originals(content):
            decoded, event = messages.read(original["jws"].encode())
            step = known.get((event.source, event.id))
            if step is None:
                raise DeliveryInvalid("what is handed over was never taken in this case", id=event.id)
            kid, gateway = decoded.header.kid, step.get("gateway")
            signer = await self.signatories.key(event, kid, gateway, step["accepted"], step["log_index"])
            jws.verify(decoded, signer, EVERY_ALGORITHM)
            if event.subject != item.event.subject:
                raise DeliveryInvalid("a message of another case is handed over", id=event.id)
            if any((one.event.source, one.event.id) == (event.source, event.id) for one in found):
                raise DeliveryInvalid("a message is handed over twice", id=event.id)
            found.append(Handed(event, original["jws"].encode(), self._opened(original, event)))
        return found

    def _opened(self, original: Mapping[str, str], event: Event) -> dict[str, Any] | None:
        if "plaintext" not in original:
            return None
        digest = event.data.get("sealed_digest")
        if not isinstance(digest, str):
            raise BadSeal("a plaintext is handed over with a message that seals nothing", check="absent")
        try:
            plaintext = base64url.decode(original["plaintext"])
        except ValueError as error:
            raise BadSeal(f"a plaintext is not base64url: {error}", check="json") from None
        return sealing.read(plaintext, digest, event.source, event.id, event.subject)

    def _plaintext(self, event: Event) -> bytes | None:
        sealed = event.data.get("sealed")
        for key in self.keys if isinstance(sealed, dict) else ():
            try:
                return jwe.unseal(sealed, key)
            except BadSeal:
                continue
        return None


def _originals(content: Mapping[str, Any]) -> list[dict[str, str]]:
    """The messages handed over in a content. Raises BadSeal where they are none."""
    try:
        listed = msgspec.convert(content.get(MESSAGES, ()), list[_Original])
    except msgspec.ValidationError as error:
        raise BadSeal(f"what is handed over is no list of messages: {error}", check="json") from None
    return [msgspec.to_builtins(one) for one in listed]


def _content(plaintext: bytes, event: Event) -> dict[str, Any]:
    try:
        return sealing.read(plaintext, event.data["sealed_digest"], event.source, event.id, event.subject)
    except Fault:
        return {}


def attachments_in(originals: Sequence[Mapping[str, str]]) -> list[str]:
    """The attachments that messages handed over name: whoever is to read them must be named again."""
    found: dict[str, None] = {}
    for original in originals:
        _, event = messages.read(original["jws"].encode())
        found.update(dict.fromkeys(attachments.named(event.data)))
    return list(found)
