"""A log read over HTTP as tiles (C2SP tlog-tiles), each answer held against the size it was asked for."""

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import aiohttp
import msgspec

from keys import merkle, tiles
from keys.errors import BadCheckpoint, Fault
from keys.jwk import VerifyingKey
from keys.merkle import Node
from protocols import lineage
from protocols.lineage import Earlier, Lineage

TIMEOUT = aiohttp.ClientTimeout(total=20)
MAX_ANSWER = tiles.TILE_WIDTH * (tiles.MAX_ENTRY + 2)


class LogUnreachable(Fault):
    """The log could not be read; nothing was signed, nothing was concluded."""

    code: ClassVar[str] = "log-unreachable"


class _Log(msgspec.Struct, frozen=True):
    origin: str
    earlier: list[Earlier] = []


class _HubDocument(msgspec.Struct, frozen=True):
    log: _Log


@dataclass(frozen=True, slots=True)
class Reader:
    """The log of one hub. `token` gives a bearer token where entries are read: they are for auditors."""

    hub: str
    session: aiohttp.ClientSession
    token: Callable[[], str] | None = None

    async def checkpoint(self) -> str:
        """The newest signed checkpoint, not verified. Raises LogUnreachable."""
        return (await self._get("/log/checkpoint")).decode("utf-8", "replace")

    async def lineage(self, keys: Sequence[VerifyingKey]) -> Lineage:
        """The origins that the log has had, proven. Raises LogUnreachable, LineageInvalid."""
        try:
            said = msgspec.json.decode(await self._get("/v1/hub"), type=_HubDocument)
        except msgspec.MsgspecError as error:
            raise LogUnreachable(f"/v1/hub: {error}") from None
        return lineage.verify(said.log.origin, said.log.earlier, keys)

    async def nodes(self, wanted: Iterable[Node], size: int) -> dict[Node, bytes]:
        """Hashes of complete subtrees, from the tiles of the tree of `size`. Raises LogUnreachable, BadCheckpoint."""
        found: dict[Node, bytes] = {}
        read: dict[tuple[int, int], bytes] = {}
        for level, index in sorted(wanted):
            place = tiles.tile_of_node(level, index)
            key = place.tile_level, place.tile_index
            if key not in read:
                width = _width(*key, size)
                body = await self._tile(*key, width)
                if len(body) != width * merkle.HASH_SIZE:
                    raise BadCheckpoint("a tile has not as many hashes as it says", tile=key)
                read[key] = body
            found[level, index] = tiles.inner_node(read[key], place.row, place.position)
        return found

    async def _tile(self, level: int, index: int, width: int) -> bytes:
        """A tile's hashes, cut off the whole tile where the log has no longer a part of it (C2SP tlog-tiles)."""
        try:
            return await self._get("/log/" + tiles.tile_path(level, index, width))
        except LogUnreachable as missing:
            if width == tiles.TILE_WIDTH or missing.data.get("status") != 404:
                raise
        whole = await self._get("/log/" + tiles.tile_path(level, index))
        return whole[: width * merkle.HASH_SIZE]

    async def bundles(self, first: int, size: int) -> AsyncGenerator[list[bytes], None]:
        """The entries of bundle number `first` and of those after it, in the tree of `size`, a bundle at a time.

        Raises LogUnreachable, BadCheckpoint where a bundle has not as many entries as it must.
        """
        for bundle in range(first, -(-size // tiles.TILE_WIDTH)):
            width = _width(0, bundle, size)
            body = await self._get("/log/" + tiles.tile_path(tiles.ENTRIES, bundle, width))
            try:
                entries = tiles.parse_bundle(body)
            except ValueError as error:
                raise BadCheckpoint(f"entry bundle {bundle}: {error}", bundle=bundle) from None
            if len(entries) != width:
                raise BadCheckpoint("a bundle has not as many entries as it says", bundle=bundle)
            yield entries

    async def _get(self, path: str) -> bytes:
        headers = {"Authorization": f"Bearer {self.token()}"} if self.token else {}
        try:
            async with self.session.get(self.hub.rstrip("/") + path, timeout=TIMEOUT, headers=headers) as answer:
                body = await answer.content.read(-1 if (answer.content_length or 0) <= MAX_ANSWER else MAX_ANSWER)
                if answer.status != 200:
                    raise LogUnreachable(f"{path}: status {answer.status}", status=answer.status)
                return body
        except (aiohttp.ClientError, TimeoutError) as error:
            raise LogUnreachable(f"{path}: {type(error).__name__}") from None


def _width(level: int, index: int, size: int) -> int:
    return min(tiles.TILE_WIDTH, (size >> (tiles.TILE_HEIGHT * level)) - index * tiles.TILE_WIDTH)
