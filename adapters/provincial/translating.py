"""The mapping applied: a record of the platform becomes an offer, a message of the hub becomes the platform's JSON."""

import hashlib
import json
import re
from collections.abc import Collection
from typing import Any, Final

from adapters.provincial.case_numbers import CaseNumbers
from adapters.provincial.expressions import Expression, Unmapped, plain, without_nulls
from adapters.provincial.mapping import MessageRule, RecordRule, Rules
from adapters.running.partner import Delivery, Offer, Wanted
from keys.errors import Fault
from protocols.departments import parse_organisation_id
from protocols.envelope import MAX_RECIPIENTS, is_id, rfc3339
from protocols.schemas import Schema

SHOWN: Final = 5
"""Findings of a schema that a reason names."""
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def offered(rules: Rules, record: str, item: Any, cases: CaseNumbers, organisations: Collection[str]) -> Offer:
    """A record as an offer; what the mapping can't do with it is the offer's problem, and it is a dead letter then."""
    key: str | None = None
    try:
        rule = rules.records.get(record)
        if rule is None:
            raise Unmapped(f"the mapping has no record {record[:60]!r}")
        key = key_of(rule, item)
        wanted, number = message_of(rule, item)
        if wanted.source not in organisations:
            raise Unmapped(f"this adapter does not speak for {wanted.source[:60]}")
        case = cases.reserve(number) if rule.opens else cases.case(number) or (number if is_id(number) else None)
        if case is None:
            raise Unmapped(f"no case is known by the number {number[:60]}")
        return Offer(key=named(record, key, item), wanted=_in(wanted, case), raw=_raw(record, key, item))
    except Fault as fault:
        return Offer(key=named(record, key, item), problem=fault.detail, raw=_raw(record, key, item))


def key_of(rule: RecordRule, item: Any) -> str:
    """By what a record is known again: all parts, or nobody could tell two records apart. Raises Unmapped."""
    return text("-".join(text(part.of(item), "a part of the key") for part in rule.key), "key")


def message_of(rule: RecordRule, item: Any) -> tuple[Wanted, str]:
    """The message that a record makes, not yet in any case, and the case's number. Raises Unmapped.

    Both parts are held against the message's schemas; a member that is null is one that is not there.
    """
    given = {name: expression.of(item) for name, expression in rule.expressions.items()}
    to = _recipients(given["to"]) if rule.opens else ()
    causationid = given.get("causationid")
    if causationid is not None and not (isinstance(causationid, str) and is_id(causationid)):
        raise Unmapped("causationid is no id of a message")
    data = _fitting(given["data"], rule.message.schema, "data")
    content = None
    if given.get("content") is not None:
        if rule.message.sealed_schema is None:
            raise Unmapped(f"{rule.type} has no sealed part")
        content = _fitting(given["content"], rule.message.sealed_schema, "content")
    elif rule.message.declared.sealed == "required":
        raise Unmapped(f"{rule.type} needs content, and the record gives none")
    source = _organisation(given["source"])
    wanted = Wanted(source=source, type=rule.type, data=data, content=content, to=to, causationid=causationid)
    return wanted, text(given["case"], "case")


def seen(delivery: Delivery, number: str | None) -> dict[str, Any]:
    """A message as the expressions of the mapping see it; `number` is the platform's for the case, if it has one."""
    event = delivery.item.event
    data = {name: value for name, value in event.data.items() if name not in ("sealed", "sealed_digest")}
    found = {
        "id": event.id, "source": event.source, "type": event.type, "case": event.subject, "number": number,
        "time": rfc3339(event.time), "recipients": list(event.recipients), "organisation": delivery.organisation,
        "causationid": event.causationid, "gateway": delivery.item.gateway, "accepted": delivery.item.receipt.accepted,
        "data": data, "content": delivery.content,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}


def body_of(rule: MessageRule, view: dict[str, Any]) -> Any:
    """What the platform is given. Raises Unmapped."""
    body = rule.body.of(view)
    if not isinstance(body, dict | list):
        raise Unmapped(f"the mapping of {rule.type} gives neither an object nor an array")
    return body


def number_in(expression: Expression | None, answer: Any) -> str | None:
    """The number that the platform gave a case, by its answer. Raises Unmapped."""
    found = None if expression is None else expression.of(answer)
    return None if found is None else text(found, "number")


def text(value: Any, what: str) -> str:
    """A key or a number as text. Raises Unmapped."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not 0 < len(value.strip()) <= 200 or not value.isprintable():
        raise Unmapped(f"{what} is no text of 1 to 200 characters")
    return value.strip()


def named(record: str, key: str | None, item: Any) -> str:
    """An offer's key: the record's, or the digest of what can't name a file, or of a record that has no key."""
    kind = record if _PLAIN_KEY.fullmatch(record) else hashlib.sha256(record.encode(errors="replace")).hexdigest()
    if key is None:
        written = json.dumps(item, sort_keys=True, default=str)
        return f"{kind}/{hashlib.sha256(written.encode(errors='replace')).hexdigest()}"
    return f"{kind}/{key if _PLAIN_KEY.fullmatch(key) else hashlib.sha256(key.encode()).hexdigest()}"


def _in(wanted: Wanted, case: str) -> Wanted:
    return Wanted(source=wanted.source, type=wanted.type, data=wanted.data, content=wanted.content, case=case,
                  to=wanted.to, causationid=wanted.causationid)  # fmt: skip


def _raw(record: str, key: str | None, item: Any) -> dict[str, Any]:
    try:
        shown = plain(item)
    except Unmapped as fault:
        shown = fault.detail
    return {"record": record[:200], "key": key, "item": shown}


def _recipients(value: Any) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    if not 0 < len(listed) <= MAX_RECIPIENTS:
        raise Unmapped(f"to names 1 to {MAX_RECIPIENTS} organisations")
    return tuple(dict.fromkeys(_organisation(one) for one in listed))


def _organisation(value: Any) -> str:
    if not isinstance(value, str):
        raise Unmapped("source and to are ids of organisations")
    try:
        parse_organisation_id(value)
    except (Fault, ValueError):
        raise Unmapped(f"{value[:60]!r} is no id of an organisation") from None
    return value


def _fitting(value: Any, schema: Schema, what: str) -> dict[str, Any]:
    value = without_nulls(value)
    if not isinstance(value, dict):
        raise Unmapped(f"{what} is no object")
    if not schema.accepts(value):
        found = "; ".join(f"/{what}{one['pointer']} {one['message']}" for one in schema.findings(value)[:SHOWN])
        raise Unmapped(f"{what} does not fit the message: {found}")
    return value
