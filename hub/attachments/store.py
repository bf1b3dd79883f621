"""Where attachments lie: the data directory, or an S3-compatible store."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from hub.attachments.incoming import LASTING
from hub.attachments.s3 import Bucket
from keys import durable

PART = 1 << 18
"""Bytes read at once when an attachment is handed out."""


class Store(Protocol):
    """Files by their place, a name the hub makes up: written once, never changed."""

    async def put(self, place: str, file: Path) -> None:
        """Keep `file` under `place`, for good once this returns; the file itself may be gone afterwards."""
        ...

    def read(self, place: str, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes from `first` (included) to `end` (excluded). Raises FileNotFoundError."""
        ...

    async def size(self, place: str) -> int | None:
        """How many bytes lie there; None where nothing does."""
        ...

    async def delete(self, place: str) -> None:
        """Take it away; nothing happens where nothing lies there."""
        ...


class Directory:
    """A directory of this machine; with several nodes, one that they share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, place: str, file: Path) -> None:
        """Move it here, so that a crash leaves all of it or nothing."""
        await asyncio.get_running_loop().run_in_executor(LASTING, self._put, place, file)

    def _put(self, place: str, file: Path) -> None:
        target = self._at(place)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if file.stat().st_dev != target.parent.stat().st_dev:
            file = _brought(file, target)
        file.replace(target)
        for folder in (target.parent, self._folder):
            durable.flush(folder)

    async def read(self, place: str, first: int, end: int) -> AsyncIterator[bytes]:
        """Its bytes, a part at a time."""
        with await asyncio.to_thread(self._at(place).open, "rb") as file:
            file.seek(first)
            while first < end:
                part = await asyncio.to_thread(file.read, min(PART, end - first))
                if not part:
                    raise FileNotFoundError(f"{place} is shorter than it was")
                first += len(part)
                yield part

    async def size(self, place: str) -> int | None:
        """Its length."""
        try:
            return self._at(place).stat().st_size
        except FileNotFoundError:
            return None

    async def delete(self, place: str) -> None:
        """Unlink it."""
        await asyncio.to_thread(self._at(place).unlink, missing_ok=True)

    def _at(self, place: str) -> Path:
        return self._folder / place[:2] / place


def _brought(file: Path, target: Path) -> Path:
    """The file beside its target, on another file system than it was: a rename there is all or nothing."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with file.open("rb") as source, part.open("wb") as copy:
        shutil.copyfileobj(source, copy, PART)
        copy.flush()
        os.fsync(copy.fileno())
    file.unlink()
    return part


def opened(address: str | None, data: Path) -> Store:
    """The store at `address` (`s3://bucket/folder`, or a folder that nodes share), or that in the data directory.

    Raises ConfigInvalid.
    """
    if address is None:
        return Directory(data / "attachments" / "kept")
    if address.startswith("/"):
        return Directory(Path(address))
    return Bucket(address)
