"""The envelope: a CloudEvents 1.0 event read from signed bytes, or composed for signing."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

import msgspec
import uuid_utils

from keys import strict_json
from keys.errors import MalformedJSON
from protocols.refusals import EnvelopeInvalid, Expired, PayloadMalformed, TimeOutOfRange
from protocols.schemas import Schema

TYP = "xieban+jws"
CTY = "application/cloudevents+json"
ACK_TYP = "xieban-ack+jws"
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MAX_RECIPIENTS = 32
MAX_AHEAD = timedelta(minutes=5)
MAX_AGE = timedelta(days=30)

ENVELOPE = Schema(json.loads(resources.files("protocols").joinpath("catalogue/envelope.json").read_text("utf-8")))


class Event(msgspec.Struct, frozen=True):
    """A message as its sender meant it; `data` is the open part with `sealed` and `sealed_digest`."""

    id: str
    source: str
    type: str
    dataschema: str
    subject: str
    time: datetime
    recipients: tuple[str, ...]
    hub: str
    data: dict[str, Any]
    causationid: str | None = None
    expirytime: datetime | None = None

    @property
    def protocol(self) -> str:
        """The protocol's name, the part of `type` before the dot."""
        return self.type.partition(".")[0]

    @property
    def message(self) -> str:
        """The message's name, the part of `type` after the dot."""
        return self.type.partition(".")[2]


def is_id(text: str) -> bool:
    """Whether `text` is a UUIDv7 (RFC 9562 §5.7) as messages write it, lower-case with hyphens."""
    return _UUID7.fullmatch(text) is not None


def new_id() -> str:
    """A fresh UUIDv7 (RFC 9562 §5.7) for a message or a case."""
    return str(uuid_utils.uuid7())


def read(payload: bytes) -> dict[str, Any]:
    """The JSON object in `payload`, not yet judged. Raises PayloadMalformed."""
    try:
        attributes = strict_json.loads(payload)
    except MalformedJSON as fault:
        raise PayloadMalformed(fault.detail) from fault
    if not isinstance(attributes, dict):
        raise PayloadMalformed()
    return attributes


def findings(attributes: Mapping[str, Any]) -> list[dict[str, str]]:
    """All that keeps `attributes` from being an envelope, with pointers."""
    if not ENVELOPE.accepts(attributes):
        return ENVELOPE.findings(attributes)
    found = []
    recipients = attributes["recipients"].split(" ")
    if attributes["source"] in recipients:
        found.append({"pointer": "/recipients", "message": "the source is never among the recipients"})
    if len(set(recipients)) != len(recipients):
        found.append({"pointer": "/recipients", "message": "a recipient is named twice"})
    for name in ("time", "expirytime"):
        try:
            _moment(attributes.get(name, "1970-01-01T00:00:00Z"))
        except (ValueError, OverflowError):
            found.append({"pointer": f"/{name}", "message": "no such moment"})
    return found


def event(attributes: Mapping[str, Any]) -> Event:
    """The event in `attributes`. Raises EnvelopeInvalid with every finding."""
    found = findings(attributes)
    if found:
        raise EnvelopeInvalid(found)
    expiry = attributes.get("expirytime")
    return Event(
        id=attributes["id"],
        source=attributes["source"],
        type=attributes["type"],
        dataschema=attributes["dataschema"],
        subject=attributes["subject"],
        time=_moment(attributes["time"]),
        recipients=tuple(attributes["recipients"].split(" ")),
        hub=attributes["hub"],
        data=attributes["data"],
        causationid=attributes.get("causationid"),
        expirytime=_moment(expiry) if expiry else None,
    )


def check_time(message: Event, now: datetime) -> None:
    """Raise TimeOutOfRange or Expired where the message's times do not fit `now` (3-wire: `time`)."""
    if message.time > now + MAX_AHEAD:
        raise TimeOutOfRange("time is more than 5 minutes ahead of the hub; set the sender's clock")
    if message.time < now - MAX_AGE:
        raise TimeOutOfRange("time is more than 30 days old; sign the message anew")
    if message.expirytime is not None and message.expirytime <= now:
        raise Expired()


def compose(
    *,
    source: str,
    type: str,
    dataschema: str,
    subject: str,
    recipients: Sequence[str],
    hub: str,
    time: datetime,
    data: Mapping[str, Any],
    id: str | None = None,
    causationid: str | None = None,
    expirytime: datetime | None = None,
) -> dict[str, Any]:
    """The attributes of a new event, ready to be encoded and signed; `id` is made when absent."""
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": id or new_id(),
        "source": source,
        "type": type,
        "dataschema": dataschema,
        "subject": subject,
        "time": rfc3339(time),
        "recipients": " ".join(recipients),
        "hub": hub,
        "datacontenttype": "application/json",
        "data": dict(data),
    }
    if causationid is not None:
        attributes["causationid"] = causationid
    if expirytime is not None:
        attributes["expirytime"] = rfc3339(expirytime)
    return attributes


def encode(attributes: Mapping[str, Any]) -> bytes:
    """The bytes to sign: JSON in UTF-8 (RFC 8259)."""
    return msgspec.json.encode(attributes)


def rfc3339(moment: datetime) -> str:
    """`moment` in UTC with microseconds and `Z` (RFC 3339 §5.6)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    """RFC 3339 §5.6, digits beyond microseconds cut off; a leap second is the first moment after it."""
    upper = text.upper()
    leap = upper[16:19] == ":60"
    moment = datetime.fromisoformat(upper[:16] + ":59" + upper[19:] if leap else upper)
    return moment.astimezone(UTC) + timedelta(seconds=leap)
