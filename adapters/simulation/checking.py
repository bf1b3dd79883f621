"""A prediction held against what was measured in a play: each figure with how far it may be off."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from adapters.simulation.assumptions import cost as price
from adapters.simulation.assumptions import value
from adapters.simulation.cast import Cast
from adapters.simulation.hours import DAY
from adapters.simulation.journal import Clock, Journal, Line, Read, Refused, Taken
from adapters.simulation.sizes import MIB, Load
from adapters.simulation.tally import Tally

COUNTS, TURNAROUND, FILES, BYTES, LOG, CPU = 0.02, 0.05, 0.02, 0.10, 0.25, 0.35
"""How far off, relatively, counts, turnaround, bytes of attachments, bytes stored, bytes of log and CPU seconds may be.

Beside chance, where there is any. Log is written more where a checkpoint comes, and a busy machine counts more seconds
for the same work.
"""
SIGMAS = 4.0
"""How many standard deviations are put down to chance, in the play and in the draws that the prediction is made of."""
_BEYOND = 10
"""A quantile with fewer answers beyond it is not compared: it is chance alone."""
_LUMPS = 1.4
"""How much more the messages of a case vary than if each came on its own: mean square over square of the mean."""
HELD = 0.3
"""Share of the time for which simulated time may have stood still: beyond, the size does not fit the machine."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a play cost the hub: CPU seconds, bytes that its database, its write-ahead log, its attachments grew by."""

    cpu: float
    stored: float
    written: float
    attached: float


