"""Turnaround per pair of regions, from the moments in the transparency log."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from rich.table import Table

from protocols.divisions import ancestors, division
from protocols.entries import Accepted
from protocols.receipt import Proven


@dataclass(frozen=True, slots=True)
class Course:
    """One case: its regions, how it went, and how many seconds from the request to each point."""

    opener: str
    responder: str
    accepted: float | None
    answered: float | None
    closed: float | None
    declined: bool
    forwarded: bool


def courses(proven: Iterable[Proven], cases: Iterable[str]) -> list[Course]:
    """What became of these `cases`, all of which have ended; what was `proven` stands in the order of the log."""
    grouped: dict[str, list[Accepted]] = defaultdict(list)
    for one in proven:
        if isinstance(one.entry, Accepted):
            grouped[one.entry.subject].append(one.entry)
    return [_course(grouped[case]) for case in cases]


def _course(entries: Sequence[Accepted]) -> Course:
    request, *later = entries
    began = datetime.fromisoformat(request.at)
    seconds: dict[str, float] = {}
    for entry in later:
        name = entry.type.partition(".")[2]
        # An answer of the opener's is to a question; the first acceptance and the last answer count.
        if name != "answer" or entry.source != request.source:
            passed = (datetime.fromisoformat(entry.at) - began).total_seconds()
            seconds[name] = min(passed, seconds.get(name, passed)) if name == "accept" else passed
    return Course(
        opener=region(request.source),
        responder=region(next(iter(request.recipients))),
        accepted=seconds.get("accept"),
        answered=seconds.get("answer"),
        closed=seconds.get("close"),
        declined="decline" in seconds,
        forwarded="forward" in seconds,
    )


def region(organisation: str) -> str:
    """The prefecture that an organisation is in, or its own division where there is none between."""
    own = division(organisation[:6])
    return next((above.name for above in ancestors(own.code) if above.level == "prefecture"), own.name)


def table(found: Sequence[Course]) -> Table:
    """One row a pair of regions, one for all; seconds are medians."""
    drawn = Table(
        title="办理时长：自发起起的秒数，中位数，依日志\nturnaround: seconds from the request, median, by the log",
        show_footer=True,
    )
    pairs: dict[tuple[str, str], list[Course]] = defaultdict(list)
    for course in found:
        pairs[course.opener, course.responder].append(course)
    heads = (
        ("发起\nopener", "合计 all"),
        ("协办\nresponder", ""),
        *zip(("案件\ncases", "答复\nanswered", "不予\ndeclined", "转办\nforwarded"), _counts(found), strict=True),
        *zip(("受理 s\naccept", "答复 s\nanswer", "办结 s\nclose"), _medians(found), strict=True),
    )
    for number, (head, foot) in enumerate(heads):
        drawn.add_column(head, foot, justify="left" if number < 2 else "right")
    for pair, those in sorted(pairs.items()):
        drawn.add_row(*pair, *_counts(those), *_medians(those))
    return drawn


def _counts(those: Sequence[Course]) -> list[str]:
    answered = sum(course.answered is not None for course in those)
    counts = len(those), answered, sum(c.declined for c in those), sum(c.forwarded for c in those)
    return [str(count) for count in counts]


def _medians(those: Sequence[Course]) -> list[str]:
    columns = ([c.accepted for c in those], [c.answered for c in those], [c.closed for c in those])
    return [_median([value for value in column if value is not None]) for column in columns]


def _median(values: Sequence[float]) -> str:
    return f"{median(values):.2f}" if values else "—"
