"""Messages as this side of the wire holds them: drafted, sent, received; each with its exact bytes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from adapters.client.faults import DeliveryInvalid
from keys import jws
from keys.algorithms import EVERY_ALGORITHM
from keys.errors import BadSeal, Fault
from keys.jwk import DecryptionKey, SigningKey, VerifyingKey
from protocols import envelope, sealing
from protocols.envelope import Event
from protocols.loading import Catalogue
from protocols.mailbox_end import MailboxEnd
from protocols.receipt import Receipt
from protocols.refusals import DataInvalid


@dataclass(frozen=True, slots=True)
class Draft:
    """A signed message that may not have been sent yet. Keep `compact`: sending it again can't do harm."""

    event: Event
    compact: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.event.id

    @property
    def case(self) -> str:
        """The case it is about."""
        return self.event.subject


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
    event: Event
    receipt: Receipt
    gateway: str | None = None
    """Who signed it for its source, by a delegation of that source; None where it signed itself."""
    mailbox: str | None = None
    """Whose mailbox it lies in; None where it was not read from one."""
    receipts: tuple[Receipt, ...] = ()
    """Those of the hubs that it passed before, verified with their keys."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the mailbox; `next` is the cursor to keep once its items are dealt with.

    `behind` is how many positions lie beyond it; `expired` are the positions of messages that nobody fetched
    in time and that are handed out no more, `erased` those of messages that the hub erased. `end`, where asked
    for, is the hub's signed word where the mailbox ends.
    """

    items: Sequence[Item]
    next: int
    behind: int
    expired: Sequence[int] = ()
    end: MailboxEnd | None = None
    erased: Sequence[int] = ()


def sign(attributes: Mapping[str, Any], key: SigningKey) -> Draft:
    """The signed message with these attributes. Raises EnvelopeInvalid."""
    event = envelope.event(attributes)
    return Draft(event, jws.sign(envelope.encode(attributes), key, typ=envelope.TYP, cty=envelope.CTY))


def read(compact: bytes) -> tuple[jws.Compact, Event]:
    """A message taken apart, its signature not yet verified. Raises MalformedJWS, PayloadMalformed, EnvelopeInvalid."""
    decoded = jws.decode(compact, typ=envelope.TYP)
    return decoded, envelope.event(envelope.read(decoded.payload))


def check_signature(decoded: jws.Compact, key: VerifyingKey, accepted: str) -> None:
    """Raises BadSignature, AlgorithmNotAllowed; DeliveryInvalid where the key was not valid when it was accepted."""
    jws.verify(decoded, key, EVERY_ALGORITHM)
    try:
        valid = key.valid_at(datetime.fromisoformat(accepted))
    except (ValueError, TypeError) as error:
        raise DeliveryInvalid(f"the receipt's moment can't be read: {error}") from None
    if not valid:
        raise DeliveryInvalid(f"the sender's key was not valid on {accepted}", kid=key.kid)


def unseal(event: Event, keys: Sequence[DecryptionKey]) -> dict[str, Any]:
    """The sealed content of a message, opened by whichever key can. Raises BadSeal."""
    sealed, digest = event.data.get("sealed"), event.data.get("sealed_digest")
    if not isinstance(sealed, dict) or not isinstance(digest, str):
        raise BadSeal("nothing is sealed in this message", check="absent")
    for key in keys:
        try:
            return sealing.unseal(sealed, digest, event.source, event.id, event.subject, key)
        except BadSeal as fault:
            if fault.data.get("check") != "recipient":
                raise
    raise BadSeal("it is sealed to none of the keys at hand", check="recipient")


def check_content(catalogue: Catalogue, type: str, dataschema: str, content: object) -> None:
    """Raises DataInvalid with every finding unless sealed `content` fits the message's sealed schema; TypeUnknown.

    Sender and recipient are the only ones who can look: the hub never sees it.
    """
    _, message = catalogue.message(type, dataschema)
    if message.sealed_schema is None:
        raise DataInvalid([{"pointer": "/data/sealed", "message": "this message has no sealed part"}])
    if findings := message.sealed_schema.findings(content):
        raise DataInvalid(findings)


def about(fault: Fault, position: int) -> Fault:
    """The fault, with the mailbox position it was found at, so that a caller can pass over it on purpose."""
    fault.data["position"] = position
    return fault
