"""Step 4: envelope, type, open part, recipients and sealing, by the catalogue and the directory."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from hub.errors import OtherHub
from hub.organisations import Directory
from keys import jwe
from keys.errors import Fault
from protocols import attachments, envelope, sealing
from protocols.attachments import AttachmentUnknown
from protocols.departments import is_hub
from protocols.envelope import Event
from protocols.loading import Catalogue, Protocol
from protocols.refusals import DataInvalid, EnvelopeInvalid, RecipientsInvalid, RoleNotAllowed, SealingInvalid


def validate(
    attributes: dict[str, Any], catalogue: Catalogue, directory: Directory, hub: str, now: datetime
) -> tuple[Event, Protocol]:
    """The event, with the protocol it belongs to; raises the first fault."""
    event = envelope.event(attributes)
    _check_sender(event, directory)
    return event, judge(event, catalogue, directory, hub, now)


def judge(event: Event, catalogue: Catalogue, directory: Directory, hub: str, now: datetime) -> Protocol:
    """The protocol of an event, whoever took it from its sender; raises the first fault."""
    envelope.check_time(event, now)
    _check_home(event, hub)
    protocol, _ = catalogue.message(event.type, event.dataschema)
    for check in _CHECKS:
        check(event, protocol, directory, now)
    return protocol


def check_standing(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    """What of this depends on who is who at `now`. Raises RoleNotAllowed, RecipientsInvalid, SealingInvalid."""
    for check in _STANDING:
        check(event, protocol, directory, now)


def collect(
    attributes: dict[str, Any], catalogue: Catalogue, directory: Directory, hub: str, now: datetime
) -> tuple[list[Fault], tuple[Event, Protocol] | None]:
    """Every fault at once, and the event with its protocol where the flow can judge it all the same."""
    try:
        event = envelope.event(attributes)
    except Fault as fault:
        return [fault], None
    found: list[Fault] = []
    _note(found, lambda: _check_sender(event, directory))
    _note(found, lambda: envelope.check_time(event, now))
    _note(found, lambda: _check_home(event, hub))
    try:
        protocol, message = catalogue.message(event.type, event.dataschema)
    except Fault as fault:
        return [*found, fault], None
    for check in _CHECKS:
        _note(found, lambda check=check: check(event, protocol, directory, now))  # type: ignore[misc]
    # The flow reads the data by its schema: without it there is nothing it can judge.
    fits = message.schema.accepts(event.data)
    return found, (event, protocol) if fits and not message.declared.from_hub else None


def _note(found: list[Fault], check: Callable[[], None]) -> None:
    try:
        check()
    except Fault as fault:
        found.append(fault)


def _check_home(event: Event, hub: str) -> None:
    if event.hub != hub:
        raise OtherHub(f"this hub is {hub}")


def _check_sender(event: Event, directory: Directory) -> None:
    home = directory.home(event.source) if directory.neighbours else None
    if home is not None:
        raise OtherHub(f"{event.source} is of {home}, and sends to it")


def _check_message(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    declared = protocol.messages[event.message].declared
    if declared.from_hub:
        raise RoleNotAllowed("only a hub sends this message")
    if event.expirytime is not None and not declared.may_expire:
        raise EnvelopeInvalid([{"pointer": "/expirytime", "message": "this message can't expire"}])


def _check_data(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    schema = protocol.messages[event.message].schema
    if not schema.accepts(event.data):
        raise DataInvalid(schema.findings(event.data, "/data"))


def _check_opener(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    move = protocol.flow.opening.get(event.message)
    if move is None or not move.of:
        return
    sender = directory.get(event.source)
    if sender is None or sender.roles.isdisjoint(move.of):
        raise RoleNotAllowed(f"{event.type} is for organisations of the role {' or '.join(move.of)}")


def _check_succession(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    heir = directory.heir(event.source)
    if heir != event.source:
        raise RoleNotAllowed(f"{heir} stands in the place of {event.source} and sends in its cases")


def _check_attachments(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    """An attachment stays with the hub that it was uploaded to: whoever is of another could not read it."""
    if directory.neighbours and attachments.named(event.data):
        away = [name for name in event.recipients if directory.home(name) is not None]
        if away:
            why = f"does not go to the other hub of {', '.join(away)}"
            raise AttachmentUnknown([{"pointer": "/data/attachments", "message": why}])


def _check_recipients(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    findings = []
    for name in event.recipients:
        if directory.get(name) is None and is_hub(name):
            findings.append({"pointer": "/recipients", "message": f"{name} is a hub, which has no mailbox here"})
        elif directory.get(name) is None:
            findings.append({"pointer": "/recipients", "message": f"{name} is not known here"})
        elif directory.neighbours and (home := directory.home(name)) and directory.neighbour(home, now) is None:
            findings.append({"pointer": "/recipients", "message": f"{name} is of {home}, no neighbour of this hub now"})
        elif directory.neighbours and is_hub(name) and directory.home(name) is not None:
            findings.append({"pointer": "/recipients", "message": f"{name} is a hub, which has no mailbox here"})
        elif (heir := directory.heir(name)) != name:
            findings.append({"pointer": "/recipients", "message": f"{heir} stands in the place of {name}"})
    if findings:
        raise RecipientsInvalid(findings)


def _check_sealing(event: Event, protocol: Protocol, directory: Directory, now: datetime) -> None:
    message, sealed = protocol.messages[event.message], event.data.get("sealed")
    if sealed is None:
        if message.declared.sealed == "required":
            raise SealingInvalid([{"pointer": "/data/sealed", "message": "this message must be sealed"}])
        return
    if not isinstance(sealed, dict):
        return  # said by its schema
    kids = set(jwe.recipient_kids(sealed))
    alone = message.declared.sealed_to != "everybody"
    readers = protocol.readers(event)
    findings, known = [], set[str]()
    for name in readers:
        organisation = directory.get(name)
        keys = {key.kid for key in organisation.ring.encryption_keys(now)} if organisation else set()
        known |= keys
        if not keys & kids and (keys or name != event.source):
            why = "none of its keys is among the recipients" if keys else "it has no encryption key"
            findings.append({"pointer": "/data/sealed/recipients", "message": f"{name}: {why}"})
    if alone and not kids <= known:
        text = f"sealed to a key that is not of {', '.join(readers)}, who alone may open it"
        findings.append({"pointer": "/data/sealed/recipients", "message": text})
    if jwe.ciphertext_length(sealed) % (message.declared.padding * sealing.BLOCK) and message.declared.padding > 1:
        text = f"its plaintext is not padded to a multiple of {message.declared.padding} KiB"
        findings.append({"pointer": "/data/sealed/ciphertext", "message": text})
    if findings:
        raise SealingInvalid(findings)


_STANDING = (_check_succession, _check_opener, _check_recipients, _check_sealing)
_CHECKS = (_check_message, _check_data, _check_attachments, *_STANDING)
