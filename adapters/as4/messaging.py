"""The ebMS 3.0 header: user messages, and the signals of AS4, written and read (ebMS 3.0 Core §5)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

from lxml import etree

from adapters.as4.envelope import maybe, only, text
from adapters.as4.errors import EbmsError, FeatureNotSupported, InvalidHeader, ValueInconsistent
from adapters.as4.names import DEFAULT_MPC, GZIP, INITIATOR, RESPONDER, element, tag, under

MOST_PARTS: Final = 8
LONGEST_ID: Final = 255


@dataclass(frozen=True, slots=True)
class Party:
    """An access point's name in an agreement, and the scheme it is of."""

    id: str
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """One payload, as the header describes it; `compressed` by gzip (AS4 §3.1)."""

    cid: str
    mime: str
    compressed: bool = True
    kind: str | None = None
    """What it is, where several have one media type: our part property `part`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMessage:
    """A business message: who, to whom, about what, with which payloads."""

    id: str
    at: datetime
    sender: Party
    receiver: Party
    service: Party
    """Its value and type."""
    action: str
    conversation: str
    ref: str | None = None
    agreement: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[Part] = ()


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Whoever waits on a channel asks for its oldest message."""

    id: str
    at: datetime
    mpc: str


@dataclass(frozen=True, slots=True)
class ReceiptSignal:
    """What the other side has got; `evidence` is the content of eb:Receipt."""

    id: str
    at: datetime
    ref: str
    evidence: Sequence[etree._Element]


@dataclass(frozen=True, slots=True)
class ErrorSignal:
    """What the other side did not take, and why: pairs of a code and a text."""

    id: str
    at: datetime
    ref: str | None
    errors: Sequence[tuple[str, str]]


Unit = UserMessage | PullRequest | ReceiptSignal | ErrorSignal


def new_id(party: str) -> str:
    """A fresh message id, as RFC 2822 has them."""
    return f"{uuid4()}@{party}"


def user_message(message: UserMessage, parts: Sequence[Part], mpc: str | None = None) -> etree._Element:
    """The header of a user message with these payloads, on a channel that is not the default."""
    root = element("eb:Messaging")
    made = under(root, "eb:UserMessage", mpc=mpc)
    _info(made, message.id, message.at, message.ref)
    parties = under(made, "eb:PartyInfo")
    for name, party, role in (("eb:From", message.sender, INITIATOR), ("eb:To", message.receiver, RESPONDER)):
        side = under(parties, name)
        under(side, "eb:PartyId", party.id, type=party.type)
        under(side, "eb:Role", role)
    about = under(made, "eb:CollaborationInfo")
    if message.agreement is not None:
        under(about, "eb:AgreementRef", message.agreement)
    under(about, "eb:Service", message.service.id, type=message.service.type)
    under(about, "eb:Action", message.action)
    under(about, "eb:ConversationId", message.conversation)
    if message.properties:
        listed = under(made, "eb:MessageProperties")
        for name, value in message.properties.items():
            under(listed, "eb:Property", value, name=name)
    if parts:
        payloads = under(made, "eb:PayloadInfo")
        for part in parts:
            held = under(under(payloads, "eb:PartInfo", href=f"cid:{part.cid}"), "eb:PartProperties")
            under(held, "eb:Property", part.mime, name="MimeType")
            if part.compressed:
                under(held, "eb:Property", GZIP, name="CompressionType")
            if part.kind:
                under(held, "eb:Property", part.kind, name="part")
    return root


def receipt_signal(party: str, ref: str, at: datetime, evidence: etree._Element) -> etree._Element:
    """The header of a receipt."""
    root = element("eb:Messaging")
    made = under(root, "eb:SignalMessage")
    _info(made, new_id(party), at, ref)
    under(made, "eb:Receipt").append(evidence)
    return root


def error_signal(party: str, at: datetime, error: EbmsError) -> etree._Element:
    """The header of an error (ebMS 3.0 Core §6.2)."""
    root = element("eb:Messaging")
    made = under(root, "eb:SignalMessage")
    _info(made, new_id(party), at, error.message_id)
    listed = under(made, "eb:Error", category=error.category, errorCode=error.number, severity=error.severity,
                   shortDescription=error.name, refToMessageInError=error.message_id)  # fmt: skip
    said = under(listed, "eb:Description", error.detail)
    said.set("{http://www.w3.org/XML/1998/namespace}lang", "en")
    return root


