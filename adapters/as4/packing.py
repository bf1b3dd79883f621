"""A whole message: payloads compressed, signed, encrypted and packed, and the same back again (AS4 §3, §5.1)."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from cryptography import x509
from lxml import etree

from adapters.as4 import encryption, envelope, messaging, mime, receipts, signing
from adapters.as4.envelope import Envelope
from adapters.as4.errors import (
    DecompressionFailure,
    EbmsError,
    ExternalPayload,
    PolicyNoncompliance,
    ValueInconsistent,
)
from adapters.as4.messaging import Part, Unit, UserMessage
from adapters.as4.mime import Package
from adapters.as4.names import tag
from adapters.as4.receipts import Digest

LARGEST_PAYLOAD: Final = 4 << 20
"""Most bytes of a payload after decompression."""
MAX_AHEAD: Final = timedelta(minutes=5)
MAX_AGE: Final = timedelta(days=30)
"""How far the time of a message may be from now, as on the wire of the hub."""


@dataclass(frozen=True, slots=True)
class Payload:
    """One payload: its media type, what it is, and its bytes."""

    mime: str
    held: bytes
    kind: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who we are to the partner, and who the partner is to us: keys and pinned certificates."""

    party: str
    key: signing.SigningKey
    certificate: x509.Certificate
    partner: x509.Certificate
    partner_encryption: x509.Certificate
    encrypt: bool


@dataclass(frozen=True, slots=True)
class Sealed:
    """A message ready for the wire; `digests` are what its receipt must say."""

    content_type: str
    body: bytes
    digests: frozenset[Digest]


@dataclass(frozen=True, slots=True)
class Opened:
    """A message from the partner, verified."""

    unit: Unit
    payloads: Sequence[Payload]
    references: Sequence[etree._Element]


def sealed(identity: Identity, header: etree._Element, attachments: Mapping[str, bytes] | None = None) -> Sealed:
    """Sign a header with its attachments, and encrypt those where that is agreed."""
    made, held = envelope.built(header), dict(attachments or {})
    signing.sign(made, held, identity.key, identity.certificate)
    references = next(iter(made.root.iter(tag("ds:SignedInfo")))).findall(tag("ds:Reference"))
    if held and identity.encrypt:
        held = encryption.encrypt(made, held, identity.partner_encryption)
    content_type, body = mime.packed(Package(envelope.written(made), held))
    return Sealed(content_type, body, receipts.digests(references))


def attached(payloads: Sequence[Payload]) -> tuple[list[Part], dict[str, bytes]]:
    """The payloads, compressed, under new Content-IDs, and how a header describes them."""
    parts = [Part(f"{uuid4()}@xieban", one.mime, True, one.kind) for one in payloads]
    return parts, {part.cid: _compressed(one.held) for part, one in zip(parts, payloads, strict=True)}


async def opened(identity: Identity, content_type: str, body: bytes, now: datetime) -> Opened:
    """The message in `body`, if the partner signed it now. Raises EbmsError."""
    package = await mime.unpacked(content_type, body)
    found = envelope.opened(package.envelope)
    try:
        return _opened(identity, found, package, now)
    except EbmsError as error:
        raise error.about(_claimed_id(found)) if _claimed_id(found) else error from None


def _opened(identity: Identity, found: Envelope, package: Package, now: datetime) -> Opened:
    attachments: Mapping[str, bytes] = package.attachments
    if encryption.is_encrypted(found):
        attachments = encryption.decrypted(found, attachments, identity.key)
    elif attachments and identity.encrypt:
        raise PolicyNoncompliance("payloads are to be encrypted")
    signed = signing.verified(found, attachments, identity.partner)
    unit = messaging.read(signed.messaging)
    _in_time(found, unit, now)
    parts = unit.parts if isinstance(unit, UserMessage) else ()
    if {part.cid for part in parts} != set(attachments):
        raise ExternalPayload("the payloads of the header are not the attachments")
    payloads = [Payload(part.mime, _decompressed(attachments[part.cid], part), part.kind) for part in parts]
    return Opened(unit, payloads, signed.references)


def _in_time(found: Envelope, unit: Unit, now: datetime) -> None:
    if not now - MAX_AGE <= unit.at <= now + MAX_AHEAD:
        raise ValueInconsistent("the time of the message is too far from now")
    if found.security is None:
        return
    for stamp in found.security.findall(tag("wsu:Timestamp")):
        try:
            ends = stamp.findtext(tag("wsu:Expires"))
            starts = stamp.findtext(tag("wsu:Created"))
            late = ends is not None and datetime.fromisoformat(ends.strip()) + MAX_AHEAD < now
            early = starts is not None and datetime.fromisoformat(starts.strip()) - MAX_AHEAD > now
        except (ValueError, TypeError):
            raise PolicyNoncompliance("the security header's time can't be read") from None
        if late or early:
            raise PolicyNoncompliance("the security header has expired, or is not valid yet")


def _claimed_id(found: Envelope) -> str:
    """The id that a message claims, which an error about it repeats; nothing of it is believed."""
    for unit in found.messaging:
        claimed = (unit.findtext(f"{tag('eb:MessageInfo')}/{tag('eb:MessageId')}") or "").strip()
        if 0 < len(claimed) <= messaging.LONGEST_ID and claimed.isprintable() and " " not in claimed:
            return claimed
    return ""


def _compressed(held: bytes) -> bytes:
    packer = zlib.compressobj(wbits=31)
    return packer.compress(held) + packer.flush()


def _decompressed(held: bytes, part: Part) -> bytes:
    if not part.compressed:
        if len(held) > LARGEST_PAYLOAD:
            raise DecompressionFailure(f"a payload has at most {LARGEST_PAYLOAD} bytes")
        return held
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(held, LARGEST_PAYLOAD + 1)
    except zlib.error:
        raise DecompressionFailure("a payload is not gzip") from None
    if len(plain) > LARGEST_PAYLOAD:
        raise DecompressionFailure(f"a payload has at most {LARGEST_PAYLOAD} bytes when decompressed")
    if not unpacker.eof or unpacker.unused_data:
        raise DecompressionFailure("a payload is not one whole gzip member")
    return plain