@dataclass(frozen=True, slots=True)
class Played:
    """A play as it was noted: its tally, how messages went, and what it cost where that could be seen."""

    tally: Tally
    refused: Sequence[str]
    seconds: float
    """Real seconds in which something was played."""
    requests: int
    late: float
    """Real seconds by which one message in a hundred came too late."""
    speed: float
    """How much faster than real time; what was late by a second was late by so many in the country."""
    held: float
    """Share of the real seconds for which simulated time stood still, because hub and partners did not keep up."""
    took: tuple[float, float]
    """Real seconds until a receipt came: the median, and that of one in a hundred."""

    def load(self, tally: Tally) -> Load:
        """What a hub had to do for a tally, had it come as this play did."""
        return Load(
            tally.types,
            tally.cases,
            tally.readings,
            sum(tally.read),
            2 * tally.pairs,
            self.tally.messages / max(1, self.requests),
            self.seconds,
            tally.files,
            tally.file_bytes,
            tally.fetched,
            tally.fetched_bytes,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure, predicted and measured; `allowed` is how far they may be apart."""

    name: str
    predicted: float
    measured: float
    allowed: float

    @property
    def holds(self) -> bool:
        """Whether they are not further apart."""
        return abs(self.measured - self.predicted) <= self.allowed


def measured(cast: Cast, first: date, last: date) -> Played:
    """A play as its journal has it, in simulated time, by the hub's receipts."""
    cases = {case.name: case for case in cast.plan.traffic().cases(first, last)}
    lines, tally = list(Journal(cast.journal(first, last)).lines()), Tally(first, last)
    accepted: dict[str, dict[int, float]] = defaultdict(dict)
    taken, late, refused = list[Taken](), list[float](), list[str]()
    for line, moment, speed in _timed(lines, tally.end - 1):
        match line:
            case Taken():
                case = cases[line.case]
                step = case.steps[line.step]
                tally.message(moment, f"{case.protocol}.{step.message}", len(step.recipients), step.file)
                accepted[case.name][line.step] = moment
                taken.append(line)
                late.append((moment - step.at) / speed)
            case Read():
                tally.reading(moment, line.items, line.files)
            case Refused():
                refused.append(f"{line.case} {line.step}: {line.reason}")
    for name, moments in accepted.items():
        case = cases[name]
        whole = case.complete and len(moments) == len(case.steps)
        answered = moments.get(case.done) if case.done is not None else None
        tally.case(moments[0], answered, moments[len(case.steps) - 1] if whole else math.inf)
    clocks, took = [line for line in lines if isinstance(line, Clock)], [line.took for line in taken if line.took]
    seconds = max(1e-3, _busy(lines))
    return Played(
        tally=tally,
        refused=refused,
        seconds=seconds,
        requests=len(took),
        late=_share(late, 0.99),
        speed=clocks[-1].speed if clocks else 1.0,
        held=sum(clock.held for clock in clocks) / seconds,
        took=(_share(took, 0.5), _share(took, 0.99)),
    )


def _timed(lines: Sequence[Line], end: float) -> Iterator[tuple[Line, float, float]]:
    """Every line but those of the clock with its moment in the country, and how fast time ran then.

    No moment is beyond the next word of the clock, or the end.
    """
    clocks = [line for line in lines if isinstance(line, Clock)]
    until = iter([*(clock.simulated for clock in clocks[1:]), end])
    clock, most = Clock(0.0, 0.0, 1.0), end
    for line in lines:
        if isinstance(line, Clock):
            clock, most = line, min(next(until), end)
        else:
            # What was taken before an interruption and noted after it counts from where time went on.
            since = max(0.0, _real(line) - clock.real)
            yield line, min(clock.simulated + since * clock.speed, most), clock.speed


def _busy(lines: Iterable[Line]) -> float:
    """Real seconds from each word of the clock to the last that happened before the next."""
    seconds, begun, ended = 0.0, 0.0, 0.0
    for line in lines:
        if isinstance(line, Clock):
            seconds, begun, ended = seconds + ended - begun, line.real, line.real
        else:
            ended = max(ended, _real(line))
    return seconds + ended - begun


def _real(line: Line) -> float:
    """When it happened; 0 for a refusal, which is no event of the country."""
    return line.accepted if isinstance(line, Taken) else line.real if isinstance(line, Read) else 0.0


def compare(predicted: Tally, draws: int, played: Played, cost: Cost | None = None) -> list[Finding]:
    """Every figure of the prediction, the mean of so many draws, beside the play's; those of cost where it was seen."""
    counted = [*_counts(predicted, played, 1 + 1 / draws), *_turnaround(predicted, played)]
    return counted + list(_costs(predicted, played, cost) if cost else ())


def _counts(predicted: Tally, played: Played, variance: float) -> Iterator[Finding]:
    """Counts, whose variance is so many times that of a Poisson count."""
    measured = played.tally
    yield Finding("refused", 0, len(played.refused), 0)
    yield _count("cases", predicted.cases, measured.cases, variance)
    # Cases come by chance, and each brings several messages, some more than others.
    several = variance * _LUMPS * predicted.messages / max(1.0, predicted.cases)
    for name in ("messages", "deliveries"):
        yield _count(name, getattr(predicted, name), getattr(measured, name), several)
    for name in ("files", "fetched"):
        yield _count(name, getattr(predicted, name), getattr(measured, name), variance * _LUMPS)
    # The bytes of a lognormal vary by its spread too.
    uneven = variance * (math.exp(value("file_spread") ** 2) + _LUMPS - 1)
    for name, number in (("file_bytes", predicted.files), ("fetched_bytes", predicted.fetched)):
        foretold, found = getattr(predicted, name), getattr(measured, name)
        mean = foretold / max(1.0, number)
        one = _count(f"{name.partition('_')[0]}, MiB", number, found / max(1.0, mean), uneven)
        yield Finding(one.name, *(part * mean / MIB for part in (number, one.measured, one.allowed)))
    yield _count("readings", predicted.readings, measured.readings, variance)
    for kind in sorted({*predicted.types, *measured.types}):
        yield _count(kind, predicted.types.get(kind, 0.0), measured.types.get(kind, 0.0), variance * _LUMPS)
    hour = predicted.busiest
    yield _count("busiest hour", predicted.sent[hour], measured.sent[hour], variance * _LUMPS)
    for day, (foretold, found) in enumerate(zip(predicted.backlog, measured.backlog, strict=True)):
        yield _count(f"open, day {day + 1}", foretold, found, variance)
    yield _count("unread at the end", predicted.unread[-1], measured.unread[-1], variance * _LUMPS)


def _count(name: str, predicted: float, measured: float, variance: float) -> Finding:
    chance = SIGMAS * math.sqrt(variance * max(predicted, 1.0))
    return Finding(name, predicted, measured, COUNTS * predicted + chance)


def _turnaround(predicted: Tally, played: Played) -> Iterator[Finding]:
    foretold, found = predicted.quantiles(), played.tally.quantiles()
    number = max(1, len(played.tally.turnaround))
    for share in (one for one in foretold if number * min(one, 1 - one) >= _BEYOND):
        late = played.late * played.speed / DAY
        allowed = TURNAROUND * foretold[share] + SIGMAS * _error(predicted, share, number) + late
        yield Finding(f"turnaround p{share * 100:.0f}, days", foretold[share], found[share], allowed)


def _error(predicted: Tally, share: float, number: int) -> float:
    """The standard error of a quantile of so many, by how far the quantiles a standard error of the share away lie."""
    ordered, off = sorted(predicted.turnaround), math.sqrt(share * (1 - share) / number)
    low, high = (ordered[int(min(1.0, max(0.0, share + side * off)) * (len(ordered) - 1))] for side in (-1, 1))
    return max((high - low) / 2, 1 / DAY)


def _costs(predicted: Tally, played: Played, cost: Cost) -> Iterator[Finding]:
    load, number = played.load(predicted), max(1.0, played.tally.messages)
    yield Finding("time that stood still", 0, played.held, HELD)
    for name, foretold, found, relative in (
        ("CPU µs a message", 1e6 * load.cpu / load.messages, 1e6 * cost.cpu / number, CPU),
        ("bytes stored a message", load.stored / load.messages, cost.stored / number, BYTES),
        ("bytes of log a message", load.written / load.messages, cost.written / number, LOG),
    ):
        yield Finding(name, foretold, found, relative * foretold)
    if played.tally.file_bytes:
        sealed = price("sealed")
        yield Finding("bytes kept of an attached byte", sealed, cost.attached / played.tally.file_bytes, FILES * sealed)


def _share(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[int(share * (len(ordered) - 1))] if ordered else 0.0
