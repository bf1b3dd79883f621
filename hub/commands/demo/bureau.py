"""One bureau at work: it opens its cases, polls its mailbox, reacts to what arrives, and signs for it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.client import Client, Cursor, Item
from hub.commands.demo import stories
from hub.commands.demo.board import Board
from hub.commands.demo.stories import Story
from hub.commands.demo.turn import next_message
from protocols import loading
from protocols.deadlines import local_date

AT_ONCE = 3
"""Cases of its own that a bureau has open at a time."""
WAIT = 20
"""Seconds of one long poll."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A case that a bureau is to open."""

    responder: str
    story: Story
    number: int


class Bureau:
    """A bureau with keys, a mailbox and a cursor of its own; it sees no other bureau but through the hub.

    `neighbours` are the bureaus that it forwards to what belongs to them.
    """

    def __init__(
        self,
        client: Client,
        cursor: Cursor,
        neighbours: Sequence[str],
        board: Board,
    ) -> None:
        self.id, self.client, self.board = client.organisation, client, board
        self._cursor, self._neighbours = cursor, neighbours
        self._room = asyncio.Semaphore(AT_ONCE)
        self._own: set[str] = set()
        self.began = cursor.load(client.hub, self.id)

    async def open(self, assignments: Sequence[Assignment]) -> None:
        """Open the cases one after the other, as earlier ones come to their end."""
        for case in assignments:
            await self._room.acquire()
            data, content = stories.request(case.story, self.id, case.responder, case.number)
            sent = await self.client.open_case(case.responder, data, content, check=True)
            self._own.add(sent.case)
            await self.board.sent(sent)
            await self.board.case(sent.case, opened=True)

    async def serve(self) -> None:
        """Poll, open, sign for and react to whatever arrives, until cancelled."""
        position = self.began
        while True:
            page = await self.client.poll(position, wait=WAIT)
            for item in page.items:
                await self._look_into(item)
            if page.items:
                await self.client.acknowledge(page.items[-1])
            for item in page.items:
                await self._react(item)
            # Kept only now: what a bureau was stopped over comes again, and `next_message` knows what is done.
            position = page.next
            self._cursor.save(self.client.hub, self.id, position)
            await self.board.read(self.id, position)

    async def _look_into(self, item: Item) -> None:
        """Open what is sealed; of a forward, hold every original that it hands over against its author's key.

        Raises BadSeal, DataInvalid, DeliveryInvalid, BadSignature, KeyUnknown.
        """
        if "sealed" in item.event.data:
            self.client.unseal(item, check=True)
        if item.event.data.get("to") == self.id:
            await self.client.handed_over(item)

    async def _react(self, item: Item) -> None:
        """Send what is this bureau's to send in the case, until others are to act."""
        view = await self.client.case(item.event.subject)
        story = stories.of_case(view)
        if story is None:
            return
        while message := next_message(view, self.id, story):
            await self._send(item, view, story, message)
            view = await self.client.case(item.event.subject)
        await self._note(view)

    async def _send(self, item: Item, view: dict[str, Any], story: Story, message: str) -> None:
        opener, newcomer = view["opener"], None
        if message == "forward":
            places = [name for name in self._neighbours if name != opener]
            newcomer = places[int(item.event.subject[-4:], 16) % len(places)]
        today = local_date(datetime.now(UTC))
        data, content = stories.words_for(message, story, self.id, opener, today, newcomer)
        sent = await self.client.reply(item, message, data, content, check=True)
        await self.board.sent(sent)
        if message in ("answer", "decline") and self.id != opener:
            await self.board.case(sent.case, answered=True)

    async def _note(self, view: dict[str, Any]) -> None:
        protocol = loading.catalogue().protocols[view["protocol"], view["version"]]
        if view["id"] in self._own and protocol.flow.states[view["state"]].final:
            self._own.remove(view["id"])
            self._room.release()
            await self.board.case(view["id"], state=view["state"])
