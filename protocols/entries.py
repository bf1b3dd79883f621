"""Entries of the transparency log: the exact bytes of each leaf, by kind.

An entry is JSON in UTF-8 with its `kind` first; moments are RFC 3339 in UTC, days are dates in
Asia/Shanghai. At most 65,535 bytes (C2SP tlog-tiles, entry bundles).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from protocols.between_hubs import Marked, NeighbourAdmitted, NeighbourEnded, Relayed, Returned, There

MAX_ENTRY = 65_535


class Accepted(msgspec.Struct, frozen=True, tag_field="kind", tag="accepted", omit_defaults=True):
    """A message was taken: who says so to whom, at which mailbox positions, and what is due by then.

    `gateway` is there only where a gateway signed it for its source, by a delegation; `version` where the protocol's is
    not 1.0; `assigned` where the message gave a role to one of the case's parties. `via` is the place in the list of
    each neighbouring hub that has part in the case; `first` the entry of the hub that took it from its sender, where
    that was another one.
    """

    id: str
    digest: str
    source: str
    type: str
    subject: str
    causationid: str | None
    recipients: dict[str, int]
    at: str
    due: str | None
    gateway: str | None = None
    version: str = "1.0"
    assigned: str | None = None
    via: dict[str, int] | None = None
    first: There | None = None


class Fetched(msgspec.Struct, frozen=True, tag_field="kind", tag="fetched"):
    """The hub's own word: the recipient was handed its mailbox from `from` through `through`."""

    recipient: str
    from_: int = msgspec.field(name="from")
    through: int
    at: str


class Acknowledged(msgspec.Struct, frozen=True, tag_field="kind", tag="acknowledged"):
    """The recipient's word, in `jws`: it has `from` through `through`."""

    recipient: str
    from_: int = msgspec.field(name="from")
    through: int
    at: str
    jws: str


class Expired(msgspec.Struct, frozen=True, tag_field="kind", tag="expired", omit_defaults=True):
    """The message at this position was not fetched before its `expirytime` and is handed out no more.

    `there` is the entry of the recipient's hub, where that is another.
    """

    recipient: str
    position: int
    id: str
    source: str
    at: str
    there: There | None = None


class Viewed(msgspec.Struct, frozen=True, tag_field="kind", tag="viewed"):
    """The hub's own word: the organisation looked at the history of this case, for the purpose it gave."""

    organisation: str
    case: str
    purpose: str
    at: str


class Succeeded(msgspec.Struct, frozen=True, tag_field="kind", tag="succeeded"):
    """From here on `successor` stands in the place of `organisation` in every case that is not at its end.

    It also reads and acknowledges the mailbox of `organisation`, with its own keys. `on` is the day it was to happen.
    """

    organisation: str
    successor: str
    on: str
    at: str


class KeyAdded(msgspec.Struct, frozen=True, tag_field="kind", tag="key-added", omit_defaults=True):
    """From here on the organisation may be known by this public key (RFC 7517).

    `there` is the entry of the organisation's own hub, where that is another one; its moment counts.
    """

    organisation: str
    kid: str
    jwk: dict[str, Any]
    at: str
    there: There | None = None


class KeyRemoved(msgspec.Struct, frozen=True, tag_field="kind", tag="key-removed", omit_defaults=True):
    """From here on nothing new is taken under this key; what was accepted before stays verifiable.

    `statement` is the signed word (`protocols.revocation`) that asked for it; the operator does it without one.
    `there` as with `key-added`.
    """

    organisation: str
    kid: str
    at: str
    statement: str | None = None
    there: There | None = None


class Vouched(msgspec.Struct, frozen=True, tag_field="kind", tag="vouched"):
    """An organisation was admitted by a chain of entity statements, kept whole: its own first, the anchor's last."""

    organisation: str
    superior: str
    anchor: str
    statements: list[str]
    at: str


class KeyCompromised(msgspec.Struct, frozen=True, tag_field="kind", tag="key-compromised", omit_defaults=True):
    """Somebody else may have had this key from `since` on: what it signed from then on is to be looked at again.

    The key itself is taken out of use by a `key-removed` entry of its own. `statement` and `there` as with that.
    """

    organisation: str
    kid: str
    since: str
    at: str
    statement: str | None = None
    there: There | None = None


