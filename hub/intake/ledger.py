"""What one batch is about to write: entries, messages, positions, cases, kept in order until commit."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec

from hub.organisations import Directory
from keys.errors import Fault
from protocols import entries, envelope
from protocols.flow import Case

_case_decoder = msgspec.json.Decoder(Case)


@dataclass(frozen=True, slots=True)
class Taken:
    """A job in the log: at `index`, provable under `tree_size` (None: the batch's own); `new` or known."""

    index: int
    tree_size: int | None
    new: bool


class Job:
    """Something to be entered in the log: it names what it reads, then judges itself against the ledger."""

    __slots__ = ()

    @property
    @abstractmethod
    def recipients(self) -> Sequence[str]:
        """Whose mailbox counters it reads."""

    @property
    def cases(self) -> Sequence[str]:
        """The cases it reads."""
        return ()

    @property
    def attachments(self) -> Sequence[bytes]:
        """The digests of the attachments it names."""
        return ()

    @property
    def message(self) -> tuple[str, str] | None:
        """The `(source, id)` under which it may be known already."""
        return None

    @property
    def hubs(self) -> Sequence[str]:
        """The neighbours that it comes from or goes to; what was carried in its cases is read then."""
        return ()

    @abstractmethod
    def take(self, ledger: "Ledger") -> Taken | Fault:
        """Enter it, or say why not."""


@dataclass(slots=True)
class Counter:
    """A mailbox's positions: the last given out, and how far it was handed, fetched, acknowledged."""

    last: int = 0
    handed: int = 0
    fetched: int = 0
    acknowledged: int = 0
    changed: bool = False


class MessageRow(NamedTuple):
    """A message taken in this batch, with the step that its case made by it."""

    case_id: str
    log_index: int
    jws: bytes
    source: str
    id: str
    signing_digest: bytes
    digest: bytes
    type: str
    before: str | None
    after: str
    due: date | None
    provisional: bool


class MailboxRow(NamedTuple):
    """One position of one mailbox; `message` is the place of its message among the batch's, counted from 1."""

    recipient: str
    position: int
    message: int
    expires: datetime | None


class MarkRow(NamedTuple):
    """A range of positions fetched or acknowledged."""

    recipient: str
    kind: str
    first: int
    through: int
    log_index: int


class PassingRow(NamedTuple):
    """A message that is carried between hubs: `keyed` where it was not known yet, `stepped` where its case moved."""

    case_id: str
    log_index: int
    jws: bytes
    source: str
    id: str
    signing_digest: bytes
    digest: bytes
    type: str
    before: str | None
    after: str | None
    due: date | None
    keyed: bool
    stepped: bool


class RelayRow(NamedTuple):
    """What was carried, which `way` (see the table `relay`), with the receipts of the hubs it passed."""

    case_id: str
    log_index: int
    source: str
    id: str
    way: str
    hub: str
    there_index: int | None
    problem: str | None
    receipts: str


class Relay(NamedTuple):
    """A row of `relay` as a batch reads it; `tree_size` is None where the batch itself wrote it."""

    log_index: int
    tree_size: int | None
    source: str
    id: str
    way: str
    hub: str
    there_index: int | None
    problem: str | None


@dataclass(slots=True)
class Passing:
    """What a batch carries between hubs; empty in a hub without neighbours."""

    taken: dict[str, int] = field(default_factory=dict)
    """By neighbour: the last place of its list for us that was dealt with."""
    moved: set[str] = field(default_factory=set)
    relays: dict[str, list[Relay]] = field(default_factory=dict)
    """By case, in the order of our log."""
    rows: list[RelayRow] = field(default_factory=list)
    messages: list[PassingRow] = field(default_factory=list)
    mailbox: list[MailboxRow] = field(default_factory=list)
    positions: list[tuple[str, int, int]] = field(default_factory=list)
    """Recipient, position in its own hub, position here."""

    def add(self, row: RelayRow) -> None:
        """Note what was carried."""
        self.rows.append(row)
        relay = Relay(row.log_index, None, row.source, row.id, row.way, row.hub, row.there_index, row.problem)
        self.relays.setdefault(row.case_id, []).append(relay)

    def step(self, hub: str, position: int) -> None:
        """Note that a place of a neighbour's list was dealt with."""
        self.taken[hub] = position
        self.moved.add(hub)


@dataclass(slots=True)
class Ledger:
    """The open batch: the world as it stands under the log's lock, and what is added to it."""

    now: datetime
    size: int
    directory: Directory
    origin: str
    """Under which the log signs from here on."""
    epoch_base: int = 0
    """The position before the first that a new mailbox gives out (`protocols.epochs`)."""
    known: dict[tuple[str, str], tuple[bytes, int, int | None]] = field(default_factory=dict)
    cases: dict[str, Case] = field(default_factory=dict)
    moves: dict[str, int] = field(default_factory=dict)
    """How often each case that was read had been written."""
    counters: dict[str, Counter] = field(default_factory=dict)
    entered: list[entries.Entry] = field(default_factory=list)
    leaves: list[bytes] = field(default_factory=list)
    messages: list[MessageRow] = field(default_factory=list)
    mailbox: list[MailboxRow] = field(default_factory=list)
    marks: list[MarkRow] = field(default_factory=list)
    parties: set[tuple[str, str]] = field(default_factory=set)
    changed_cases: dict[str, tuple[Case, Any]] = field(default_factory=dict)
    expired: list[tuple[str, int]] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    readers: dict[bytes, set[str]] = field(default_factory=dict)
    """Who may read an attachment, by its digest; what this batch gives out is in it."""
    uses: list[tuple[bytes, str, int]] = field(default_factory=list)
    grants: list[tuple[bytes, str]] = field(default_factory=list)
    due_changes: list[tuple[str, int]] = field(default_factory=list)
    """Cases whose due dates moved without a message, and by which entry."""
    duties: dict[str, tuple[int, date | None]] = field(default_factory=dict)
    """Cases whose state changed where the hub may act: by which entry, and on which day it is to look (None: never)."""
    passing: Passing = field(default_factory=Passing)
    at: str = field(init=False)
    """`now` as entries write it."""

    def __post_init__(self) -> None:
        self.at = envelope.rfc3339(self.now)

    def append(self, entry: entries.Entry) -> int:
        """Add a log entry; its index."""
        self.entered.append(entry)
        self.leaves.append(entries.encode(entry))
        return self.size + len(self.leaves) - 1

    def read(self, row: Mapping[str, Any]) -> Case:
        """A case as the database has it; it is written only if that is still what is there."""
        case = _case_decoder.decode(row["record"])
        self.moves[case.id] = row["moves"]
        return case

    def counter(self, recipient: str) -> Counter:
        """The recipient's counter."""
        return self.counters.setdefault(recipient, self._unopened())

    def _unopened(self) -> Counter:
        base = self.epoch_base
        return Counter(base, base, base, base)

    def next_position(self, recipient: str) -> int:
        """Give out the recipient's next position."""
        counter = self.counter(recipient)
        counter.last += 1
        counter.changed = True
        return counter.last
