"""Folders on an SFTP server whose host key is known beforehand; the connection is made when it is wanted, and again."""

import asyncio
import contextlib
import posixpath
import secrets
import stat
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncssh

from adapters.exchange.folder import FOLDERS, MOST, TEMPORARY, Entry, FileGone, FileTrouble, Folder
from adapters.exchange.settings import Server, secret
from adapters.running.configuration import AdapterConfigInvalid
from adapters.running.partner import PartnerUnreachable
from keys.errors import Fault

ALIVE: Final = 30
"""Seconds after which a silent connection is asked whether it is there."""
LEAVING: Final = 5
"""Seconds that an end may take to remove what was half written."""
_LOST: Final = (asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection)


class Sftp(Folder):
    """Folders below the server's `folder`; what is written gets these permissions."""

    def __init__(self, server: Server, mode: int) -> None:
        self._server, self._mode = server, mode
        self._connection: asyncssh.SSHClientConnection | None = None
        self._client: asyncssh.SFTPClient | None = None
        self._alone = asyncio.Lock()
        self._left: set[str] = set()
        """What was being written when a connection ended; it is removed over the next one."""

    async def close(self) -> None:
        if self._client is not None and self._left:
            # Stopped while it wrote: where the server answers still, nothing half written is left on it.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LEAVING):
                    await self._tidy(self._client)
        await self._hang_up()

    async def _hang_up(self) -> None:
        connection, self._connection, self._client = self._connection, None, None
        if connection is not None:
            connection.abort()
            with contextlib.suppress(Exception):
                await asyncio.wait_for(connection.wait_closed(), 5)

    async def prepare(self) -> None:
        async with self._place("") as client:
            for folder in FOLDERS:
                await client.makedirs(self._at(folder), exist_ok=True)

    async def list(self, folder: str) -> list[Entry]:
        found = []
        async with self._place(folder) as client:
            async for one in client.scandir(self._at(folder)):
                name, known = str(one.filename), one.attrs
                if stat.S_ISREG(known.permissions or 0) or known.type == asyncssh.FILEXFER_TYPE_REGULAR:
                    found.append(Entry(name, known.size or 0, float(known.mtime or 0)))
                if len(found) == MOST:
                    break
        return [one for one in found if "/" not in one.name and "\0" not in one.name]

    async def read(self, folder: str, name: str, at_most: int) -> bytes:
        async with self._file(name) as client, client.open(self._at(folder, name), "rb") as file:
            content: bytes = await file.read(at_most + 1)
            return content

    async def write(self, folder: str, name: str, content: bytes) -> None:
        temporary, target = self._at(folder, f".{secrets.token_hex(8)}{TEMPORARY}"), self._at(folder, name)
        async with self._place(folder) as client:
            attributes = asyncssh.SFTPAttrs(permissions=self._mode)
            try:
                async with client.open(temporary, "xb", attributes) as file:
                    await file.write(content)
                    with contextlib.suppress(asyncssh.SFTPOpUnsupported, asyncssh.SFTPFailure):
                        await file.fsync()
                if self.replaces:
                    await client.posix_rename(temporary, target)
                else:
                    # Version 3 of the protocol does not replace (draft-ietf-secsh-filexfer-02, §6.5).
                    with contextlib.suppress(asyncssh.SFTPNoSuchFile):
                        await client.remove(target)
                    await client.rename(temporary, target)
            except BaseException as error:
                self._left.add(temporary)
                if isinstance(error, asyncssh.SFTPError) and not isinstance(error, _LOST):
                    await self._tidy(client)
                raise
            await self._tidy(client)

    async def _tidy(self, client: asyncssh.SFTPClient) -> None:
        """Remove what an earlier connection left half written, where the server lets us."""
        for temporary in list(self._left):
            try:
                await client.remove(temporary)
            except _LOST:
                raise
            except asyncssh.SFTPError:
                pass  # it is not there, or may not be removed: what was written since is written
            self._left.discard(temporary)

    async def move(self, folder: str, name: str, into: str, new: str) -> None:
        async with self._file(name) as client:
            rename = client.posix_rename if self.replaces else client.rename
            await rename(self._at(folder, name), self._at(into, new))

    async def remove(self, folder: str, name: str) -> None:
        with contextlib.suppress(FileGone):
            async with self._file(name) as client:
                await client.remove(self._at(folder, name))

    def _at(self, folder: str, name: str | None = None) -> str:
        if name is not None and (name in ("", ".", "..") or "/" in name or "\0" in name):
            raise FileTrouble(f"{name!r} is no name of a file")
        return posixpath.join(self._server.folder, folder, name or "")

    @contextlib.asynccontextmanager
    async def _place(self, folder: str) -> AsyncIterator[asyncssh.SFTPClient]:
        """Work on the place as a whole: whatever fails, it can't be reached."""
        try:
            async with self._file(folder) as client:
                yield client
        except FileTrouble as trouble:
            raise PartnerUnreachable(f"{self._server.host} {folder}/: {trouble.detail}") from None

    @contextlib.asynccontextmanager
    async def _file(self, name: str) -> AsyncIterator[asyncssh.SFTPClient]:
        """Work on one file: what fails about it is a FileTrouble, what fails about the connection ends that."""
        try:
            async with asyncio.timeout(self._server.within):
                client = await self._connected()
                with self._bounded():
                    yield client
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            raise FileGone(f"{name!r} is not there") from None
        except Fault:
            raise
        except (asyncssh.Error, OSError, TimeoutError, UnicodeError) as error:
            if isinstance(error, asyncssh.SFTPError) and not isinstance(error, _LOST):
                raise FileTrouble(f"{name!r}: {error.reason or type(error).__name__}") from None
            if isinstance(error, UnicodeError):
                raise FileTrouble(f"{name!r}: {error}") from None
            await self._hang_up()
            raise PartnerUnreachable(f"{self._server.host}: {_why(error)}") from None

    @contextlib.contextmanager
    def _bounded(self) -> Iterator[None]:
        """End the connection where a step goes on beyond its time.

        A step that is cancelled closes its file first, and waits for the server to say so: one that says nothing any
        more, though its connection stands, would be waited for without end.
        """
        assert self._connection is not None
        late = asyncio.get_running_loop().call_later(self._server.within, self._connection.abort)
        try:
            yield
        finally:
            late.cancel()

    async def _connected(self) -> asyncssh.SFTPClient:
        async with self._alone:
            if self._client is None or self._connection is None or self._connection.is_closed():
                await self._hang_up()
                self._connection = await self._logged_in()
                self._client = await self._connection.start_sftp_client(path_errors="surrogateescape")
                self.replaces = await _replaces(self._client, self._at(".xieban-nothing"))
            return self._client

    async def _logged_in(self) -> asyncssh.SSHClientConnection:
        server = self._server
        options: dict[str, Any] = {"password": server.password(), "client_keys": None}
        if server.key is not None:
            try:
                options["client_keys"] = [asyncssh.import_private_key(secret(server.key), server.key_passphrase())]
            except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as error:
                raise AdapterConfigInvalid(f"the key {server.key} can't be read: {error}") from None
        # Nothing of this machine's own SSH settings: no agent, no configuration, no host key but the pinned one.
        return await asyncssh.connect(
            server.host, server.port, username=server.user, known_hosts=str(server.known_hosts), config=None,
            agent_path=None, keepalive_interval=ALIVE, keepalive_count_max=2, connect_timeout=server.within, **options,
        )  # fmt: skip


async def _replaces(client: asyncssh.SFTPClient, nothing: str) -> bool:
    """Whether the server knows posix-rename@openssh.com, asked with a file that is not there."""
    try:
        await client.posix_rename(nothing, nothing)
    except asyncssh.SFTPOpUnsupported:
        return False
    except asyncssh.SFTPError as error:
        if isinstance(error, _LOST):
            raise
    return True


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, asyncssh.HostKeyNotVerifiable):
        return f"its host key is not the one in known_hosts ({error.reason})"
    return str(error)[:300] or type(error).__name__
