"""Files that only their owner may reach: checked before they are read, written whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from keys import durable
from keys.errors import KeyStoreFault

DIRECTORY: Final = 0o700
FILE: Final = 0o600
MAX_FILE: Final = 1 << 16
"""Longest file taken, in bytes."""

# A FIFO put in a file's place must not block, nor a link lead elsewhere.
_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_TYPES: Final = {stat.S_IFREG: "a file", stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFLNK: "a link"}


@contextmanager
def faults(path: Path) -> Iterator[None]:
    """Turns what the system refuses at `path` into a KeyStoreFault."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise KeyStoreFault(f"{path} is a symbolic link", check="kind", path=str(path)) from error
        said = f"{path} can't be used: {error.strerror}"
        if error.errno == errno.ENOENT:
            raise KeyStoreFault(said, check="not-there", path=str(path)) from error
        raise KeyStoreFault(said, check="system", path=str(path)) from error


def check_directory(path: Path) -> None:
    """Raises KeyStoreFault unless `path` is a directory of ours that nobody else can reach."""
    with faults(path):
        _check(path, path.stat(), DIRECTORY, (stat.S_IFDIR,))


def check_file(path: Path) -> None:
    """Raises KeyStoreFault unless `path` is a file of ours, not a link, that nobody else can reach."""
    with faults(path):
        _check(path, path.lstat(), FILE, (stat.S_IFREG,))


def read(path: Path, mode: int = FILE) -> bytes:
    """The content of a file with at most these mode bits. Raises KeyStoreFault, also for a link."""
    with faults(path), open(os.open(path, _READ | os.O_NOFOLLOW), "rb") as file:
        # The open file is looked at, not the path, which could be another one by now.
        _check(path, os.fstat(file.fileno()), mode, (stat.S_IFREG,))
        return _bounded(path, file.read(MAX_FILE + 1))


def read_secret(path: Path) -> bytes:
    """The content of a file or pipe that others can't read; a link to it will do, as secrets are often mounted.

    Raises KeyStoreFault.
    """
    with faults(path), open(os.open(path, os.O_RDONLY | os.O_CLOEXEC), "rb") as file:
        _check(path, os.fstat(file.fileno()), FILE, (stat.S_IFREG, stat.S_IFIFO))
        return _bounded(path, file.read(MAX_FILE + 1))


def write(path: Path, data: bytes, mode: int = FILE) -> None:
    """Write so that the file is there whole or not at all, even if the power fails. Raises KeyStoreFault.

    Two writers of one path must hold `locked`.
    """
    temporary = path.with_name(path.name + ".new")
    with faults(temporary):
        # Left over from a crash, or put there by somebody: in neither case is it written into.
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        durable.flush(path.parent)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Holds the directory against other writers, of this process or another. Raises KeyStoreFault."""
    with faults(directory):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _check(path: Path, status: os.stat_result, mode: int, types: tuple[int, ...]) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind not in types:
        found = _TYPES.get(kind, "something else")
        raise KeyStoreFault(f"{path} is not {_TYPES[types[0]]} but {found}", check="kind")
    if os.geteuid() not in (0, status.st_uid) and status.st_uid != 0:
        raise KeyStoreFault(f"{path} belongs to another user", check="owner", owner=status.st_uid)
    if stat.S_IMODE(status.st_mode) & 0o777 & ~mode:
        said = f"{path} can be reached by others; run: chmod {mode:o} '{path}'"
        raise KeyStoreFault(said, check="open", path=str(path))


def _bounded(path: Path, data: bytes) -> bytes:
    if len(data) > MAX_FILE:
        raise KeyStoreFault(f"{path} is too long", check="kind", limit=MAX_FILE)
    return data
