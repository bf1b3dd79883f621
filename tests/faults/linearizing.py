"""Is there an order, one call after the other, that explains what was answered? A search after Wing and Gong (1993).

A history is linearizable if every call can be thought to happen at one moment between its invocation and its answer,
so that the flow engine, asked call by call in that order, says what was answered. What was taken must moreover stand
in the order of the log.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import msgspec

from keys import jws
from protocols import envelope, flow
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import catalogue

NOW = datetime.now(UTC)
"""When all of it happens as far as deadlines go."""
KNOWN, TAKEN = "known", "taken"


@dataclass(frozen=True, slots=True)
class Send:
    """A message sent: its bytes."""

    token: bytes


@dataclass(frozen=True, slots=True)
class Revoke:
    """A key taken out of use."""

    kid: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A call, from `invoked` to `answered` (None: never), in seconds of one clock.

    `outcome`: `taken`, `known`, a refusal's code; None where there was no answer. `index`: the place in the log.
    """

    call: Send | Revoke
    invoked: float
    answered: float | None
    outcome: str | None
    index: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What the hub goes by, as far as these calls can change it."""

    cases: dict[str, Case] = field(default_factory=dict)
    taken: dict[tuple[str, str], bytes] = field(default_factory=dict)
    revoked: frozenset[str] = frozenset()

    def after(self, call: Send | Revoke) -> tuple[str, "World"]:
        """What the call is answered, and what it leaves."""
        if isinstance(call, Revoke):
            outcome = KNOWN if call.kid in self.revoked else TAKEN
            return outcome, replace(self, revoked=self.revoked | {call.kid})
        compact = jws.decode(call.token, typ=envelope.TYP)
        event = envelope.event(envelope.read(compact.payload))
        key = event.source, event.id
        if key in self.taken:
            return (KNOWN if self.taken[key] == compact.signing_input else "id-reused"), self
        if compact.header.kid in self.revoked:
            return "key-not-valid", self
        return self._moved(event, compact.signing_input)

    def _moved(self, event: Event, signing_input: bytes) -> tuple[str, "World"]:
        protocol, _ = catalogue().message(event.type, event.dataschema)
        outcome = flow.advance(protocol.flow, self.cases.get(event.subject), event, NOW)
        if not isinstance(outcome, Transition):
            return outcome.code, self
        cases = {**self.cases, event.subject: outcome.case}
        return TAKEN, replace(self, cases=cases, taken={**self.taken, (event.source, event.id): signing_input})

    def fingerprint(self) -> bytes:
        """The same for worlds that are the same."""
        return msgspec.json.encode([self.cases, sorted(self.taken), sorted(self.revoked)], order="sorted")


def linearized(history: Sequence[Operation]) -> list[Operation] | None:
    """An order that explains the history, which has no call without an answer in it unless it had effect; or None."""
    seen: set[tuple[frozenset[int], bytes]] = set()
    stack: list[tuple[frozenset[int], World, tuple[int, ...]]] = [(frozenset(), World(), ())]
    while stack:
        done, world, order = stack.pop()
        if all(number in done or one.answered is None for number, one in enumerate(history)):
            return [history[number] for number in order]
        if (mark := (done, world.fingerprint())) in seen:
            continue
        seen.add(mark)
        for number in _next(history, done):
            outcome, after = world.after(history[number].call)
            if history[number].outcome in (None, outcome):
                stack.append((done | {number}, after, (*order, number)))
    return None


def _next(history: Sequence[Operation], done: frozenset[int]) -> Iterator[int]:
    """What may come next: no other call was answered before it was made, nor stands before it in the log."""
    left = [(number, one) for number, one in enumerate(history) if number not in done]
    first = min((one.answered for _, one in left if one.answered is not None), default=float("inf"))
    place = min((one.index for _, one in left if one.index is not None), default=None)
    for number, one in left:
        if one.invoked <= first and one.index in (None, place):
            yield number
