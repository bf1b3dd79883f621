"""What goes onto the bus: CloudEvents 1.0 in structured JSON, each the same bytes however often it is made.

Of a message only the open part is said, with the state and the due date that it left the case in. `source` and `id`
together name an event for ever; both in one are the id by which a bus knows it again.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from adapters.client import Item, Notice
from adapters.running.partner import Offer, Outcome

_SEALED: Final = frozenset({"sealed", "sealed_digest"})
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]")
TYPES: Final = "xieban"
"""What the types of events that are no messages begin with."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where events go: what subjects begin with, and where systems are told what became of what they wanted."""

    prefix: str
    results: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event for a subject; `id` is what the bus knows it again by."""

    subject: str
    id: str
    attributes: Mapping[str, Any]

    @property
    def body(self) -> bytes:
        """As it is published."""
        return json.dumps(self.attributes, ensure_ascii=False, separators=(",", ":")).encode()

    def without(self, member: str) -> "Event":
        """The same without one member of its data."""
        data = {name: value for name, value in self.attributes["data"].items() if name != member}
        return Event(self.subject, self.id, {**self.attributes, "data": data})


def subject(*words: str) -> str:
    """A subject of words: nothing in them divides it, or matches more than itself."""
    return ".".join(_UNSAFE.sub("_", word)[:128] or "_" for word in words)


def message(
    place: Place, hub: str, url: str, organisation: str, item: Item, case: Mapping[str, Any] | None, jws: bool
) -> Event:
    """A message that reached an organisation. `case` is the hub's view of it, None where it gives none."""
    event = item.event
    data: dict[str, Any] = {
        "message": {
            "source": event.source,
            "recipients": list(event.recipients),
            "dataschema": event.dataschema,
            "data": {name: value for name, value in event.data.items() if name not in _SEALED},
        },
        "case": _case(event.subject, case, item.receipt.log.index),
        "receipt": {"origin": item.receipt.log.origin, "index": item.receipt.log.index, "digest": item.receipt.digest},
        "url": f"{url.rstrip('/')}/v1/messages/{quote(event.source, safe='')}/{event.id}",
    }
    if event.causationid is not None:
        data["message"]["causationid"] = event.causationid
    if item.gateway is not None:
        data["message"]["gateway"] = item.gateway
    if jws:
        data["jws"] = item.compact.decode("ascii")
    where = f"{place.prefix}.{subject(organisation, event.protocol, event.message)}"
    return _event(where, f"{hub}/{organisation}/{event.source}", event.id, event.type, item.receipt.accepted,
                  organisation, data, event.subject)  # fmt: skip


def notice(place: Place, hub: str, organisation: str, told: Notice) -> Event:
    """What the hub tells an organisation of a deadline."""
    data: dict[str, Any] = {"kind": told.kind, "title": {"zh": told.title.zh, "en": told.title.en},
                            "due": told.due.isoformat() if told.due else None, "days": told.days,
                            "about": list(told.about)}  # fmt: skip
    where = f"{place.prefix}.{subject(organisation, 'notice', told.kind)}"
    return _event(where, f"{hub}/{organisation}/notices", str(told.id), f"{TYPES}.notice.{told.kind}", told.made,
                  organisation, data, told.case)  # fmt: skip


def result(place: Place, organisation: str, offer: Offer, outcome: Outcome, at: str | None) -> Event:
    """What became of an event that a system published; what was sealed in it is not spoken of."""
    data: dict[str, Any] = {"taken": outcome.taken, "of": offer.raw.get("of") if isinstance(offer.raw, dict) else None}
    if outcome.receipt is not None:
        log = outcome.receipt.log
        data |= {"message": outcome.message, "case": outcome.case,
                 "receipt": {"origin": log.origin, "index": log.index, "digest": outcome.receipt.digest}}  # fmt: skip
    elif offer.wanted is not None and offer.wanted.content is not None:
        # A finding about sealed content quotes it.
        data["problem"] = "refused; the reason is in the adapter's dead letters, since it may quote what was sealed"
    else:
        data["problem"] = outcome.problem
    key = hashlib.sha256(f"{offer.key}\n{outcome.message}\n{outcome.taken}".encode()).hexdigest()[:32]
    where = f"{place.results}.{subject(organisation)}"
    return _event(where, f"{organisation}/results", key, f"{TYPES}.result", at, organisation, data, outcome.case)


def _event(
    where: str, source: str, id: str, type: str, time: str | None, recipient: str, data: Any, case: str | None
) -> Event:
    attributes = {"specversion": "1.0", "id": id, "source": source, "type": type, "subject": case, "time": time,
                  "recipient": recipient, "datacontenttype": "application/json", "data": data}  # fmt: skip
    return Event(where, f"{source}/{id}", {name: value for name, value in attributes.items() if value is not None})


def _case(id: str, view: Mapping[str, Any] | None, index: int) -> dict[str, Any]:
    """Where this very message left its case: that stays so, whatever happens in it later."""
    found: dict[str, Any] = {"id": id, "state": None, "due": None}
    if view is None:
        return found
    found |= {"protocol": view.get("protocol"), "version": view.get("version")}
    for step in view.get("timeline", ()):
        if step.get("log_index") == index:
            found |= {"state": step.get("to"), "due": step.get("due")}
    return found
