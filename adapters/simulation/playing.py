"""A slice of the traffic played against a hub: sent, read and signed for as planned, time compressed.

Every organisation is a client of its own, with its own keys. Ids of cases and messages follow from the plan, so what is
sent again after an interruption is not taken twice.
"""

import asyncio
import contextlib
import heapq
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import chain, count
from random import Random
from typing import ClassVar

from adapters.client import Client, Draft, Patience, Refused, Sent
from adapters.simulation import journal, words
from adapters.simulation.cast import Cast
from adapters.simulation.files import Files
from adapters.simulation.hours import DAY, midnight
from adapters.simulation.journal import Clock, Journal, Read, Taken
from adapters.simulation.traffic import Case, Traffic
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import attachments, deadlines

TOLD = Callable[[float, int, int], None]
"""How far simulated time has come, messages taken, messages refused."""
AT_ONCE = 16
"""Organisations that speak at the same moment."""
TICK = 0.1
"""Seconds between two looks at what is due."""
PATIENCE = Patience(within=120.0, longest=5.0)
IDLE = 0.5
"""Seconds for which nothing happens are passed over."""
HOLD = 0.25
"""Seconds after which simulated time stands still until what is due has been done."""
_KNOWN = "id-reused"
_PAGE = 500


@dataclass
class Under:
    """A case under way: what was taken of it, and when."""

    case: Case
    done: int = 0
    last: str | None = None


@dataclass(order=True)
class _Event:
    at: float
    number: int
    under: Under | None = field(compare=False, default=None)
    reader: str = field(compare=False, default="")


class OrganisationsUnknown(Fault):
    """The hub does not know the organisations of the simulation, or knows them with other keys; import their file."""

    code: ClassVar[str] = "organisations-unknown"


