"""Making a backup beside the running hub: everything in it is of one moment, the one of its signed checkpoint."""

import itertools
import os
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

import asyncpg
from pyrage.x25519 import Recipient

from hub import version
from hub.attachments.store import Store
from hub.backup import BackupFailed, manifest, sealing
from hub.backup.archive import ATTACHMENTS, DATABASE, KEYS, PART, ROWS, Writer
from hub.backup.manifest import FORMAT, Manifest
from hub.identity import Identity
from hub.store import Connection
from hub.store.dumping import DumpFailed, dump, rows
from hub.store.moment import Moment, NotOneMoment, moment
from hub.store.queries import SQL
from keys import durable
from protocols import envelope

SUFFIX: Final = ".xieban-backup.age"
Progress = Callable[[int], None]
"""Told how many bytes have gone in so far."""


@dataclass(frozen=True, slots=True)
class Source:
    """The hub that is backed up. `attachments` is None where they lie in a store that is backed up by itself."""

    dsn: str
    data: Path
    identity: Identity
    attachments: Store | None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Made:
    """A backup on disk."""

    file: Path
    manifest: Manifest


async def make(source: Source, recipients: Sequence[Recipient], folder: Path, progress: Progress) -> Made:
    """Write a backup into the folder, whole or not at all. Raises BackupFailed."""
    now = datetime.now(UTC)
    file = folder / f"{source.identity.hub}-{now:%Y%m%dT%H%M%S%f}Z{SUFFIX}"
    partial = file.with_name(f".{file.name}.partial")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as sealed:
            with sealing.sealed(sealed, recipients) as plain:
                written = await _write(source, _Counting(plain, progress), now)
            sealed.flush()
            os.fsync(sealed.fileno())
        partial.replace(file)
        durable.flush(folder)
    except (OSError, ValueError, DumpFailed, NotOneMoment, asyncpg.PostgresError) as error:
        raise BackupFailed(getattr(error, "detail", None) or str(error)) from error
    finally:
        partial.unlink(missing_ok=True)
    return Made(file, written)


async def _write(source: Source, stream: "_Counting", now: datetime) -> Manifest:
    async with moment(source.dsn) as seen:
        snapshot = await seen.connection.fetchval("SELECT pg_export_snapshot()")
        head = await seen.connection.fetchrow(SQL["head"])
        assert head is not None
        writer = Writer(stream)
        for name, content in _key_files(source.data / "keys"):
            writer.add(f"{KEYS}{name}", content)
        number = 0
        async for part in dump(source.dsn, snapshot, PART, seen.spread):
            number += 1
            writer.add(f"{DATABASE}{number:06d}", part)
        await _rows(seen, writer)
        attachments = await _attachments(seen.connection, source.attachments, writer) if source.attachments else 0
        await seen.require_whole(source.dsn)
        said = Manifest(
            format=FORMAT,
            version=version(),
            hub=source.identity.hub,
            made=envelope.rfc3339(now),
            checkpoint=head["note"],
            entries=head["size"],
            attachments=attachments,
            elsewhere=source.attachments is None,
            final=source.final,
            members=writer.counted.members,
            digest=writer.counted.digest(),
        )
        writer.finish(manifest.sign(said, source.identity.key))
        return said


async def _rows(seen: Moment, writer: Writer) -> None:
    """What lies on the nodes of a cluster."""
    for table in [part for whole in seen.spread for part in await seen.parts(whole)]:
        await rows(seen.connection, table, PART, _numbered(writer, f"{ROWS}{table}"))


def _numbered(writer: Writer, name: str) -> Callable[[bytes], None]:
    numbers = itertools.count(1)
    return lambda content: writer.add(f"{name}.{next(numbers):06d}", content)


async def _attachments(connection: Connection, store: Store, writer: Writer) -> int:
    """The files that messages name; what was uploaded and named by none can be uploaded again."""
    found = 0
    async for row in connection.cursor(SQL["attachments_kept"]):
        parts: AsyncIterator[bytes] = store.read(row["place"], 0, row["size"])
        await writer.add_streamed(f"{ATTACHMENTS}{row['place']}", row["size"], parts)
        found += 1
    return found


def _key_files(folder: Path) -> list[tuple[str, bytes]]:
    """The hub's key store as it lies there; the listing first, by which the rest is verified."""
    names = sorted((file.name for file in folder.glob("*.jwe")), key=str)
    return [(name, (folder / name).read_bytes()) for name in ("jwks.json", *names)]


class _Counting:
    """A stream that tells how much has gone in."""

    def __init__(self, stream: BinaryIO, progress: Progress) -> None:
        self._stream, self._progress, self._bytes = stream, progress, 0

    def write(self, content: bytes, /) -> None:
        """Write all of it."""
        self._stream.write(content)
        self._bytes += len(content)
        self._progress(self._bytes)
