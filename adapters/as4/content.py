"""What travels: the signed message with the hub's receipt down, a signed message or a wish up, the outcome back."""

import hashlib
from datetime import datetime
from typing import Any, Final

import msgspec

from adapters.as4.errors import EbmsError, ModeMismatch, ValueInconsistent, ValueNotRecognized
from adapters.as4.messaging import UserMessage
from adapters.as4.packing import Opened, Payload
from adapters.as4.settings import Agreement, protocol_of, type_of
from adapters.running.partner import Delivery, Offer, Outcome, Wanted
from keys import jws, strict_json
from keys.errors import Fault
from protocols import envelope

JOSE: Final = "application/jose"
JSON: Final = "application/json"


def message_id(agreement: Agreement, delivery: Delivery) -> str:
    """The id of a message on its way down: always the same, so that the partner knows it again."""
    event = delivery.item.event
    return f"{event.id}.{event.source}.{delivery.organisation}@{agreement.us.id}"


def going_down(agreement: Agreement, delivery: Delivery, now: datetime) -> tuple[UserMessage, list[Payload]]:
    """A message of the hub as a user message; `application/jose` and the hub's receipt are proof by themselves."""
    event = delivery.item.event
    payloads = [
        Payload(JOSE, delivery.item.compact, "message"),
        Payload(JSON, msgspec.json.encode(delivery.item.receipt), "receipt"),
    ]
    if agreement.settings.with_content and delivery.content is not None:
        payloads.append(Payload(JSON, msgspec.json.encode(delivery.content), "content"))
    message = UserMessage(
        id=message_id(agreement, delivery), at=now, sender=agreement.us, receiver=agreement.them,
        service=agreement.service(event.protocol), action=agreement.action(event.type), conversation=event.subject,
        agreement=agreement.settings.agreement,
        properties={"originalSender": event.source, "finalRecipient": delivery.organisation},
    )  # fmt: skip
    return message, payloads


def going_back(
    agreement: Agreement, offer: Offer, outcome: Outcome, now: datetime
) -> tuple[UserMessage, list[Payload]]:
    """What became of the partner's message: `receipt` with the hub's receipt, or `problem` with the reason."""
    said: dict[str, Any] = {"message": outcome.message, "case": outcome.case, "problem": outcome.problem}
    if outcome.receipt is not None:
        said["receipt"] = msgspec.to_builtins(outcome.receipt)
    held = msgspec.json.encode({key: value for key, value in said.items() if value is not None})
    name = hashlib.sha256(offer.key.encode() + b"\0" + held).hexdigest()[:40]
    settings = agreement.settings
    message = UserMessage(
        id=f"{name}@{agreement.us.id}", at=now, ref=offer.key, sender=agreement.us, receiver=agreement.them,
        service=agreement.service(settings.answers), action="receipt" if outcome.taken else "problem",
        conversation=outcome.case or offer.key, agreement=settings.agreement,
        properties={"originalSender": agreement.us.id, "finalRecipient": agreement.them.id},
    )  # fmt: skip
    return message, [Payload(JSON, held, "outcome")]


def digest(opened: Opened) -> str:
    """By which two messages of one id are told apart: the digest of their payloads."""
    whole = hashlib.sha256()
    for payload in opened.payloads:
        whole.update(hashlib.sha256(payload.held).digest())
    return whole.hexdigest()


def coming_up(agreement: Agreement, message: UserMessage, opened: Opened) -> Offer:
    """What the partner has for the hub. Raises ModeMismatch, ValueNotRecognized, ValueInconsistent."""
    _agreed(agreement, message)
    signed = [one.held for one in opened.payloads if one.mime == JOSE]
    wishes = [one.held for one in opened.payloads if one.mime == JSON]
    if len(signed) == 1:
        return _signed(agreement, message, signed[0])
    if not signed and len(wishes) == 1:
        return _wanted(agreement, message, wishes[0])
    raise ValueInconsistent(f"a message has one payload {JOSE}, or one {JSON}")


def _agreed(agreement: Agreement, message: UserMessage) -> None:
    settings = agreement.settings
    if message.sender != agreement.them:
        raise ValueNotRecognized("the sending party is not the one of the agreement")
    if message.receiver != agreement.us:
        raise ValueNotRecognized("the message is for another party")
    if settings.agreement is not None and message.agreement != settings.agreement:
        raise ModeMismatch("the message is under another agreement")
    if settings.service_type is not None and message.service.type != settings.service_type:
        raise ModeMismatch("the service is of another type")
    kind, protocol = type_of(settings, message.action), protocol_of(settings, message.service.id)
    if not kind.startswith(f"{protocol}."):
        raise ModeMismatch("the action is not one of the service")


def _signed(agreement: Agreement, message: UserMessage, held: bytes) -> Offer:
    """A message that the partner signed with its organisation's key; the hub verifies it."""
    try:
        event = envelope.event(envelope.read(jws.decode(held.strip(), typ=envelope.TYP).payload))
    except Fault as fault:
        raise ValueInconsistent(f"the payload is no signed message: {fault.detail[:200]}") from None
    if event.type != type_of(agreement.settings, message.action):
        raise ValueInconsistent("the payload is of another type than the action")
    if event.subject != message.conversation:
        raise ValueInconsistent("the payload is of another case than the conversation")
    return Offer(key=message.id, compact=held.strip(), raw={"message_id": message.id})


def _wanted(agreement: Agreement, message: UserMessage, held: bytes) -> Offer:
    """A message that the partner wants signed here."""
    try:
        found = strict_json.loads(held)
        wanted = msgspec.convert(found, Wanted)
    except (Fault, msgspec.ValidationError) as error:
        raise ValueInconsistent(f"the payload is no message: {str(error)[:200]}") from None
    if wanted.type != type_of(agreement.settings, message.action):
        raise ValueInconsistent("the payload is of another type than the action")
    if wanted.case is not None and wanted.case != message.conversation:
        raise ValueInconsistent("the payload is of another case than the conversation")
    return Offer(key=message.id, wanted=wanted, raw={"message_id": message.id, "message": found})


def refused(error: EbmsError) -> str:
    """An error as one line."""
    return f"{error.number} {error.name}: {error.detail}"
