"""How long and how often a call is repeated while the hub is away: back-off, jitter, Retry-After."""

import math
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_ASKED = 3600.0
"""Longest Retry-After that is believed, in seconds: a wrong one shall not silence a partner for days."""


@dataclass(frozen=True, slots=True)
class Patience:
    """A call is repeated for `within` seconds, after pauses that double from `first` to `longest` seconds."""

    within: float = 60.0
    first: float = 0.1
    longest: float = 10.0

    def pause(self, tried: int, spent: float, asked: float | None = None) -> float | None:
        """Seconds until the next try, after `tried` tries in `spent` seconds; None when it is time to give up.

        Never less than the hub `asked` for. Part of it is chance, so that many partners of a hub that was
        away do not come back in step.
        """
        backoff = min(self.first * 2.0 ** min(tried - 1, 30), self.longest)
        seconds = random.uniform(backoff / 2, backoff)
        if asked is not None:
            seconds = max(seconds, asked + random.uniform(0, max(0.1 * asked, self.first)))
        return seconds if spent + seconds <= self.within else None


FOR_EVER = Patience(within=math.inf, longest=30.0)


def retry_after(header: str | None, answered: str | None, now: datetime) -> float | None:
    """The seconds that a Retry-After header asks for (RFC 9110 §10.2.3), None without one that can be read.

    A date is held against the answer's own Date header where there is one, else against `now`: the two
    clocks need not agree.
    """
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:10]), LONGEST_ASKED)
    until = _http_date(text)
    if until is None:
        return None
    since = _http_date(answered or "") or now
    return min(max((until - since).total_seconds(), 0.0), LONGEST_ASKED)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
