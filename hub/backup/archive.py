"""The inside of a backup: a tar stream, written and read front to back, a part at a time.

Members are `keys/…` (the hub's key store, its private keys encrypted once more), `database/000001`… (one
`pg_dump -Fc`, cut into parts), of a database that is spread over a cluster `rows/TABLE.000001`… (each a whole text of
COPY), `attachments/…`, and last `manifest.jws`.
"""

import hashlib
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from pyrage.x25519 import Identity

from hub.backup import BackupInvalid, manifest, sealing
from hub.backup.manifest import Counted, Manifest
from keys.errors import Fault
from keys.jwk import VerifyingKey, parse_jwks
from keys.strict_json import loads

KEYS: Final = "keys/"
DATABASE: Final = "database/"
ROWS: Final = "rows/"
ATTACHMENTS: Final = "attachments/"
PART: Final = 1 << 22
"""Bytes of one part of the dump, and the most that is in memory at once."""
MOST_KEYS: Final = 1 << 16


class Stream(Protocol):
    """What a backup is written to."""

    def write(self, content: bytes, /) -> object:
        """Write all of it."""
        ...


class Writer:
    """Writes members to a stream and counts them."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self.counted = stream, Counted()

    def add(self, name: str, content: bytes) -> None:
        """A member that is at hand."""
        self._begin(name, len(content))
        self._stream.write(content)
        self._end(name, len(content), hashlib.sha256(content).digest())

    async def add_streamed(self, name: str, size: int, parts: AsyncIterator[bytes]) -> None:
        """A member of so many bytes, which come in parts. Raises ValueError where they are more or fewer."""
        self._begin(name, size)
        digest, written = hashlib.sha256(), 0
        async for part in parts:
            digest.update(part)
            written += len(part)
            self._stream.write(part)
        if written != size:
            raise ValueError(f"{name} has {written} bytes instead of {size}")
        self._end(name, size, digest.digest())

    def finish(self, token: bytes) -> None:
        """The manifest, and the end of the stream."""
        self._begin(manifest.NAME, len(token))
        self._stream.write(token + b"\0" * (-len(token) % tarfile.BLOCKSIZE))
        self._stream.write(b"\0" * 2 * tarfile.BLOCKSIZE)

    def _begin(self, name: str, size: int) -> None:
        header = tarfile.TarInfo(name)
        header.size, header.mode = size, 0o600
        self._stream.write(header.tobuf(tarfile.PAX_FORMAT))

    def _end(self, name: str, size: int, digest: bytes) -> None:
        self._stream.write(b"\0" * (-size % tarfile.BLOCKSIZE))
        self.counted.add(name, size, digest)


@dataclass(slots=True)
class Member:
    """A member while it is read: `parts` once, in order."""

    name: str
    size: int
    parts: Iterator[bytes]


class Reader:
    """Reads a backup's members one after the other; at the end `manifest` holds what the hub signed of them."""

    def __init__(self, stream: BinaryIO, keys: Sequence[VerifyingKey]) -> None:
        """`keys` are the hub's as known beforehand; without them those in the backup itself are believed."""
        self._stream, self._keys, self._counted = stream, list(keys), Counted()
        self._believed = not keys
        self.manifest: Manifest | None = None

    def __iter__(self) -> Iterator[Member]:
        try:
            with tarfile.open(fileobj=self._stream, mode="r|") as tar:
                for header in tar:
                    if self.manifest is not None or not header.isfile():
                        raise BackupInvalid(f"it holds {header.name[:80]!r}, which has no place in a backup")
                    if header.name == manifest.NAME:
                        self._finish(tar, header)
                    else:
                        yield from self._member(tar, header)
            while self._stream.read(PART):
                continue
        except (tarfile.TarError, EOFError) as error:
            raise BackupInvalid(f"it is cut short, or no backup: {error}") from None
        if self.manifest is None:
            raise BackupInvalid("it is cut short: its manifest is missing")

    def _member(self, tar: tarfile.TarFile, header: tarfile.TarInfo) -> Iterator[Member]:
        if not _has_place(header.name):
            raise BackupInvalid(f"it holds {header.name[:80]!r}, which has no place in a backup")
        content = tar.extractfile(header)
        assert content is not None
        digest, kept = hashlib.sha256(), bytearray()
        listing = header.name == f"{KEYS}jwks.json" and self._believed

        def parts() -> Iterator[bytes]:
            while part := content.read(PART):
                digest.update(part)
                if listing and len(kept) < MOST_KEYS:
                    kept.extend(part)
                yield part

        given = parts()
        yield Member(header.name, header.size, given)
        for _ in given:
            continue  # what the caller had no use for is counted all the same
        self._counted.add(header.name, header.size, digest.digest())
        if header.name.startswith(ATTACHMENTS) and not header.name[len(ATTACHMENTS) :].startswith(digest.hexdigest()):
            raise BackupInvalid(f"{header.name} is not what its name says")
        if listing:
            self._keys = _listed(bytes(kept))

    def _finish(self, tar: tarfile.TarFile, header: tarfile.TarInfo) -> None:
        content = tar.extractfile(header)
        assert content is not None
        self.manifest = manifest.verify(content.read(MOST_KEYS), self._counted, self._keys)


@contextmanager
def reading(file: Path, identities: Sequence[Identity], keys: Sequence[VerifyingKey]) -> Iterator[Reader]:
    """The backup in a file. Raises BackupInvalid."""
    try:
        with open(file, "rb") as sealed, sealing.opened(sealed, identities) as stream:
            yield Reader(stream, keys)
    except OSError as error:
        raise BackupInvalid(f"{file} can't be read: {error.strerror or error}", check="file-unreadable") from None


def verify(
    file: Path,
    identities: Sequence[Identity],
    keys: Sequence[VerifyingKey],
    looked: Callable[[Member], None] = lambda _: None,
) -> Manifest:
    """Read the whole backup and hold it against its manifest; each member is `looked` at. Raises BackupInvalid."""
    with reading(file, identities, keys) as reader:
        for member in reader:
            looked(member)
    assert reader.manifest is not None
    return reader.manifest


def _has_place(name: str) -> bool:
    folder, _, rest = name.partition("/")
    plain = bool(rest) and "/" not in rest and not rest.startswith(".")
    return plain and f"{folder}/" in (KEYS, DATABASE, ROWS, ATTACHMENTS)


def _listed(content: bytes) -> list[VerifyingKey]:
    try:
        return [key for key in parse_jwks(loads(content)) if isinstance(key, VerifyingKey)]
    except Fault as fault:
        raise BackupInvalid(f"its key listing: {fault.detail}") from None
