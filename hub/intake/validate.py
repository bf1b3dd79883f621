"""Step 4: envelope, type, open part, recipients and sealing, by the catalogue and the directory."""

from datetime import datetime
from typing import Any

from hub.errors import OtherHub
from hub.organisations import Directory
from keys import jwe
from protocols import envelope
from protocols.envelope import Event
from protocols.loading import Catalogue, MessageType, Protocol
from protocols.refusals import DataInvalid, EnvelopeInvalid, RecipientsInvalid, RoleNotAllowed, SealingInvalid


def validate(
    attributes: dict[str, Any], catalogue: Catalogue, directory: Directory, hub: str, now: datetime
) -> tuple[Event, Protocol, MessageType]:
    """The event, with the protocol and message it belongs to; raises what does not fit."""
    event = envelope.event(attributes)
    envelope.check_time(event, now)
    if event.hub != hub:
        raise OtherHub(f"this hub is {hub}")
    protocol, message = catalogue.message(event.type, event.dataschema)
    if message.declared.from_hub:
        raise RoleNotAllowed("only a hub sends this message")
    if event.expirytime is not None and not message.declared.may_expire:
        raise EnvelopeInvalid([{"pointer": "/expirytime", "message": "this message can't expire"}])
    if not message.schema.accepts(event.data):
        raise DataInvalid(message.schema.findings(event.data, "/data"))
    _check_recipients(event, directory)
    _check_sealing(event, message, directory, now)
    return event, protocol, message


def _check_recipients(event: Event, directory: Directory) -> None:
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
