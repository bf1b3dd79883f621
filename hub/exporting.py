"""The log's tiles as files that any web server or object store can serve (C2SP tlog-tiles, without entry bundles).

A tile is written before the checkpoint that needs it, and never again: whoever reads a checkpoint finds its tiles.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from hub import log
from hub.store import Connection
from hub.store.queries import SQL
from keys import checkpoint, durable
from keys.errors import BadCheckpoint, Fault
from keys.tiles import TILE_HEIGHT, partial_widths, tile_path

CHECKPOINT = "checkpoint"
PAGE = 256
"""Tiles that are read at once, of 8 kB each."""


class ExportContradicted(Fault):
    """The folder holds another history than this log; export into an empty one, served under a prefix of its own."""

    code: ClassVar[str] = "export-contradicted"


class ExportImpossible(Fault):
    """The folder can't be written, or another export writes there."""

    code: ClassVar[str] = "export-impossible"


class Exported(NamedTuple):
    """What one export came to: the sizes of the tree before and after, and how many tiles were written."""

    before: int
    size: int
    tiles: int


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """The folder, made where it is missing, for this export alone. Raises ExportImpossible."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportImpossible(f"another export writes to {folder}") from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ExportImpossible(f"{error.filename or folder}: {error.strerror}") from error


async def export(connection: Connection, folder: Path) -> Exported:
    """Bring the folder, which is `held`, to the newest checkpoint; the tiles first.

    Raises ExportContradicted where what is there is not this log's past; ExportImpossible.
    """
    head = await connection.fetchrow(SQL["head"])
    assert head is not None
    before = await _size_there(connection, folder, head["origin"], head["size"])
    written = 0
    if before < head["size"]:
        async for path, hashes in _tiles(connection, before, head["size"]):
            with _writing(folder):
                written += _keep(folder / path, hashes)
    if before < head["size"] or not (folder / CHECKPOINT).exists():
        with _writing(folder):
            _replace(folder / CHECKPOINT, head["note"].encode())
        _let_go(folder, before, head["size"])
    return Exported(before, head["size"], written)


async def _size_there(connection: Connection, folder: Path, origin: str, size: int) -> int:
    """How large the tree in the folder is, of which this log must be the continuation."""
    try:
        with _writing(folder):
            note = (folder / CHECKPOINT).read_bytes()
        there = checkpoint.parse_body(checkpoint.open_note(note)[0])
    except FileNotFoundError:
        return 0
    except BadCheckpoint as fault:
        raise ExportContradicted(f"{folder / CHECKPOINT} is no checkpoint: {fault.detail}") from None
    if there.origin != origin:
        raise ExportContradicted(f"{folder} holds {there.origin}, this log is {origin}")
    if there.size > size:
        raise ExportContradicted(f"{folder} holds {there.size} entries, this log has {size}")
    if (await log.load_edge(connection, there.size)).root() != there.root:
        raise ExportContradicted(f"of the first {there.size} entries {folder} has another root than this log")
    return there.size


async def _tiles(connection: Connection, before: int, size: int) -> AsyncIterator[tuple[str, bytes]]:
    """The paths and bytes of all tiles of the tree of `size` that the tree of `before` leaves lacks."""
    for level, width in enumerate(partial_widths(size)):
        complete = size >> (TILE_HEIGHT * (level + 1))
        for first in range(before >> (TILE_HEIGHT * (level + 1)), complete, PAGE):
            rows = await connection.fetch(SQL["tiles_between"], level, first, min(first + PAGE, complete))
            for row in rows:
                yield tile_path(level, row["index"]), row["hashes"]
        if width:
            hashes = await log.tile_hashes(connection, level, complete)
            yield tile_path(level, complete, width), hashes[: width * 32]


def _keep(place: Path, content: bytes) -> bool:
    """Write a tile where there is none yet; whether it was written. Raises ExportContradicted."""
    try:
        if place.read_bytes() != content:
            raise ExportContradicted(f"{place} is another tile than this log's")
    except FileNotFoundError:
        place.parent.mkdir(parents=True, exist_ok=True)
        _replace(place, content)
        return True
    return False


def _replace(place: Path, content: bytes) -> None:
    """The file whole or as it was before, even if the power fails."""
    temporary = place.with_name(f".{place.name}.new")
    with open(temporary, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place)
    durable.flush(place.parent)


def _let_go(folder: Path, before: int, size: int) -> None:
    """Partial tiles that are complete by now: who still asks for one takes the whole (C2SP tlog-tiles)."""
    for level, _ in enumerate(partial_widths(before)):
        was, now = (of >> (TILE_HEIGHT * (level + 1)) for of in (before, size))
        if was < now:
            shutil.rmtree((folder / tile_path(level, was, 1)).parent, ignore_errors=True)