class Play:
    """One play of a slice, from the first to the last of its days, `speed` times as fast as it would be.

    A message that the hub refuses is noted. Raises OrganisationsUnknown, and what the client raises where the hub can't
    be had for two minutes.
    """

    def __init__(
        self,
        cast: Cast,
        url: str,
        first: date,
        last: date,
        speed: float,
        hub_keys: Sequence[VerifyingKey] | None = None,
    ) -> None:
        self._cast, self._url, self._hub_keys = cast, url, hub_keys
        self.traffic: Traffic = cast.plan.traffic()
        self._first, self._last, self._end = first, last, midnight(last) + DAY
        self._speed = speed
        self._journal = Journal(cast.journal(first, last))
        self._clients: dict[str, Client] = {}
        self._events: list[_Event] = []
        self._numbers = count()
        self._positions: dict[str, int] = {}
        self._pending: set[tuple[str, float]] = set()
        self._room = asyncio.Semaphore(AT_ONCE)
        self.taken = self.refused = 0
        self._files = Files(cast.folder / "files")

    async def run(self, told: TOLD = lambda moment, taken, refused: None) -> None:
        """Play everything that was not played before, and read what came."""
        begun = self._remembered()
        with self._journal:
            async with contextlib.AsyncExitStack() as stack:
                self._stack = stack
                stack.enter_context(self._files)
                await self._introduce()
                self._set(max(midnight(self._first), begun))
                cases = self.traffic.cases(self._first, self._last)
                upcoming = next(cases, None)
                while True:
                    now = self._now()
                    while upcoming is not None and upcoming.opened <= now:
                        self._take_up(upcoming)
                        upcoming = next(cases, None)
                    due = list(self._due(now))
                    if due:
                        await self._do(due)
                        self._hold(now)
                        told(min(now, self._end), self.taken, self.refused)
                        continue
                    ahead = min((event.at for event in self._events[:1]), default=self._end)
                    ahead = min(ahead, upcoming.opened if upcoming else self._end, self._end)
                    if ahead >= self._end:
                        return
                    await self._wait(ahead)

    async def _introduce(self) -> None:
        """Raise OrganisationsUnknown unless the hub knows a first organisation, with its key."""
        first = next(self.traffic.country.organisations())
        try:
            await (await self._client(first)).look_up(first)
        except Refused as refusal:
            raise OrganisationsUnknown(
                f"{self._url} does not know {first} with its key ({refusal.reason}): "
                f"xieban organisations import {self._cast.records}"
            ) from refusal

    def _remembered(self) -> float:
        """Take over what an earlier play noted: how far each case and mailbox came; how far simulated time did."""
        self._done: dict[str, int] = defaultdict(int)
        self._given_up: set[str] = set()
        self._read: dict[str, float] = {}
        clock: Clock | None = None
        reached = 0.0
        for line in self._journal.lines():
            match line:
                case Clock():
                    clock, reached = line, max(reached, line.simulated)
                case Taken():
                    assert clock is not None
                    self._done[line.case] = line.step + 1
                    reached = max(reached, clock.simulated + (line.accepted - clock.real) * clock.speed)
                    self.taken += 1
                case Read():
                    self._read[line.organisation] = line.at
                case journal.Refused():
                    self._given_up.add(line.case)
                    self.refused += 1
        for line in chain.from_iterable(Journal(path).lines() for path in self._cast.journals()):
            if isinstance(line, Read):
                self._positions[line.organisation] = max(line.position, self._positions.get(line.organisation, 0))
        return reached

    # Time ---------------------------------------------------------------------------------------------

    def _set(self, simulated: float, held: float = 0.0) -> None:
        self._clock = Clock(time.time(), simulated, self._speed, held)
        self._journal.note(self._clock)

    def _hold(self, begun: float) -> None:
        """Take simulated time back where what was due at a moment took longer than HOLD."""
        over = (self._now() - begun) / self._speed - HOLD
        if over > 0:
            self._set(begun + HOLD * self._speed, over)

    def _now(self) -> float:
        return self._clock.simulated + (time.time() - self._clock.real) * self._speed

    async def _wait(self, until: float) -> None:
        """Until a simulated moment, if it comes soon; else time jumps there."""
        left = (until - self._now()) / self._speed
        if left > IDLE:
            self._set(until)
        else:
            await asyncio.sleep(max(TICK, left))

    # What is due --------------------------------------------------------------------------------------

    def _take_up(self, case: Case) -> None:
        """A case of the plan: what was not played of it, and what its recipients have not read yet."""
        if case.name in self._given_up:
            return
        under = Under(case, self._done[case.name])
        if under.done:
            under.last = self.id_of(case, under.done - 1)
        for step in case.steps[: under.done]:
            self._to_be_read(step.recipients, step.at)
        self._go_on(under)

    def _go_on(self, under: Under) -> None:
        if under.done < len(under.case.steps) and under.case.steps[under.done].at < self._end:
            heapq.heappush(self._events, _Event(under.case.steps[under.done].at, next(self._numbers), under))

    def _to_be_read(self, recipients: Sequence[str], sent: float) -> None:
        for name in recipients:
            at = self.traffic.read(name, sent)
            if at < self._end and at > self._read.get(name, 0.0) and (name, at) not in self._pending:
                self._pending.add((name, at))
                heapq.heappush(self._events, _Event(at, next(self._numbers), reader=name))

    def _due(self, now: float) -> Iterator[_Event]:
        while self._events and self._events[0].at <= min(now, self._end):
            yield heapq.heappop(self._events)

    async def _do(self, due: Sequence[_Event]) -> None:
        """First who reads, then who sends; everybody beside the others."""
        senders: dict[str, list[Under]] = defaultdict(list)
        readers = {event.reader: event.at for event in due if event.under is None}
        for event in due:
            if event.under is not None:
                senders[event.under.case.steps[event.under.done].sender].append(event.under)
        await self._beside(self._reads(name, at) for name, at in readers.items())
        await self._beside(self._sends(name, unders) for name, unders in senders.items())

    async def _beside(self, work: Iterator[Awaitable[None]]) -> None:
        async def within(one: Awaitable[None]) -> None:
            async with self._room:
                await one

        async with asyncio.TaskGroup() as tasks:
            for one in work:
                tasks.create_task(within(one))

    # Speaking to the hub ------------------------------------------------------------------------------

    async def _client(self, organisation: str) -> Client:
        if organisation not in self._clients:
            member = self._cast.member(organisation)
            made = Client(
                self._url, member.id, member.signing, [member.sealing], hub_keys=self._hub_keys, patience=PATIENCE
            )
            self._clients[organisation] = await self._stack.enter_async_context(made)
        return self._clients[organisation]

    async def _sends(self, organisation: str, unders: Sequence[Under]) -> None:
        """What one organisation sends now: one message alone, several as a batch."""
        client = await self._client(organisation)
        going, drafts = list[Under](), list[Draft]()
        for under in unders:
            try:
                drafts.append(await self._draft(client, under))
                going.append(under)
            except Refused as refusal:  # the file that goes with it
                self._note_refused(under, refusal)
        if not drafts:
            return
        started = time.monotonic()
        outcomes: Sequence[Sent | Fault]
        if len(drafts) > 1:
            outcomes = await client.send_many(drafts)
        else:
            try:
                outcomes = [await client.resend(drafts[0])]
            except Refused as refusal:
                outcomes = [refusal]
        took = time.monotonic() - started
        for number, (under, draft, outcome) in enumerate(zip(going, drafts, outcomes, strict=True)):
            await self._settle(client, under, draft, outcome, took if number == 0 else 0.0)

    async def _draft(self, client: Client, under: Under) -> Draft:
        case, step = under.case, under.case.steps[under.done]
        today = deadlines.local_date(datetime.now(UTC))
        newcomer = step.recipients[-1]
        data = words.open_part(case.protocol, step.message, step.sender == case.opener, today, case.opener, newcomer)
        content = words.sealed_part(case.protocol, step.message)
        id, key = self.id_of(case, under.done), self.id_of(case, -1)
        if step.file and content is not None:
            data, content = attachments.attached(data, content, [await self._files.upload(client, id, step.file)])
        if step.message == "forward":
            return await client.prepare_reply(
                key, step.message, data, content, recipients=step.recipients, causationid=under.last, id=id
            )
        kind = f"{case.protocol}.{step.message}"
        return await client.prepare(kind, key, step.recipients, data, content, under.last, id=id)

    async def _settle(self, client: Client, under: Under, draft: Draft, outcome: Sent | Fault, took: float) -> None:
        """Note what became of a message, and go on with its case."""
        step = under.case.steps[under.done]
        if isinstance(outcome, Refused) and outcome.reason == _KNOWN:
            # Taken before an interruption came between the hub's answer and the journal.
            receipt = (await client.message(step.sender, draft.id)).receipt
        elif isinstance(outcome, Refused):
            self._note_refused(under, outcome)
            return
        elif isinstance(outcome, Fault):
            raise outcome
        else:
            receipt = outcome.receipt
        accepted = datetime.fromisoformat(receipt.accepted).timestamp()
        self._journal.note(Taken(under.case.name, under.done, accepted, len(draft.compact), took))
        self.taken += 1
        under.done, under.last = under.done + 1, draft.id
        self._to_be_read(step.recipients, step.at)
        self._go_on(under)

    def _note_refused(self, under: Under, refusal: Refused) -> None:
        """Note it; its case goes no further."""
        self.refused += 1
        self._journal.note(journal.Refused(under.case.name, under.done, refusal.detail))

    async def _reads(self, organisation: str, at: float) -> None:
        """Read everything that there is in a mailbox, fetch the files that came, and sign for it."""
        client, items, files = await self._client(organisation), 0, list[int]()
        while True:
            page = await client.poll(self._positions.get(organisation, 0), limit=_PAGE)
            for item in page.items:
                files += await self._files.fetch(client, item)
            if page.items:
                await client.acknowledge(page.items[-1])
            items, self._positions[organisation] = items + len(page.items), page.next
            if not page.behind:
                break
        self._journal.note(Read(organisation, at, time.time(), items, page.next, files))

    def id_of(self, case: Case, step: int) -> str:
        """The id of a step's message, of the case itself for -1: a UUIDv7 (RFC 9562 §5.7) of the planned moment."""
        plan = self._cast.plan
        chance = Random(f"{plan.seed}/{plan.draw}/{plan.year}/{case.name}/{step}")
        number = int(case.steps[max(step, 0)].at * 1000) << 80 | 7 << 76 | chance.getrandbits(12) << 64
        text = f"{number | 2 << 62 | chance.getrandbits(62):032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
