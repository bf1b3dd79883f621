"""What another hub hands over: a message with the receipts of the hubs that it passed, each held against its log.

Pure: the directory and the moment are given, nothing is read. What does not hold is refused by its name.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from hub.errors import RequestMalformed, SenderUnknown
from hub.identity import Identity
from hub.intake.decode import Incoming, decode
from hub.organisations import Directory, Organisation
from hub.relaying.faults import NeighbourUnknown, OrganisationElsewhere, RelayInvalid, RelayLoop
from keys import jws, strict_json
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import envelope, receipt
from protocols.between_hubs import Relayed, Returned, There
from protocols.entries import Accepted, Carried
from protocols.envelope import Event
from protocols.receipt import Receipt
from protocols.refusals import ReceiptInvalid

MOST_RECEIPTS = 2
"""A message passes the hub of its sender and its case's home; whoever has it then hands it on no more."""


class Handed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/relay`."""

    message: str
    receipts: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Passage:
    """A message from the neighbour `hub`, whose log's `entry` at `there` speaks of it; everything is proven.

    `first` is when and where a hub took it from its sender, by which its key is judged.
    """

    incoming: Incoming
    event: Event
    hub: str
    entry: Carried
    there: There
    first: There
    receipts: str


def read(body: bytes, identity: Identity, directory: Directory, now: datetime) -> Passage:
    """What was handed over, proven. Raises what does not hold."""
    handed = _handed(body)
    incoming = decode(handed.message.encode())
    event = envelope.event(incoming.attributes)
    given = [_receipt(one) for one in handed.receipts]
    if any(_ours(one, identity) for one in given):
        raise RelayLoop()
    if not 1 <= len(given) <= MOST_RECEIPTS:
        raise RelayInvalid("a message is handed over with the receipt of one hub, or of two")
    sender = directory.get(event.source)
    if sender is None:
        raise SenderUnknown(f"{event.source} is not known here")
    hub = event.hub if event.hub != identity.hub else sender.home
    if hub is None:
        raise RelayInvalid(f"{event.source} is of this hub, and sends to it itself")
    kinds: tuple[type[Carried], ...] = (Relayed,) if event.hub == identity.hub else (Accepted, Returned)
    entry, there = _proven(given[-1], incoming, event, hub, kinds, directory, now)
    there = msgspec.structs.replace(there, position=(entry.via or {}).get(identity.hub))
    first = _first(given[:-1], incoming, event, entry, there, identity, directory, now)
    if (sender.home or identity.hub) != first.hub:
        raise OrganisationElsewhere(f"{event.source} is of {sender.home or identity.hub}, not of {first.hub}")
    if not isinstance(entry, Returned):
        _check_signature(incoming, entry, sender, first, directory)
    return Passage(incoming, event, hub, entry, there, first, msgspec.json.encode(given).decode())


def incoming(body: bytes) -> Incoming:
    """The message in the body, believed in nothing. Raises RequestMalformed and what `decode` raises."""
    return decode(_handed(body).message.encode())


def hub_keys(directory: Directory, hub: str, moment: datetime) -> list[VerifyingKey]:
    """The keys that a neighbour's log is proven with. Raises NeighbourUnknown unless it is one at the moment."""
    known = directory.get(hub)
    if known is None or directory.neighbour(hub, moment) is None:
        raise NeighbourUnknown(f"{hub} is no neighbour of this hub now")
    return [
        key.parsed for key in known.keys if isinstance(key.parsed, VerifyingKey) and key.kid not in known.compromised
    ]


def _handed(body: bytes) -> Handed:
    try:
        return msgspec.convert(strict_json.loads(body), Handed)
    except (Fault, msgspec.ValidationError, UnicodeError) as error:
        raise RequestMalformed(f'the body is {{"message", "receipts"}}: {getattr(error, "detail", error)}') from None


def _receipt(document: dict[str, Any]) -> Receipt:
    try:
        return receipt.parse(document)
    except ReceiptInvalid as fault:
        raise RelayInvalid(fault.detail) from None


def _ours(given: Receipt, identity: Identity) -> bool:
    """Whether a receipt is of this hub's log, or of one that it had before."""
    return f"/{identity.hub}/" in given.log.origin


def _proven(
    given: Receipt,
    incoming: Incoming,
    event: Event,
    hub: str,
    kinds: tuple[type[Carried], ...],
    directory: Directory,
    now: datetime,
) -> tuple[Carried, There]:
    keys = hub_keys(directory, hub, now)
    try:
        proven = receipt.verify(given, keys, compact=incoming.compact.token, kinds=kinds)
    except ReceiptInvalid as fault:
        raise RelayInvalid(f"the receipt of {hub}: {fault.detail}") from None
    entry = proven.entry
    assert isinstance(entry, Carried)
    said = (entry.id, entry.source, entry.type, entry.subject)
    if said != (event.id, event.source, event.type, event.subject):
        raise RelayInvalid(f"the entry of {hub} speaks of another message")
    if isinstance(entry, Accepted) and set(entry.recipients) != set(event.recipients):
        raise RelayInvalid(f"the entry of {hub} names other recipients than the message")
    if not isinstance(entry, Accepted) and entry.home != event.hub:
        raise RelayInvalid(f"the entry of {hub} names another home than the message")
    if isinstance(entry, Relayed) and entry.there is not None:
        raise RelayInvalid(f"{hub} repeats what it was given; it hands on only what its own organisations sent")
    return entry, There(hub, proven.index, entry.at)


def _first(
    earlier: list[Receipt],
    incoming: Incoming,
    event: Event,
    entry: Carried,
    there: There,
    identity: Identity,
    directory: Directory,
    now: datetime,
) -> There:
    """Where the message was taken from its sender, as its own hub proves it."""
    told = None if isinstance(entry, Relayed) else entry.first
    if told is None or told.hub == identity.hub:
        if earlier:
            raise RelayInvalid("there are more receipts than hubs that it passed")
        return there if told is None else told
    if len(earlier) != 1:
        raise RelayInvalid(f"the receipt of {told.hub}, which took it from its sender, is missing")
    _, proven = _proven(earlier[0], incoming, event, told.hub, (Relayed,), directory, now)
    if (proven.index, proven.at) != (told.index, told.at):
        raise RelayInvalid(f"{told.hub} took it at another moment than {there.hub} says")
    return proven


def _check_signature(
    incoming: Incoming, entry: Carried, sender: Organisation, first: There, directory: Directory
) -> None:
    """The sender's key counts as of when the first hub took the message.

    That a gateway may sign for the sender is the word of their hub, whose log holds the delegation.
    """
    gateway = None if isinstance(entry, Returned) else entry.gateway
    signer = sender if gateway is None else directory.get(gateway)
    if signer is None or (signer.home != sender.home):
        raise OrganisationElsewhere(f"{gateway} is no gateway of the hub of {sender.id}")
    at = datetime.fromisoformat(first.at)
    key = signer.ring.verifying(incoming.compact.header.kid, at, signer.algorithms)
    jws.verify(incoming.compact, key, signer.algorithms)
