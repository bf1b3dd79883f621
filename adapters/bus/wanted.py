"""What systems publish: a CloudEvent that asks for a message to be sent, read into an offer; sealed content opened."""

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from adapters.running.partner import Offer, Wanted
from keys import jwe, strict_json
from keys.errors import BadSeal, Fault, MalformedJSON
from keys.jwk import DecryptionKey

LARGEST: Final = 4 << 20
_NAME: Final = 300
"""Longest `source` and longest `id`, in characters."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `data` of such an event: `message`, the open part, with `to` where it opens a case.

    `content` is a JWE for this organisation (RFC 7516 general JSON). Or `jws`, a message that the system signed itself.
    """

    message: dict[str, Any] | None = None
    content: dict[str, Any] | None = None
    to: tuple[str, ...] = ()
    causationid: str | None = None
    jws: str | None = None


class Problem(Fault):
    """The event can't be read as a message to be sent."""

    code = "wanted-invalid"


def offer(body: bytes, organisation: str, number: str, keys: Sequence[DecryptionKey]) -> Offer:
    """The offer of an event that came for an organisation: anything at all, in which case it says what is wrong."""
    key, of = f"{organisation}/{number}", None
    try:
        event = _event(body)
        of = {"source": event["source"], "id": event["id"]}
        name = msgspec.json.encode([event["source"], event["id"]])
        key = f"{organisation}/{hashlib.sha256(name).hexdigest()}"
        asked = _asked(event)
        if asked.jws is not None:
            return Offer(key=key, compact=asked.jws.encode("ascii"), raw={"of": of, "organisation": organisation})
        raw = {"of": of, "organisation": organisation, "type": event["type"], "case": event.get("subject"),
               "data": asked.message, "content": asked.content}  # fmt: skip
        return Offer(key=key, wanted=_wanted(event, asked, organisation, keys), raw=raw)
    except Fault as fault:
        return Offer(key=key, problem=fault.detail[:500], raw={"of": of, "organisation": organisation})


def _event(body: bytes) -> dict[str, Any]:
    if len(body) > LARGEST:
        raise Problem(f"the event is larger than {LARGEST} bytes")
    try:
        event = strict_json.loads(body)
    except MalformedJSON as fault:
        raise Problem(f"not JSON: {fault.detail}") from None
    if not isinstance(event, dict) or event.get("specversion") != "1.0":
        raise Problem("not a CloudEvent 1.0 in structured JSON")
    for name in ("source", "id", "type"):
        if not isinstance(event.get(name), str) or not 0 < len(event[name]) <= _NAME:
            raise Problem(f"{name} is a string of 1 to {_NAME} characters")
    if not isinstance(event.get("subject"), str | None) or event.get("subject") == "":
        raise Problem("subject is the case, or is not there")
    return event


def _asked(event: dict[str, Any]) -> Asked:
    try:
        asked = msgspec.convert(event.get("data"), Asked)
    except (msgspec.ValidationError, RecursionError) as error:
        raise Problem(f"data: {error}") from None
    if (asked.jws is None) == (asked.message is None):
        raise Problem("data has either message or jws")
    if asked.jws is not None and (not asked.jws.isascii() or asked.content is not None or asked.to):
        raise Problem("beside jws there is nothing")
    return asked


def _wanted(event: dict[str, Any], asked: Asked, organisation: str, keys: Sequence[DecryptionKey]) -> Wanted:
    case: str | None = event.get("subject")
    if (case is None) != bool(asked.to):
        raise Problem("subject names the case, or to names who receives a case that is opened")
    content = None if asked.content is None else _opened(asked.content, keys)
    return Wanted(source=organisation, type=event["type"], data=asked.message or {}, content=content, case=case,
                  to=asked.to, causationid=asked.causationid)  # fmt: skip


def _opened(sealed: dict[str, Any], keys: Sequence[DecryptionKey]) -> dict[str, Any]:
    why = "content is sealed to none of this organisation's keys"
    for key in keys:
        try:
            content = strict_json.loads(jwe.unseal(sealed, key))
        except BadSeal as fault:
            if fault.data.get("check") != "recipient":
                raise Problem(f"content is a JWE for this organisation, nothing else: {fault.detail}") from None
            continue
        except MalformedJSON:
            raise Problem("what is sealed in content is not JSON") from None
        if not isinstance(content, dict):
            raise Problem("what is sealed in content is a JSON object")
        return content
    raise Problem(why)
