"""Files that go with messages: sealed while they come in, opened while they go out; nothing readable touches the disk.

Sealing needs to know first how many chunks there will be (`keys.chunks`). So what comes in is kept once under a key
that only this process has, in a file that has no name, and sealed from there.
"""

import asyncio
import contextlib
import hashlib
import mimetypes
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Collection
from pathlib import Path
from typing import IO, ClassVar, Final
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.client import Client
from adapters.client.attachments import Sealed, parts, plain_name
from keys import base64url, chunks
from keys.errors import BadSeal, Fault
from protocols.attachments import MEDIA, Manifest

HEAD: Final = 1024
"""Bytes at its beginning by which a file is known; a PDF says so within them (ISO 32000-2, annex I)."""
_ZIP, _OLE, _JPEG = b"PK", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"\xff\xd8\xff"
_BEGINNINGS: Final = {
    ".docx": _ZIP, ".xlsx": _ZIP, ".ofd": _ZIP, ".zip": _ZIP, ".doc": _OLE, ".xls": _OLE, ".jpg": _JPEG, ".jpeg": _JPEG,
    ".png": b"\x89PNG\r\n\x1a\n",
}  # fmt: skip
_TAG: Final = 16
_KEPT: Final = ".kept"
SPARE: Final = 1 << 30
"""Bytes of the disk that files which come in by themselves leave free."""
MOST: Final = 1 << 30
"""Bytes of one file."""


class EnclosureInvalid(Fault):
    """The file can't be attached: nothing is in it, or too much."""

    code: ClassVar[str] = "desk-enclosure-invalid"


