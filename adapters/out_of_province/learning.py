"""What the neighbour's log says to this hub, brought page by page: keys, what was fetched and signed for, due dates."""

import asyncio
from typing import Any, Final
from urllib.parse import quote

import msgspec

from adapters.client import Client, Refused, answers
from adapters.client.answers import LoggedEvent
from adapters.client.connection import JSON, Call, Connection

PAGE: Final = 200


class Standing(msgspec.Struct, frozen=True):
    """`GET /v1/hubs/{id}` of this hub."""

    taken: int
    learned: int
    scanned: int


class Feed(msgspec.Struct, frozen=True):
    """`GET /v1/hubs/{id}/entries` of the neighbour."""

    entries: list[LoggedEvent]
    next: int
    size: int


class Lessons:
    """Brings the neighbour's entries to this hub, which knows how far it learned them; one page at a time."""

    def __init__(self, own: str, home: Connection) -> None:
        self._own, self._home, self._alone = own, home, asyncio.Lock()
        self._scanned = 0

    async def standing(self, hub: str) -> Standing:
        """How far this hub has come with the neighbour. Raises Refused."""
        return answers.read(await self._home.call(Call("GET", f"/v1/hubs/{quote(hub, safe='')}")), Standing)

    async def all(self, client: Client) -> None:
        """Learn all there is now."""
        while await self.page(client):
            pass

    def reached(self, index: int) -> bool:
        """Whether all was learned that the neighbour's log says before its entry at `index`."""
        return self._scanned >= index

    async def through(self, client: Client, index: int) -> None:
        """Learn all that it says before that entry: words come in their order."""
        while not self.reached(index) and await self.page(client):
            pass

    async def page(self, client: Client) -> bool:
        """Learn the next page; whether there is more. Raises Refused."""
        async with self._alone:
            path = f"/v1/hubs/{quote(client.hub, safe='')}/entries"
            after = self._scanned = (await self.standing(client.hub)).scanned
            query = {"after": str(after), "limit": str(PAGE)}
            theirs = Call("GET", f"/v1/hubs/{quote(self._own, safe='')}/entries", query)
            found = answers.read(await client.call(theirs), Feed)
            if found.next <= after:
                return False
            told = {
                "entries": [msgspec.to_builtins(one.log) for one in found.entries],
                "scanned": found.next,
                "organisations": await self._described(client, found.entries),
            }
            learned = await self._home.call(Call("POST", path, body=msgspec.json.encode(told), media=JSON[0]))
            self._scanned = answers.read(learned, Standing).scanned
            return found.next < found.size

    async def _described(self, client: Client, entries: list[LoggedEvent]) -> dict[str, Any]:
        """How the neighbour calls the organisations whose keys are news."""
        named = {str(one.entry.get("organisation")) for one in entries if one.entry.get("kind") == "key-added"}
        found = {}
        for name in sorted(named):
            try:
                said = await client.look_up(name)
            except Refused:
                continue
            found[name] = {key: said[key] for key in ("name", "roles", "algorithms")}
        return found