class Delegated(msgspec.Struct, frozen=True, tag_field="kind", tag="delegated"):
    """The organisation's word, in `statement`: the gateway may sign for it within the scope and time that it says."""

    organisation: str
    gateway: str
    id: str
    statement: str
    at: str


class DelegationEnded(msgspec.Struct, frozen=True, tag_field="kind", tag="delegation-ended"):
    """The organisation's word, in `statement`: its delegation `id` holds no more."""

    organisation: str
    id: str
    statement: str
    at: str


class CalendarPublished(msgspec.Struct, frozen=True, tag_field="kind", tag="calendar"):
    """From here on due dates are counted by the State Council's arrangement of `year`, in the place of an earlier one.

    `holidays` are its days of rest, `workdays` the weekend days that are worked. What was provisional is counted again
    in `due-changed` entries that follow.
    """

    year: int
    holidays: list[str]
    workdays: list[str]
    at: str


class Outage(msgspec.Struct, frozen=True, tag_field="kind", tag="outage"):
    """The hub's own word that it could not be reached from `from` until `until`.

    What falls due on one of `days` is due on the day `to` instead, case by case in `due-changed` entries that follow.
    """

    from_: str = msgspec.field(name="from")
    until: str
    days: list[str]
    to: str
    at: str


class DueChanged(msgspec.Struct, frozen=True, tag_field="kind", tag="due-changed", omit_defaults=True):
    """A case's due dates moved without a message: the `calendar` or `outage` entry at index `cause` says why.

    `due` is that of the case's next step from here on, `was` what it was before. Where the case's home is another hub,
    `there` is the entry of that hub, whose log `cause` is in.
    """

    subject: str
    due: str | None
    was: str | None
    provisional: bool
    cause: int
    at: str
    there: There | None = None


class Continued(msgspec.Struct, frozen=True, tag_field="kind", tag="continued"):
    """The log goes on under the origin `origin`, for the database was set back to an earlier state, or may have been.

    It is the first entry that no checkpoint of an earlier origin covers. `was` is the old origin's signed checkpoint
    over all entries before this one; `published` the last one known to have been handed out, where that is known: what
    it covers beyond `was` is lost. Positions in mailboxes go on in `epoch` (`protocols.epochs`).
    """

    origin: str
    epoch: int
    was: str
    published: str | None
    at: str


class Erased(msgspec.Struct, frozen=True, tag_field="kind", tag="erased", omit_defaults=True):
    """The hub's own word: the messages of `case` up to here, or of the month `month` (UTC), are erased for `reason`.

    `statement` is the hub's signed word why a case was (`hub.erasure.erasing`): provision and file number of the order.
    Of a month `kept` messages, of cases that were not ended for long enough, stay.
    """

    at: str
    reason: str
    case: str | None = None
    month: str | None = None
    kept: int | None = None
    statement: str | None = None


Entry = (
    Accepted
    | Fetched
    | Acknowledged
    | Expired
    | Viewed
    | Succeeded
    | KeyAdded
    | KeyRemoved
    | KeyCompromised
    | Vouched
    | Delegated
    | DelegationEnded
    | CalendarPublished
    | Outage
    | DueChanged
    | Continued
    | Erased
    | NeighbourAdmitted
    | NeighbourEnded
    | Relayed
    | Returned
    | Marked
)
Carried = Accepted | Relayed | Returned
"""What is entered about a message with its bytes: each is a receipt."""
_decoder: msgspec.json.Decoder[Entry] = msgspec.json.Decoder(Entry)


def happened(entry: Entry) -> str:
    """When what the entry says happened: at the hub where it happened first, by that hub's clock."""
    first = getattr(entry, "first", None) or getattr(entry, "there", None)
    return first.at if isinstance(first, There) else entry.at


def encode(entry: Entry) -> bytes:
    """The leaf's bytes. Raises ValueError beyond 65,535 bytes."""
    leaf = msgspec.json.encode(entry)
    if len(leaf) > MAX_ENTRY:
        raise ValueError(f"entry of {len(leaf)} bytes, at most {MAX_ENTRY}")
    return leaf


def decode(leaf: bytes) -> Entry:
    """The entry in `leaf`. Raises ValueError."""
    try:
        return _decoder.decode(leaf)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"not a log entry: {error}") from error


def as_object(leaf: bytes) -> Mapping[str, Any]:
    """The entry's JSON as it stands, for showing."""
    return msgspec.json.decode(leaf, type=dict[str, Any])
