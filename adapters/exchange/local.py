"""A folder on this machine, or one that is mounted here."""

import asyncio
import contextlib
import os
import secrets
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from adapters.exchange.folder import FOLDERS, MOST, TEMPORARY, Entry, FileGone, FileTrouble, Folder
from adapters.running.partner import PartnerUnreachable

T = TypeVar("T")
_LOCKED: Final = (0.05, 0.2, 0.5)
"""Seconds after which a file is tried again that a program on Windows holds open, or a virus scanner looks at."""
_SAFELY: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Local(Folder):
    """Folders below `root`; what is written gets these permissions."""

    def __init__(self, root: Path, mode: int) -> None:
        self._root, self._mode = root, mode

    async def prepare(self) -> None:
        def make() -> None:
            for folder in FOLDERS:
                (self._root / folder).mkdir(parents=True, exist_ok=True)

        await self._place("", make)

    async def list(self, folder: str) -> list[Entry]:
        return await self._place(folder, lambda: _listed(self._root / folder))

    async def read(self, folder: str, name: str, at_most: int) -> bytes:
        return await self._file(name, lambda: _read(self._path(folder, name), at_most))

    async def write(self, folder: str, name: str, content: bytes) -> None:
        path = self._path(folder, name)
        await self._place(folder, lambda: _written(path, content, self._mode))

    async def move(self, folder: str, name: str, into: str, new: str) -> None:
        old, target = self._path(folder, name), self._path(into, new)

        def move() -> None:
            _patiently(lambda: old.replace(target))
            for changed in {old.parent, target.parent}:
                _kept(changed)

        await self._file(name, move)

    async def remove(self, folder: str, name: str) -> None:
        path = self._path(folder, name)
        await self._file(name, lambda: _patiently(lambda: path.unlink(missing_ok=True)))

    def _path(self, folder: str, name: str) -> Path:
        if name in ("", ".", "..") or "\0" in name or "/" in name or (os.sep != "/" and os.sep in name):
            raise FileTrouble(f"{name!r} is no name of a file")
        return self._root / folder / name

    async def _place(self, folder: str, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise PartnerUnreachable(f"{self._root / folder}: {error.strerror or error}") from None

    async def _file(self, name: str, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except FileNotFoundError:
            raise FileGone(f"{name!r} is not there any more") from None
        except OSError as error:
            raise FileTrouble(f"{name!r}: {error.strerror or error}") from None


def _listed(path: Path) -> list[Entry]:
    found = []
    with os.scandir(path) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False):
                    known = entry.stat(follow_symlinks=False)
                    found.append(Entry(entry.name, known.st_size, known.st_mtime))
            if len(found) == MOST:
                break
    return found


def _read(path: Path, at_most: int) -> bytes:
    def read() -> bytes:
        file = os.open(path, os.O_RDONLY | _SAFELY)
        with os.fdopen(file, "rb") as content:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                raise OSError(None, "it is no regular file")
            return content.read(at_most + 1)

    return _patiently(read)


def _written(path: Path, content: bytes, mode: int) -> None:
    temporary = path.with_name(f".{secrets.token_hex(8)}{TEMPORARY}")
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _SAFELY, 0o600), "wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        temporary.chmod(mode)
        _patiently(lambda: temporary.replace(path))
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _kept(path.parent)


def _patiently(work: Callable[[], T]) -> T:
    if os.name == "nt":
        for pause in _LOCKED:
            try:
                return work()
            except PermissionError:
                time.sleep(pause)
    return work()


def _kept(folder: Path) -> None:
    """Have the folder itself on disk: else a name may be lost though its file is not."""
    if os.name == "nt":
        return
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError:
        return  # a mounted folder may not be able to
    finally:
        os.close(file)
