"""Step 4: envelope, type, open part, recipients and sealing, by the catalogue and the directory."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from hub.errors import OtherHub
from hub.organisations import Directory
from keys import jwe
from keys.errors import Fault
from protocols import envelope
from protocols.envelope import Event
from protocols.loading import Catalogue, MessageType, Protocol
from protocols.refusals import DataInvalid, EnvelopeInvalid, RecipientsInvalid, RoleNotAllowed, SealingInvalid


def validate(
    attributes: dict[str, Any], catalogue: Catalogue, directory: Directory, hub: str, now: datetime
) -> tuple[Event, Protocol, MessageType]:
    """The event, with the protocol and message it belongs to; raises the first fault."""
    event = envelope.event(attributes)
    envelope.check_time(event, now)
    _check_home(event, hub)
    protocol, message = catalogue.message(event.type, event.dataschema)
    for check in _CHECKS:
        check(event, message, directory, now)
    return event, protocol, message


def check_standing(event: Event, message: MessageType, directory: Directory, now: datetime) -> None:
    """What of this depends on who is who at `now`. Raises RecipientsInvalid, SealingInvalid."""
    for check in _STANDING:
        check(event, message, directory, now)


def collect(
    attributes: dict[str, Any], catalogue: Catalogue, directory: Directory, hub: str, now: datetime
) -> tuple[list[Fault], tuple[Event, Protocol] | None]:
    """Every fault at once, and the event with its protocol where the flow can judge it all the same."""
    try:
        event = envelope.event(attributes)
    except Fault as fault:
        return [fault], None
    found: list[Fault] = []
    _note(found, lambda: envelope.check_time(event, now))
    _note(found, lambda: _check_home(event, hub))
    try:
        protocol, message = catalogue.message(event.type, event.dataschema)
    except Fault as fault:
        return [*found, fault], None
    for check in _CHECKS:
        _note(found, lambda check=check: check(event, message, directory, now))  # type: ignore[misc]
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


def _check_message(event: Event, message: MessageType, directory: Directory, now: datetime) -> None:
    if message.declared.from_hub:
        raise RoleNotAllowed("only a hub sends this message")
    if event.expirytime is not None and not message.declared.may_expire:
        raise EnvelopeInvalid([{"pointer": "/expirytime", "message": "this message can't expire"}])


def _check_data(event: Event, message: MessageType, directory: Directory, now: datetime) -> None:
    if not message.schema.accepts(event.data):
        raise DataInvalid(message.schema.findings(event.data, "/data"))


def _check_recipients(event: Event, message: MessageType, directory: Directory, now: datetime) -> None:
    unknown = [name for name in event.recipients if directory.get(name) is None]
    if unknown:
        findings = [{"pointer": "/recipients", "message": f"{name} is not known here"} for name in unknown]
        raise RecipientsInvalid(findings)


def _check_sealing(event: Event, message: MessageType, directory: Directory, now: datetime) -> None:
    sealed = event.data.get("sealed")
    if sealed is None:
        if message.declared.sealed == "required":
            raise SealingInvalid([{"pointer": "/data/sealed", "message": "this message must be sealed"}])
        return
    if not isinstance(sealed, dict):
        return  # said by its schema
    kids = set(jwe.recipient_kids(sealed))
    findings = []
    for name in (*event.recipients, event.source):
        organisation = directory.get(name)
        keys = {key.kid for key in organisation.ring.encryption_keys(now)} if organisation else set()
        if not keys & kids and (keys or name != event.source):
            why = "none of its keys is among the recipients" if keys else "it has no encryption key"
            findings.append({"pointer": "/data/sealed/recipients", "message": f"{name}: {why}"})
    if findings:
        raise SealingInvalid(findings)


_STANDING = (_check_recipients, _check_sealing)
_CHECKS = (_check_message, _check_data, *_STANDING)
