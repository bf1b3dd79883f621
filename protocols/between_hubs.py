"""Entries of the transparency log about other hubs: who is a neighbour, what was carried between hubs (decision 33)."""

from typing import Literal

import msgspec


class There(msgspec.Struct, frozen=True, omit_defaults=True):
    """An entry of another hub's log: its index, the moment that it has, and the place in that hub's list for this one.

    `position` is there where the entry came by that list.
    """

    hub: str
    index: int
    at: str
    position: int | None = None


class NeighbourAdmitted(msgspec.Struct, frozen=True, tag_field="kind", tag="neighbour-admitted", omit_defaults=True):
    """From here on `hub` is a neighbour until `expires`, for organisations of these divisions and departments.

    `statements` are its application and the anchor's word on it (`protocols.vouching`); absent limits are none.
    """

    hub: str
    url: str
    expires: str
    statements: list[str]
    at: str
    divisions: list[str] | None = None
    departments: list[str] | None = None


class NeighbourEnded(msgspec.Struct, frozen=True, tag_field="kind", tag="neighbour-ended"):
    """From here on `hub` is no neighbour: nothing is taken from it, and nothing goes to it."""

    hub: str
    at: str


class Relayed(msgspec.Struct, frozen=True, tag_field="kind", tag="relayed", omit_defaults=True):
    """A message in a case whose home is another hub.

    On its way to that home it has a place in the list that the home reads, in `via`, and no positions. When the home
    has taken it, `there` is the home's entry, which is repeated here: `recipients` have positions in mailboxes of this
    hub, and `due` is the home's word. `first` is the entry of the hub that took it from its sender, where that is not
    the home.
    """

    id: str
    digest: str
    source: str
    type: str
    subject: str
    causationid: str | None
    home: str
    recipients: dict[str, int]
    at: str
    due: str | None = None
    there: There | None = None
    first: There | None = None
    via: dict[str, int] | None = None
    gateway: str | None = None
    version: str = "1.0"
    assigned: str | None = None


class Returned(msgspec.Struct, frozen=True, tag_field="kind", tag="returned", omit_defaults=True):
    """A message that came from another hub is not taken by its case's home, for the reason `problem` (a stable code).

    At the home `first` is the entry of the hub that it came from, which reads of it in its list (`via`). That hub
    repeats the entry, and `there` is the home's.
    """

    id: str
    digest: str
    source: str
    type: str
    subject: str
    home: str
    problem: str
    at: str
    first: There | None = None
    there: There | None = None
    via: dict[str, int] | None = None


class Marked(msgspec.Struct, frozen=True, tag_field="kind", tag="marked", omit_defaults=True):
    """An organisation of another hub fetched, or acknowledged, messages there: `positions` in its mailbox here.

    `there` is that hub's entry; `jws` the acknowledgement, which only the recipient can sign.
    """

    mark: Literal["fetched", "acknowledged"]
    recipient: str
    positions: list[int]
    there: There
    at: str
    jws: str | None = None
