"""The provable clock (domain, Time): where the time of a case went, and whose it was, by the log's entries alone.

Each boundary between two stages is an entry of the log. A delay has an owner: nobody can be charged with time in
which it had not been handed what it was to answer, nor deny that it was, once it signed for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from protocols import deadlines
from protocols.arrangements import Arrangements
from protocols.between_hubs import Marked, Relayed
from protocols.calendar import STATUTORY, Calendar
from protocols.entries import Accepted, Acknowledged, Entry, Fetched, Succeeded, happened
from protocols.standing import Standing, follow
from protocols.table import OPENER, Flow

Kind = Literal["transit", "unread", "responder", "opener"]
KINDS: tuple[Kind, ...] = ("transit", "unread", "responder", "opener")
"""In transit (accepted, not fetched), unread (fetched, not signed for), with the responder, waiting on the opener."""


class Stage(msgspec.Struct, frozen=True):
    """A stretch of a case: what kind of time it was, and whose.

    `organisations` had the next step; in transit and unread they are those who had not fetched, or not signed for, it.
    It begins with the log's `entry` and ends with the entry of the stage after it; `ends` is None while it lasts.
    """

    kind: Kind
    organisations: tuple[str, ...]
    state: str
    begins: datetime
    ends: datetime | None
    entry: int


class Spent(msgspec.Struct, frozen=True):
    """Seconds by kind of time."""

    transit: int = 0
    unread: int = 0
    responder: int = 0
    opener: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.transit + self.unread + self.responder + self.opener


class Clock(msgspec.Struct, frozen=True):
    """A case's stages in order, and their sums: `calendar` seconds, and `working` ones, on working days only."""

    stages: tuple[Stage, ...]
    calendar: Spent
    working: Spent


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the log with its index."""

    index: int
    entry: Entry


@dataclass(slots=True)
class _Turn:
    """Whose turn it is, and who of them has yet to be handed the message that said so: mailbox and position."""

    side: Kind
    holders: tuple[str, ...]
    state: str
    unfetched: dict[str, tuple[str, int]]
    unread: dict[str, tuple[str, int]]

    def now(self) -> tuple[Kind, tuple[str, ...]]:
        """What kind of time it is, and whose."""
        if self.unfetched:
            return "transit", tuple(self.unfetched)
        if self.unread:
            return "unread", tuple(self.unread)
        return self.side, self.holders


class Timekeeper:
    """Follows one case through the log's entries; gives its stages."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.standing: Standing | None = None
        self._turn: _Turn | None = None
        self._stages: list[Stage] = []

    def take(self, index: int, entry: Entry) -> None:
        """The next entry that bears on the case: one of its messages, a word on a mailbox, a succession."""
        at = datetime.fromisoformat(happened(entry))
        match entry:
            case Relayed(there=None):
                return  # on its way to the case's home: nothing moves before that has taken it
            case Accepted() | Relayed():
                before, self.standing = self._at(), follow(self.flow, self.standing, entry)
                if self.standing is not None and before != self._at():
                    self._turn = self._begin(self.standing, entry.source, entry.recipients)
            case Succeeded(organisation=old, successor=new) if self._concerns(old):
                assert self.standing is not None
                self.standing = self.standing.succeeded(old, new)
                self._pass_on(old, new)
            case Fetched(recipient=mailbox, through=through):
                self._done(mailbox, through, signed=False)
            case Acknowledged(recipient=mailbox, through=through):
                self._done(mailbox, through, signed=True)
            case Marked(mark=mark, recipient=mailbox, positions=positions):
                for position in positions:
                    self._done(mailbox, position, signed=mark == "acknowledged", alone=True)
            case _:
                return
        self._mark(index, at)

    def stages(self) -> tuple[Stage, ...]:
        """The stages so far; the last one lasts unless the case is at its end."""
        return tuple(self._stages)

    def waits_for(self) -> dict[str, int]:
        """The mailboxes whose entries change the present stage, with the position each must reach."""
        turn = self._turn
        return {} if turn is None else dict((turn.unfetched | turn.unread).values())

    def _at(self) -> tuple[str, tuple[str, ...]] | None:
        """The state, and whose turn it is in it."""
        return None if self.standing is None else (self.standing.state, self.standing.awaited(self.flow))

    def _concerns(self, organisation: str) -> bool:
        standing = self.standing
        return (
            standing is not None and organisation in standing.parties() and not self.flow.states[standing.state].final
        )

    def _begin(self, standing: Standing, sender: str, positions: Mapping[str, int]) -> _Turn | None:
        holders = standing.awaited(self.flow)
        if not holders:
            return None
        side: Kind = "opener" if self.flow.states[standing.state].owners == (OPENER,) else "responder"
        wanted = {name: (name, positions[name]) for name in holders if name != sender and name in positions}
        return _Turn(side, holders, standing.state, dict(wanted), dict(wanted))

    def _pass_on(self, old: str, new: str) -> None:
        """Who comes into a place reads the mailbox that was there, and signs for it."""
        turn = self._turn
        if turn is not None:
            turn.holders = tuple(new if name == old else name for name in turn.holders)
            turn.unfetched = {new if name == old else name: at for name, at in turn.unfetched.items()}
            turn.unread = {new if name == old else name: at for name, at in turn.unread.items()}

    def _done(self, mailbox: str, through: int, *, signed: bool, alone: bool = False) -> None:
        """What was fetched or signed for: everything through a position, or it alone."""
        turn = self._turn
        if turn is not None:
            first = through if alone else 1
            reached = {name for name, (of, at) in turn.unread.items() if of == mailbox and first <= at <= through}
            turn.unfetched = {name: at for name, at in turn.unfetched.items() if name not in reached}
            if signed:
                turn.unread = {name: at for name, at in turn.unread.items() if name not in reached}

    def _mark(self, index: int, at: datetime) -> None:
        """End the last stage and begin the next where the entry changed what kind of time it is, or whose."""
        present = None if self._turn is None else (*self._turn.now(), self._turn.state)
        last = self._stages[-1] if self._stages and self._stages[-1].ends is None else None
        # What happened at another hub has that hub's clock: no stage ends before it begins.
        at = max(at, last.begins) if last is not None else at
        if present is not None and last is not None and (last.kind, last.organisations, last.state) == present:
            return
        if last is not None:
            self._stages[-1] = msgspec.structs.replace(last, ends=at)
        if present is not None:
            self._stages.append(Stage(*present, at, None, index))


