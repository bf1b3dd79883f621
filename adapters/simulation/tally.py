"""What happened in a span of days, planned or measured: load by hour, backlog, what lies unread, turnaround."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate

from adapters.simulation.hours import DAY, HOUR, midnight
from adapters.simulation.traffic import Case, Traffic

QUANTILES = (0.1, 0.5, 0.9, 0.99)


@dataclass
class Tally:
    """Counts from the first to the last of its days; what lies outside is not counted.

    `opened`, `ended`, `arrived` and `read` are by day, `sent` by hour. `turnaround` holds the days from opening to
    the first answer. A count is a float, for a tally may stand for many more cases, or for the mean of several.
    """

    first: date
    last: date
    types: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    readings: float = 0.0
    pairs: float = 0.0
    """Pairs of who wrote to whom, each counted once: so often are keys looked up where they are kept."""
    turnaround: list[float] = field(default_factory=list)
    files: float = 0.0
    """Files attached, each with one message; `file_bytes` together, before they are sealed."""
    file_bytes: float = 0.0
    fetched: float = 0.0
    """Times that a recipient fetched a file; `fetched_bytes` together."""
    fetched_bytes: float = 0.0

    def __post_init__(self) -> None:
        self.days = (self.last - self.first).days + 1
        self.start = midnight(self.first)
        self.end = self.start + self.days * DAY
        self.sent = [0.0] * (self.days * 24)
        self.opened, self.ended, self.arrived, self.read = ([0.0] * self.days for _ in range(4))

    def message(self, moment: float, kind: str, recipients: int, file: int = 0, weight: float = 1.0) -> None:
        """Count a message of a type, with a file of so many bytes."""
        if self.start <= moment < self.end:
            self.types[kind] += weight
            self.sent[int((moment - self.start) // HOUR)] += weight
            self.arrived[self._day(moment)] += recipients * weight
            self.files += weight * (file > 0)
            self.file_bytes += file * weight

    def case(self, opened: float, answered: float | None, ended: float, weight: float = 1.0) -> None:
        """Count a case; what was open when the span begins stands in its first day."""
        if opened < self.end and ended >= self.start:
            self.opened[self._day(opened)] += weight
            if ended < self.end:
                self.ended[self._day(ended)] += weight
        if answered is not None and self.start <= opened and answered < self.end:
            self.turnaround.append((answered - opened) / DAY)

    def reading(self, moment: float, items: float, files: Sequence[int] = (), weight: float = 1.0) -> None:
        """Count a reading of a mailbox: so many messages were found and signed for, these files fetched."""
        if self.start <= moment < self.end:
            self.readings += weight
            self.read[self._day(moment)] += items * weight
            self.fetched += len(files) * weight
            self.fetched_bytes += sum(files) * weight

    def _day(self, moment: float) -> int:
        return max(0, int((moment - self.start) // DAY))

    @property
    def cases(self) -> float:
        """Cases opened, those that were open before included."""
        return sum(self.opened)

    @property
    def messages(self) -> float:
        """Messages sent."""
        return sum(self.sent)

    @property
    def deliveries(self) -> float:
        """Messages that came to a mailbox, one for each recipient."""
        return sum(self.arrived)

    @property
    def backlog(self) -> list[float]:
        """Open cases at the end of each day."""
        return list(accumulate(came - went for came, went in zip(self.opened, self.ended, strict=True)))

    @property
    def unread(self) -> list[float]:
        """Messages that lie unread at the end of each day."""
        return list(accumulate(came - went for came, went in zip(self.arrived, self.read, strict=True)))

    @property
    def busiest(self) -> int:
        """The hour with most messages, counted from the first day's midnight."""
        return max(range(len(self.sent)), key=self.sent.__getitem__)

    def quantiles(self) -> dict[float, float]:
        """Turnaround in days; empty where nothing was answered."""
        ordered = sorted(self.turnaround)
        return {q: ordered[int(q * (len(ordered) - 1))] for q in QUANTILES} if ordered else {}

    def by_day(self) -> list[float]:
        """Messages of each day."""
        return [sum(self.sent[24 * day : 24 * day + 24]) for day in range(self.days)]


def planned(traffic: Traffic, cases: Iterable[Case], first: date, last: date, weight: float = 1.0) -> Tally:
    """The tally of what is planned, each case standing for `weight` of them."""
    found = Tally(first, last)
    read: dict[tuple[str, float], list[int]] = defaultdict(list)
    """The files of what is found in each reading, 0 for a message without one."""
    pairs: set[tuple[str, str]] = set()
    for case in cases:
        answered = case.steps[case.done].at if case.done is not None else None
        found.case(case.opened, answered, case.ended, weight)
        for step in case.steps:
            found.message(step.at, f"{case.protocol}.{step.message}", len(step.recipients), step.file, weight)
            if step.at < found.start:
                continue
            for recipient in step.recipients if step.at < found.end else ():
                pairs.add((step.sender, recipient))
                read[recipient, traffic.read(recipient, step.at)].append(step.file)
    for (_, at), items in read.items():
        found.reading(at, len(items), [size for size in items if size], weight)
    found.pairs = len(pairs) * weight
    return found


def together(tallies: Sequence[Tally], weight: float = 1.0) -> Tally:
    """The sum of several tallies of the same days, times `weight`."""
    found = Tally(tallies[0].first, tallies[0].last)
    for one in tallies:
        for kind, count in one.types.items():
            found.types[kind] += count * weight
        found.turnaround += one.turnaround
        for name in ("readings", "pairs", "files", "file_bytes", "fetched", "fetched_bytes"):
            setattr(found, name, getattr(found, name) + getattr(one, name) * weight)
        for name in ("sent", "opened", "ended", "arrived", "read"):
            mine = getattr(found, name)
            setattr(found, name, [a + b * weight for a, b in zip(mine, getattr(one, name), strict=True)])
    return found
