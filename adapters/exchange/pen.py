"""What is handed to the partner: each file with its signature, whole before it can be seen."""

import posixpath
from collections.abc import Awaitable, Callable

from adapters.exchange import names, signing
from adapters.exchange.folder import Folder
from keys.jwk import SigningKey


class Pen:
    """Writes into the folders. `hub` says which hub the files come from, asked for when it is first wanted."""

    def __init__(self, folder: Folder, key: SigningKey, organisation: str, hub: Callable[[], Awaitable[str]]) -> None:
        self._folder, self._key, self._organisation, self._hub = folder, key, organisation, hub

    async def put(self, where: str, name: str, content: bytes, organisation: str | None = None) -> str:
        """Have a file hold these bytes, its signature before it; the name it has.

        Where the place can't replace a file in one step, another version of it gets a fresh name.
        """
        hub = await self._hub()
        if not self._folder.replaces:
            name = await self._fresh(where, name, content)
        token = signing.signed(name, content, organisation or self._organisation, hub, self._key)
        await self._folder.write(where, name + names.SIGNATURE, token)
        await self._folder.write(where, name, content)
        return name

    async def take_back(self, where: str, name: str) -> None:
        """Take away what was written. Raises FileTrouble."""
        await self._folder.remove(where, name)
        await self._folder.remove(where, name + names.SIGNATURE)

    async def _fresh(self, where: str, name: str, content: bytes) -> str:
        there = {entry.name for entry in await self._folder.list(where)}
        tried, number = name, 1
        while tried in there and await self._folder.read(where, tried, len(content)) != content:
            number += 1
            tried = names.numbered(name, str(number))
        return tried


def at(where: str, name: str) -> str:
    """A file as people call it."""
    return posixpath.join(where, names.shown(name))
