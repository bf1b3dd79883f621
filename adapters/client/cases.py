"""Cases as the hub shows them to this organisation, and which version of its protocol each follows."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

from adapters.client import answers
from adapters.client.answers import CaseHead, CasePage
from adapters.client.connection import Call, Connection
from adapters.client.faults import DeliveryInvalid

REMEMBERED = 10_000
"""How many cases the version is remembered of; it never changes in a case."""


class Cases:
    """The cases of one organisation at one hub."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._versions: dict[str, str] = {}
        self._homes: dict[str, str | None] = {}

    async def view(self, id: str, purpose: str | None = None) -> dict[str, Any]:
        """One case, whole, as the hub has it. Raises DeliveryInvalid for another one."""
        call = Call("GET", f"/v1/cases/{quote(id, safe='')}", {"purpose": purpose} if purpose else None)
        view = answers.read(await self._connection.call(call), dict[str, Any])
        head = answers.convert(view, CaseHead)
        if head.id != id:
            raise DeliveryInvalid(f"the hub answered with the case {head.id[:80]}", id=id)
        if len(self._versions) >= REMEMBERED:
            self._versions.clear()
            self._homes.clear()
        self._versions[id], self._homes[id] = head.version, head.home
        return view

    async def head(self, id: str) -> CaseHead:
        """The parties and the state of one case, as of now."""
        return answers.convert(await self.view(id), CaseHead)

    async def version(self, id: str) -> str:
        """The version of its protocol that the case follows; asked for once."""
        return self._versions.get(id) or (await self.head(id)).version

    async def home(self, id: str) -> str | None:
        """The hub that alone advances the case, where that is another one; asked for once."""
        if id not in self._homes:
            await self.view(id)
        return self._homes[id]

    async def all(self, state: str | None) -> AsyncIterator[dict[str, Any]]:
        """Every case this organisation may see, the newest first, page by page."""
        after: str | None = None
        while True:
            query = {name: value for name, value in (("state", state), ("after", after)) if value is not None}
            page = answers.read(await self._connection.call(Call("GET", "/v1/cases", query)), CasePage)
            for summary in page.items:
                yield summary
            if page.next is None or page.next == after:
                return
            after = page.next