def clock(flow: Flow, events: Iterable[Event], now: datetime) -> Clock:
    """The clock of one case from the entries that bear on it, in the log's order; `now` (aware) ends what lasts.

    Arrangements of holidays among the entries say which days are worked.
    """
    keeper, arrangements = Timekeeper(flow), Arrangements()
    for event in events:
        keeper.take(event.index, event.entry)
        arrangements.take(event.index, event.entry)
    return summed(keeper.stages(), now, arrangements.calendar)


def summed(stages: tuple[Stage, ...], now: datetime, calendar: Calendar = STATUTORY) -> Clock:
    """The stages with their sums; the one that lasts is counted until `now` (aware)."""
    all_days, working = dict.fromkeys(KINDS, timedelta()), dict.fromkeys(KINDS, timedelta())
    for stage in stages:
        ends = max(stage.ends or now, stage.begins)
        all_days[stage.kind] += ends - stage.begins
        working[stage.kind] += worked(stage.begins, ends, calendar)
    return Clock(stages, _spent(all_days), _spent(working))


def worked(begins: datetime, ends: datetime, calendar: Calendar = STATUTORY) -> timedelta:
    """How much of the time between two (aware) moments lies on working days, from 0:00 to 24:00 in China.

    Deadlines end at 24:00, so hours of the day do not count differently. Zero where `ends` is not later.
    """
    total, day = timedelta(), deadlines.local_date(begins)
    while (start := deadlines.start_of(day)) < ends:
        if calendar.is_working_day(day):
            total += max(min(ends, deadlines.end_of(day)) - max(begins, start), timedelta())
        day = deadlines.next_day(day)
    return total


def _spent(times: Mapping[Kind, timedelta]) -> Spent:
    return Spent(**{kind: int(time.total_seconds()) for kind, time in times.items()})
