"""Uploads on their way: what came so far lies in a file, so that the next request, or process, goes on from there."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from hub.errors import AttachmentMismatch, Overloaded, RangeNotNext, RequestMalformed

STEP = 1 << 20
"""Bytes written at once."""
LASTING = ThreadPoolExecutor(16, thread_name_prefix="lasting")
"""Where files are hashed and made to last: a disk that takes its time over that holds up nobody who reads or writes."""


class Incoming:
    """One organisation's upload of one attachment; one request at a time works on it."""

    def __init__(self, folder: Path, organisation: str, digest: bytes) -> None:
        self.path, self._digest = folder / f"{_whose(organisation)}.{digest.hex()}", digest

    @property
    def received(self) -> int:
        """How many bytes are here."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    @contextlib.contextmanager
    def mine(self) -> Iterator[None]:
        """Have the upload for oneself. Raises Overloaded while another request writes to it."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Overloaded("another request is uploading this attachment") from None
            yield
        finally:
            os.close(handle)

    async def append(self, body: AsyncIterator[bytes], first: int, length: int | None, total: int | None) -> int:
        """Write what comes, which belongs at `first`; how many bytes are here then.

        What came before a connection broke off stays. Raises RangeNotNext where `first` is not next,
        RequestMalformed where more comes than was said, OSError where there is no room.
        """
        here = self.received
        if first != here:
            raise RangeNotNext(f"{here} bytes are here: go on from there", received=here)
        limit = first + length if length is not None else total
        with self.path.open("ab") as file:
            waiting = bytearray()
            async for part in body:
                waiting += part
                here += len(part)
                if limit is not None and here > limit:
                    raise RequestMalformed("more bytes came than the range or the length says")
                if len(waiting) >= STEP:
                    await asyncio.to_thread(file.write, bytes(waiting))
                    waiting.clear()
            file.write(waiting)
            file.flush()
        return here

    async def verify(self) -> None:
        """Raise AttachmentMismatch, and forget what came, unless it is what its digest says; durable afterwards."""
        if await asyncio.get_running_loop().run_in_executor(LASTING, self._hashed) != self._digest:
            self.path.unlink(missing_ok=True)
            raise AttachmentMismatch()

    def _hashed(self) -> bytes:
        with self.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").digest()
            os.fsync(file.fileno())
        return found


def under_way(folder: Path, organisation: str, digest: bytes) -> int:
    """How many bytes of the organisation's other uploads are here."""
    own, size = f"{_whose(organisation)}.", 0
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(own) and entry.name != own + digest.hex():
                with contextlib.suppress(FileNotFoundError):
                    size += entry.stat().st_size
    return size


def _whose(organisation: str) -> str:
    return hashlib.sha256(organisation.encode()).hexdigest()[:32]


def forget_old(folder: Path, days: float) -> int:
    """Remove uploads that nobody went on with for so many days; how many."""
    removed = 0
    before = time.time() - days * 86_400
    for path in folder.glob("*") if folder.exists() else ():
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mtime < before:
                path.unlink()
                removed += 1
    return removed
