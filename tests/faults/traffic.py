"""Bureaus at work while faults happen: they open cases, answer, close, read and acknowledge, and keep what they get."""

import asyncio
import base64
import contextlib
import json
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.acceptance.outsider import Outsider, uuid7
from tests.faults.evidence import NO_ANSWER, Attempted, Evidence, Sent, digest

SENDERS = 2
"""Connections of one bureau on which it sends."""
PATIENCE = 5.0
"""Seconds a partner waits for an answer before it asks again."""
AGAIN = 0.2
"""Seconds between two attempts."""
REST = 0.05
"""Seconds between two pieces of work of one sender."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call was answered."""

    status: int
    body: Any

    @property
    def code(self) -> str:
        """The problem's code; empty where it is none."""
        return str(self.body.get("type", "")).rpartition("/")[2] if isinstance(self.body, dict) else ""


@dataclass(frozen=True, slots=True)
class Work:
    """What a bureau has to say in a case, one after the other."""

    case: str
    to: Outsider
    messages: tuple[str, ...]


@dataclass
class Traffic:
    """All bureaus' work through all `doors`, the addresses of the hub's nodes as partners know them.

    `examples` are the open parts of the messages. Receipts are counted by door in `taken`.
    """

    bureaus: Sequence[Outsider]
    doors: Sequence[str]
    examples: dict[str, dict[str, Any]]
    evidence: Evidence
    chance: random.Random
    taken: dict[str, int] = field(default_factory=dict)
    _outboxes: dict[str, deque[Work]] = field(default_factory=dict)
    _cursors: dict[str, int] = field(default_factory=dict)
    _busy: int = 0
    _going: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Work until cancelled; only between `resume` and `pause` is anything begun."""
        self._outboxes = {bureau.id: deque() for bureau in self.bureaus}
        self._cursors = {bureau.id: 0 for bureau in self.bureaus}
        self.taken = dict.fromkeys(self.doors, 0)
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as tasks:
            for bureau in self.bureaus:
                for _ in range(SENDERS):
                    tasks.create_task(self._again_and_again(session, bureau, self._work))
                tasks.create_task(self._again_and_again(session, bureau, self._read))
            tasks.create_task(self._again_and_again(session, self.bureaus[0], self._watch))

    def resume(self) -> None:
        """Go on."""
        self._going.set()

    async def pause(self) -> None:
        """Begin nothing more, and wait until everything begun is done."""
        self._going.clear()
        while self._busy:
            await asyncio.sleep(0.01)

    async def _again_and_again(self, session: aiohttp.ClientSession, bureau: Outsider, piece: Any) -> None:
        while True:
            await self._going.wait()
            self._busy += 1
            try:
                await piece(session, bureau)
            finally:
                self._busy -= 1
            await asyncio.sleep(REST * 2 * self.chance.random())

    # Sending ------------------------------------------------------------------------------------------

    async def _work(self, session: aiohttp.ClientSession, bureau: Outsider) -> None:
        """Say what is to be said, or open a case; now and then think better of it at once, or send bytes again."""
        if self.chance.random() < 0.1 and self.evidence.receipts:
            (key, _) = self.chance.choice(self.evidence.receipts)
            await self._send(session, self.evidence.sent[key])
        if self._outboxes[bureau.id]:
            work = self._outboxes[bureau.id].popleft()
        else:
            others = [other for other in self.bureaus if other is not bureau]
            script = ("request", "withdraw") if self.chance.random() < 0.3 else ("request",)
            work = Work(uuid7(), self.chance.choice(others), script)
        for message in work.messages:
            attempted = self._said(bureau, work, message)
            await self._send(session, attempted)
            if attempted.outcome != "taken":
                return

    def _said(self, bureau: Outsider, work: Work, message: str) -> Attempted:
        event = bureau.event(message, work.case, work.to, self.examples[message])
        token = bureau.sign(json.dumps(event).encode())
        sent = Sent(bureau.id, event["id"], work.case, message, work.to.id, token)
        attempted = self.evidence.sent[sent.key] = Attempted(sent, time.monotonic())
        self.evidence.touched.add(work.case)
        return attempted

    async def _send(self, session: aiohttp.ClientSession, attempted: Attempted) -> None:
        """The same bytes again until there is a last word."""
        while True:
            door = self.chance.choice(self.doors)
            answer = await self._call(session, door, "POST", "/v1/messages", attempted.sent.token)
            if answer.status in (200, 201):
                self.evidence.receipts.append((attempted.sent.key, answer.body))
                self.taken[door] += 1
            elif answer.status != 409:
                await asyncio.sleep(AGAIN)
                continue
            if attempted.answered is None:
                attempted.answered = time.monotonic()
                attempted.outcome = "taken" if answer.status in (200, 201) else answer.code
            return

    # Reading ------------------------------------------------------------------------------------------

    async def _read(self, session: aiohttp.ClientSession, bureau: Outsider) -> None:
        """Read on, answer and acknowledge; now and then as if one had forgotten how far one was."""
        cursor = self._cursors[bureau.id]
        after = self.chance.randint(0, cursor) if self.chance.random() < 0.1 else cursor
        path = f"/v1/mailbox?after={after}&limit=50&wait=1"
        answer = await self._call(session, self.chance.choice(self.doors), "GET", path, bureau=bureau)
        if answer.status != 200:
            return
        for item in answer.body["items"]:
            self.evidence.read.append((bureau.id, item["position"], digest(item["message"])))
            self.evidence.notes.append(item["receipt"]["log"]["checkpoint"])
            if item["position"] > self._cursors[bureau.id]:
                self._answer(bureau, item)
                self._cursors[bureau.id] = item["position"]
        if answer.body["items"] and after == cursor:
            await self._acknowledge(session, bureau, answer.body["items"][-1])

    def _answer(self, bureau: Outsider, item: dict[str, Any]) -> None:
        entry = json.loads(base64.b64decode(item["receipt"]["log"]["entry"]))
        sender = next(one for one in self.bureaus if one.id == entry["source"])
        words = {"request": ("accept", "answer"), "answer": ("close",)}.get(entry["type"].partition(".")[2], ())
        if words == ("accept", "answer") and self.chance.random() < 0.2:
            words = ("decline",)
        if words:
            self._outboxes[bureau.id].append(Work(entry["subject"], sender, words))

    async def _acknowledge(self, session: aiohttp.ClientSession, bureau: Outsider, item: dict[str, Any]) -> None:
        path, token = "/v1/mailbox/acknowledge", bureau.acknowledgement(item)
        answer = await self._call(session, self.chance.choice(self.doors), "POST", path, token)
        if answer.status == 200 and answer.body.get("log"):
            self.evidence.proofs.append(answer.body["log"])

    async def _watch(self, session: aiohttp.ClientSession, bureau: Outsider) -> None:
        """Keep the newest checkpoint, and look at a case."""
        answer = await self._call(session, self.chance.choice(self.doors), "GET", "/log/checkpoint")
        if answer.status == 200:
            self.evidence.notes.append(answer.body)
        mine = [key for key, _ in self.evidence.receipts[-200:] if key[0] == bureau.id]
        if mine:
            path = f"/v1/cases/{self.evidence.sent[self.chance.choice(mine)].sent.case}"
            await self._call(session, self.chance.choice(self.doors), "GET", path, bureau=bureau)

    # Calls --------------------------------------------------------------------------------------------

    async def _call(
        self,
        session: aiohttp.ClientSession,
        door: str,
        method: str,
        path: str,
        body: bytes | None = None,
        bureau: Outsider | None = None,
    ) -> Answer:
        """One call; whatever it was answered is noted."""
        headers = {} if body is None else {"Content-Type": "application/jose"}
        if bureau is not None:
            headers["Authorization"] = f"Bearer {bureau.token()}"
        answer, patience = Answer(NO_ANSWER, None), None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.request(method, door + path, data=body, headers=headers) as response:
                content = await response.read()
                plain = response.content_type == "text/plain"
                answer = Answer(response.status, content.decode() if plain else json.loads(content))
                patience = response.headers.get("Retry-After")
        code = answer.code if answer.status >= 400 else ""
        if answer.status == 503 and not patience:
            code = "without Retry-After"
        self.evidence.answered(f"{method} {'/'.join(path.partition('?')[0].split('/')[:3])}", answer.status, code)
        return answer
