"""What the messages of the simulation say: the examples of their schemas, with days of today and what must agree."""

import zlib
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from protocols.attachments import ATTACHMENTS
from protocols.loading import MessageType, Protocol, catalogue
from protocols.message_checks import own_part

_PROPOSED = timedelta(days=45)
"""Later than any protocol's own deadline for an ordinary case, sixty days for tip-offs apart."""


@lru_cache(maxsize=64)
def _message(protocol: str, message: str) -> tuple[Protocol, MessageType]:
    found = catalogue().latest(protocol)
    if found is None:
        raise LookupError(f"the catalogue has no protocol {protocol}")
    return found, found.messages[message]


def open_part(protocol: str, message: str, by_opener: bool, today: date, of: str, newcomer: str) -> dict[str, Any]:
    """The part that the hub sees, of a message by the opener or the responder of a case.

    `of` is the organisation that reports in a bulletin of last month; `newcomer` is who a case is forwarded to.
    """
    examples = own_part(_message(protocol, message)[1])["examples"]
    if message == "answer":  # the responder's says what came out; the opener's, to a question, does not
        examples = [one for one in examples if ("outcome" in one) != by_opener]
    data = dict(examples[0])
    match message:
        case "forward":
            data["to"] = newcomer
        case "propose-date":
            data["date"] = (today + _PROPOSED).isoformat()
        case "accept":
            data = {}
        case "report" if protocol == "information-bulletin":
            data |= {"period": _last_month(today), "counts": _counts(of)}
        case "zero-report":
            data["period"] = _last_month(today)
        case "correct":
            data["counts"] = _counts(of)
    return data


def sealed_part(protocol: str, message: str) -> Mapping[str, Any] | None:
    """The part that only its recipients can open, with no file attached; None where the message may do without."""
    declared = _message(protocol, message)[1]
    if declared.declared.sealed != "required" or declared.sealed_schema is None:
        return None
    example: Mapping[str, Any] = declared.sealed_schema.document["examples"][0]
    return {name: value for name, value in example.items() if name != ATTACHMENTS}


def _last_month(today: date) -> str:
    return (today.replace(day=1) - timedelta(days=1)).isoformat()[:7]


def _counts(organisation: str) -> dict[str, int]:
    """Counts that add up, and go on from the month before, which had the same."""
    number = zlib.crc32(organisation.encode()) % 900 + 100
    return {
        "registered_start": 10 * number,
        "arrived": number,
        "departed": number,
        "registered_end": 10 * number,
        "services_total": number // 10,
        "school_places": number // 10,
    }