def read(messaging: etree._Element) -> Unit:
    """What an ebMS header says. Raises InvalidHeader, FeatureNotSupported, ValueInconsistent."""
    units = list(messaging)
    if len(units) != 1:
        raise FeatureNotSupported("a message holds one user message or one signal; nothing is bundled")
    unit = units[0]
    if unit.tag == tag("eb:UserMessage"):
        return _user_message(unit)
    if unit.tag != tag("eb:SignalMessage"):
        raise InvalidHeader("eb:Messaging holds a UserMessage or a SignalMessage")
    id, at, ref = _informed(unit)
    pull, receipt, errors = unit.find(tag("eb:PullRequest")), maybe(unit, "eb:Receipt"), unit.findall(tag("eb:Error"))
    if (pull is not None) + (receipt is not None) + bool(errors) != 1:
        raise InvalidHeader("a signal is a pull request, a receipt or an error").about(id)
    if pull is not None:
        return PullRequest(id, at, str(pull.get("mpc") or DEFAULT_MPC))
    if receipt is not None:
        if ref is None:
            raise InvalidHeader("a receipt says for which message it is").about(id)
        return ReceiptSignal(id, at, ref, list(receipt))
    return ErrorSignal(id, at, ref or errors[0].get("refToMessageInError"), [_error(one) for one in errors])


def _user_message(unit: etree._Element) -> UserMessage:
    id, at, ref = _informed(unit)
    try:
        parties = only(unit, "eb:PartyInfo")
        about = only(unit, "eb:CollaborationInfo")
        agreement, payloads = maybe(about, "eb:AgreementRef"), maybe(unit, "eb:PayloadInfo")
        listed = maybe(unit, "eb:MessageProperties")
        service = only(about, "eb:Service")
        parts = [] if payloads is None else [_part(one) for one in payloads.findall(tag("eb:PartInfo"))]
        if len(parts) > MOST_PARTS or len({part.cid for part in parts}) != len(parts):
            raise ValueInconsistent(f"a message has at most {MOST_PARTS} payloads, each named once")
        return UserMessage(
            id=id, at=at, ref=ref,
            sender=_party(only(parties, "eb:From")), receiver=_party(only(parties, "eb:To")),
            agreement=None if agreement is None else text(agreement),
            service=Party(text(service), service.get("type")), action=text(only(about, "eb:Action")),
            conversation=text(only(about, "eb:ConversationId")),
            properties={} if listed is None else _properties(listed), parts=parts,
        )  # fmt: skip
    except EbmsError as error:
        raise error.about(id) from None


def _party(side: etree._Element) -> Party:
    found = only(side, "eb:PartyId")
    return Party(text(found), found.get("type"))


def _part(info: etree._Element) -> Part:
    href = str(info.get("href") or "")
    if not href.startswith("cid:") or len(href) > LONGEST_ID:
        raise FeatureNotSupported("a payload is an attachment of its own (href is a cid:)")
    held = maybe(info, "eb:PartProperties")
    named = {} if held is None else _properties(held)
    compression = named.get("CompressionType")
    if compression not in (None, GZIP):
        raise FeatureNotSupported(f"payloads are compressed by {GZIP} or not at all")
    mime = named.get("MimeType", "application/octet-stream").partition(";")[0].strip().lower()
    return Part(href.removeprefix("cid:"), mime, compression == GZIP, named.get("part"))


def _properties(listed: etree._Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in listed.findall(tag("eb:Property")):
        name = str(one.get("name") or "")
        if not name or name in found or len(found) >= 64:
            raise ValueInconsistent("a property has a name of its own, and there are at most 64")
        found[name] = text(one)
    return found


def _error(one: etree._Element) -> tuple[str, str]:
    said = [one.get("shortDescription") or "", one.findtext(tag("eb:Description")) or "",
            one.findtext(tag("eb:ErrorDetail")) or ""]  # fmt: skip
    return str(one.get("errorCode") or "")[:20], " · ".join(part.strip() for part in said if part.strip())[:500]


def _info(parent: etree._Element, id: str, at: datetime, ref: str | None) -> None:
    info = under(parent, "eb:MessageInfo")
    under(info, "eb:Timestamp", at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"))
    under(info, "eb:MessageId", id)
    if ref is not None:
        under(info, "eb:RefToMessageId", ref)


def _informed(unit: etree._Element) -> tuple[str, datetime, str | None]:
    info = only(unit, "eb:MessageInfo")
    id = _message_id(only(info, "eb:MessageId"))
    ref = maybe(info, "eb:RefToMessageId")
    try:
        at = datetime.fromisoformat(text(only(info, "eb:Timestamp"), 40))
    except ValueError:
        raise InvalidHeader("eb:Timestamp is no moment").about(id) from None
    return id, at if at.tzinfo else at.replace(tzinfo=UTC), None if ref is None else _message_id(ref)


def _message_id(held: etree._Element) -> str:
    found = text(held, LONGEST_ID)
    if any(one.isspace() or not one.isprintable() for one in found):
        raise InvalidHeader("a message id is printable and without spaces (RFC 2822 §3.6.4)")
    return found
