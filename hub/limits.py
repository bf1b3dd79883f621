"""How much one organisation may ask of a hub: rates, and how many polls may wait at once (docs/limits.md).

A rate is kept by the generic cell rate algorithm (ITU-T I.371, annex A): one number for each organisation, the moment
at which its burst would be whole again.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from time import monotonic
from typing import ClassVar

from hub import metrics
from hub.config import LimitsSection
from keys.errors import Fault

REMEMBERED = 10_000
"""Organisations of which the last moments are kept; then those are let go whose bursts are whole again."""


ROUNDING = 1e-6
"""Seconds: what a sum of moments may be off by without anybody being refused for it."""


class RateLimited(Fault):
    """This organisation asks more than it may; nothing was taken, and Retry-After says when there is room again."""

    code: ClassVar[str] = "rate-limited"

    def __init__(self, detail: str, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class Rate:
    """So many a second in the long run, and `burst` at once; a rate of 0 lets everything through."""

    def __init__(self, per_second: float, burst: int, clock: Callable[[], float] = monotonic) -> None:
        self._interval = 1 / per_second if per_second else 0.0
        self._tolerance = burst * self._interval
        self._clock = clock
        self._whole: dict[str, float] = {}

    def charge(self, who: str) -> float:
        """Take one from what `who` has left: 0.0; or the seconds until there is one, and nothing is taken."""
        if not self._interval:
            return 0.0
        now = self._clock()
        whole = max(self._whole.get(who, 0.0), now) + self._interval
        if whole - now > self._tolerance + ROUNDING:
            return whole - now - self._tolerance
        self._whole[who] = whole
        if len(self._whole) > REMEMBERED:
            self._whole = {name: at for name, at in self._whole.items() if at > now}
        return 0.0


class Limits:
    """The limits of one worker."""

    def __init__(self, said: LimitsSection | None = None) -> None:
        said = said or LimitsSection()
        self._messages = Rate(said.messages, said.messages_burst)
        self._calls = Rate(said.calls, said.calls_burst)
        self._most, self._waiting = said.waiting, Counter[str]()
        self.body = said.body

    def message(self, source: str) -> None:
        """A message that `source` signed. Raises RateLimited."""
        self._require("messages", source, self._messages.charge(source))

    def call(self, who: str) -> None:
        """A call with a token of `who`. Raises RateLimited."""
        self._require("calls", who, self._calls.charge(who))

    @contextlib.contextmanager
    def poll(self, who: str) -> Iterator[None]:
        """A poll of `who` that waits. Raises RateLimited where too many do already."""
        if self._most and self._waiting[who] >= self._most:
            self._require("polls", who, 1.0)
        self._waiting[who] += 1
        try:
            yield
        finally:
            self._waiting[who] -= 1
            if not self._waiting[who]:
                del self._waiting[who]

    def _require(self, kind: str, who: str, seconds: float) -> None:
        if seconds:
            metrics.LIMITED.labels(kind).inc()
            raise RateLimited(f"{who}: more {kind} than its limit", math.ceil(seconds))
