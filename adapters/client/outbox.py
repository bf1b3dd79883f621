"""Sending: one message or many, the same bytes until there is an answer, and the receipt checked."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from adapters.client.connection import JOSE, JSON, NDJSON, Away, Call, Connection, read_problem, refusal
from adapters.client.faults import AnswerInvalid, Refused, Undecided
from adapters.client.messages import Draft, Sent
from adapters.client.notary import Notary
from keys.errors import Fault
from protocols import tracing
from protocols.between_hubs import Returned

MAX_LINES = 1000
"""Messages in one batch (3-wire)."""
MAX_BATCH = 16 << 20
"""Bytes in one batch; a hub takes more, a proxy in between perhaps not."""
MAX_LINE = 1 << 18
"""Longest receipt or problem, in bytes."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """What goes to one hub."""

    connection: Connection
    notary: Notary

    async def send(self, draft: Draft) -> Sent:
        """Send one message. Raises Refused, Undecided (with the bytes to send again), ReceiptInvalid, AnswerInvalid."""
        path = "/v1/messages" if self._stays(draft) else "/v1/relay"
        call = Call("POST", path, body=draft.compact, media=JOSE[0], expects=JSON, token=False)
        with tracing.within("send", draft.event.id, source=draft.event.source, type=draft.event.type):
            try:
                answer = await self.connection.call(call)
            except Undecided as fault:
                fault.data["compact"] = draft.compact
                raise
            return await self._sent(draft, answer)

    def _stays(self, draft: Draft) -> bool:
        """Whether the case's home is this hub; it takes what is for another home, and hands it on."""
        return draft.event.hub == self.notary.hub

    async def send_many(self, drafts: Sequence[Draft]) -> list[Sent | Fault]:
        """Send many in batches: for each, in order, what `send` returns or raises."""
        here = [draft for draft in drafts if self._stays(draft)]
        done = iter(list(chain.from_iterable([await self._batch(batch) for batch in batches(here)])))
        return [next(done) if self._stays(draft) else await self._alone(draft) for draft in drafts]

    async def _alone(self, draft: Draft) -> Sent | Fault:
        try:
            return await self.send(draft)
        except Fault as fault:
            return fault

    async def _batch(self, drafts: Sequence[Draft]) -> list[Sent | Fault]:
        """One batch; the lines that the hub could not take just now are sent again, with patience."""
        clock = asyncio.get_running_loop().time
        started, tried = clock(), 0
        done: dict[int, Sent | Fault] = {}
        while True:
            left = [number for number in range(len(drafts)) if number not in done]
            away = None
            for number, outcome in zip(left, await self._lines([drafts[number] for number in left]), strict=True):
                if isinstance(outcome, Away):
                    away = outcome
                else:
                    done[number] = outcome
            tried += 1
            if away is None:
                return [done[number] for number in range(len(drafts))]
            pause = self.connection.patience.pause(tried, clock() - started)
            if pause is None:
                return [done.get(n) or _undecided(away, draft) for n, draft in enumerate(drafts)]
            await asyncio.sleep(pause)

    async def _lines(self, drafts: Sequence[Draft]) -> Sequence[Sent | Fault | Away]:
        call = Call(
            "POST",
            "/v1/messages/batch",
            body=b"".join(draft.compact + b"\n" for draft in drafts),
            media=NDJSON[0],
            expects=NDJSON,
            token=False,
            at_most=MAX_LINE * len(drafts),
        )
        try:
            lines = (await self.connection.call(call)).split(b"\n")
        except Undecided as fault:
            return [Undecided(fault.detail, **{**fault.data, "compact": draft.compact}) for draft in drafts]
        except Fault as fault:
            return [fault] * len(drafts)
        if lines[-1] == b"":
            lines.pop()
        if len(lines) != len(drafts):
            return [AnswerInvalid(f"{len(lines)} answers to {len(drafts)} messages")] * len(drafts)
        return [await self._line(draft, line) for draft, line in zip(drafts, lines, strict=True)]

    async def _line(self, draft: Draft, line: bytes) -> Sent | Fault | Away:
        problem = read_problem(line)
        try:
            if problem is None:
                return await self._sent(draft, line)
        except Fault as fault:
            return fault
        return Away(problem["detail"], problem=problem) if problem.get("retryable") is True else refusal(problem)

    async def _sent(self, draft: Draft, answer: bytes) -> Sent:
        given, entry = await self.notary.receipt(answer, draft.compact, draft.event)
        if isinstance(entry, Returned):
            raise Refused(f"the case's home, {entry.home}, did not take it", problem={"type": f"/{entry.problem}"})
        return Sent(draft.id, draft.case, draft.compact, given)


def batches(drafts: Sequence[Draft]) -> Iterator[list[Draft]]:
    """The drafts in order, in stretches that the hub takes at once."""
    batch: list[Draft] = []
    size = 0
    for draft in drafts:
        if batch and (len(batch) == MAX_LINES or size + len(draft.compact) > MAX_BATCH):
            yield batch
            batch, size = [], 0
        batch.append(draft)
        size += len(draft.compact) + 1
    if batch:
        yield batch


def _undecided(away: Away, draft: Draft) -> Undecided:
    return Undecided(f"the hub did not take it for now: {away.why}", problem=away.problem, compact=draft.compact)
