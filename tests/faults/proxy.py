"""The network between two programs: a TCP proxy that can be slow, silent or cut."""

import asyncio
import contextlib
from pathlib import Path


class Proxy:
    """Passes connections from `host` on to `target`, a host and port or a socket's path.

    `delay`: seconds that each piece takes longer, in either direction.
    """

    def __init__(self, target: tuple[str, int] | Path, host: str = "127.0.0.1") -> None:
        self.target, self.host, self.delay = target, host, 0.0
        self.port = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> "Proxy":
        """Listen on a port of its own, `port` from then on."""
        self._server = await asyncio.start_server(self._pass_on, self.host, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        """Listen no more."""
        assert self._server is not None
        self._server.close()
        self.sever()
        await self._server.wait_closed()

    def hold(self) -> None:
        """Nothing gets through, and nobody is told: packets are lost."""
        self._flowing.clear()

    def sever(self) -> None:
        """All connections break; new ones get through unless held."""
        for writer in self._open:
            writer.transport.abort()

    def release(self) -> None:
        """Everything gets through again."""
        self._flowing.set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            await self._flowing.wait()
            if isinstance(self.target, Path):
                there = await asyncio.open_unix_connection(self.target)
            else:
                there = await asyncio.open_connection(*self.target)
        except OSError:
            writer.transport.abort()
            self._open.discard(writer)
            return
        self._open.add(there[1])
        try:
            await asyncio.gather(self._copy(reader, there[1]), self._copy(there[0], writer))
        finally:
            for end in (writer, there[1]):
                end.transport.abort()
                self._open.discard(end)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one side has ended, or the connection is broken."""
        with contextlib.suppress(OSError):
            while piece := await reader.read(65536):
                await self._flowing.wait()
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