class Enclosures:
    """Sealed files in a folder: those of drafts, and those of messages that were sent or came in (`.kept`).

    What opens them is in the desk's store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._fetching = WeakValueDictionary[str, asyncio.Lock]()

    async def take(self, name: str, content: AsyncIterator[bytes]) -> Manifest:
        """Seal a file as it comes in. Raises EnclosureInvalid."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.folder) as spool:
            own = AESGCM(AESGCM.generate_key(256))
            size, digest, number, waiting = 0, hashlib.sha256(), 0, b""
            async for piece in content:
                size += len(piece)
                if size > MOST:
                    raise EnclosureInvalid(f"a file has at most {MOST >> 20} MiB", zh=f"一份附件至多 {MOST >> 20} MiB")
                digest.update(piece)
                waiting += piece
                while len(waiting) >= chunks.CHUNK:
                    number, whole, waiting = number + 1, waiting[: chunks.CHUNK], waiting[chunks.CHUNK :]
                    await asyncio.to_thread(_spool, spool, whole, own, number)
            if waiting:
                await asyncio.to_thread(_spool, spool, waiting, own, number + 1)
            if not size:
                raise EnclosureInvalid("the file is empty", zh="文件是空的")
            return await asyncio.to_thread(self._seal, spool, own, _plain(name), size, digest.hexdigest())

    def sealed(self, manifest: Manifest) -> Sealed:
        """A file as it is uploaded."""
        return Sealed(manifest, self._blob(manifest))

    def drop(self, manifest: Manifest) -> None:
        """Forget a file of a draft that is not wanted any more."""
        self._blob(manifest).unlink(missing_ok=True)

    def sweep(self, wanted: Collection[str]) -> None:
        """Remove every file of a draft but these, and what a crash left; what is kept or half fetched stays."""
        for file in self.folder.glob("*") if self.folder.exists() else ():
            if file.name not in wanted and file.suffix not in (_KEPT, ".part"):
                shutil.rmtree(file, ignore_errors=True) if file.is_dir() else file.unlink(missing_ok=True)

    def keep(self, manifest: Manifest) -> None:
        """A file of a draft that was sent: it stays here, to be read while the hub is away."""
        with contextlib.suppress(FileNotFoundError):
            os.replace(self._blob(manifest), self._kept(manifest))

    async def fetch(self, client: Client, manifest: Manifest) -> bool:
        """Have a file here that came in; False where it would fill the disk.

        Raises BadSeal, Refused, Undecided, OSError.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self._kept(manifest).exists():
            return True
        if shutil.disk_usage(self.folder).free <= 2 * manifest.size + SPARE:
            return False
        async with self._alone(manifest):
            await self._fetched(client, manifest)
        return True

    async def open(self, connect: Callable[[], Client], manifest: Manifest) -> AsyncIterator[bytes]:
        """A file of a message, part by part, once all of it is here and checked; the hub is asked only where it is not.

        Raises BadSeal, Refused, Undecided.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with self._alone(manifest):
            blob = await self._here(manifest)
            if blob is None:
                async with connect() as client:
                    blob = await self._fetched(client, manifest)
        return _given(blob, manifest)

    async def _here(self, manifest: Manifest) -> Path | None:
        """What is kept of the file, unless that is spoilt."""
        kept = self._kept(manifest)
        try:
            await asyncio.to_thread(_check, kept, manifest)
        except (FileNotFoundError, BadSeal):
            kept.unlink(missing_ok=True)
            return None
        return kept

    async def _fetched(self, client: Client, manifest: Manifest) -> Path:
        """The file from the hub, going on where an earlier try stood."""
        part = await client.download_attachment(manifest, self.folder)
        try:
            await asyncio.to_thread(_check, part, manifest)
        except BadSeal:
            part.unlink()
            raise
        os.replace(part, self._kept(manifest))
        return self._kept(manifest)

    def _alone(self, manifest: Manifest) -> asyncio.Lock:
        """Two that fetch the same file do not write into one."""
        return self._fetching.setdefault(manifest.attachment, asyncio.Lock())

    def _kept(self, manifest: Manifest) -> Path:
        return self._blob(manifest).with_suffix(_KEPT)

    def _blob(self, manifest: Manifest) -> Path:
        return self.folder / f"{manifest.attachment.removeprefix('sha-256:')}.sealed"

    def _seal(self, spool: IO[bytes], own: AESGCM, name: str, size: int, digest: str) -> Manifest:
        key, of, outer = chunks.new_key(), chunks.count(size), hashlib.sha256()
        spool.seek(0)
        with tempfile.NamedTemporaryFile(dir=self.folder, delete=False) as blob:
            try:
                for number in range(1, of + 1):
                    line = chunks.seal(_unspool(spool, own, number), key, number, of) + b"\n"
                    outer.update(line)
                    blob.write(line)
                blob.flush()
                os.fsync(blob.fileno())
                manifest = Manifest(
                    name=name, media_type=mimetypes.guess_type(name)[0] or MEDIA, size=size,
                    digest=f"sha-256:{digest}", attachment=f"sha-256:{outer.hexdigest()}", chunks=of,
                    key=base64url.encode(key),
                )  # fmt: skip
                os.replace(blob.name, self._blob(manifest))
            except BaseException:
                Path(blob.name).unlink(missing_ok=True)
                raise
        return manifest


def unlike(name: str, head: bytes) -> bool:
    """Whether a file can't be opened as what its name says: by its first `HEAD` bytes, for the kinds that are usual."""
    kind = Path(name).suffix.lower()
    return b"%PDF-" not in head if kind == ".pdf" else not head.startswith(_BEGINNINGS.get(kind, b""))


def _spool(spool: IO[bytes], part: bytes, own: AESGCM, number: int) -> None:
    # The key is used for this one file, so its parts' numbers are nonces that never come twice.
    spool.write(own.encrypt(number.to_bytes(12), part, None))


def _unspool(spool: IO[bytes], own: AESGCM, number: int) -> bytes:
    return own.decrypt(number.to_bytes(12), spool.read(chunks.CHUNK + _TAG), None)


def _check(blob: Path, manifest: Manifest) -> None:
    for _ in parts(blob, manifest):
        pass


async def _given(blob: Path, manifest: Manifest) -> AsyncIterator[bytes]:
    for part in parts(blob, manifest):
        yield part
        await asyncio.sleep(0)


def _plain(name: str) -> str:
    """The last part of what a browser calls the file."""
    return plain_name(name.replace("\\", "/").rpartition("/")[2])
