"""Files sent beside messages: sealed here in chunks, moved in parts, checked before anybody opens them."""

import asyncio
import contextlib
import hashlib
import mimetypes
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, ClassVar, Final

import msgspec

from adapters.client import answers
from adapters.client.connection import Call, Connection
from adapters.client.faults import AnswerInvalid, Refused
from keys import base64url, chunks
from keys.errors import BadSeal, Fault
from protocols.attachments import MEDIA, Manifest

PART: Final = 8 << 20
"""Bytes of one request, up or down."""
MAX_NAME: Final = 200

Progress = Callable[[int, int], None]
"""Is told how many bytes of how many are through."""


class AttachmentUnreadable(Fault):
    """A file that was to be attached can't be read, or changed while it was being sealed."""

    code: ClassVar[str] = "attachment-unreadable"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A file sealed and ready to be uploaded: what its recipients will need, and where the sealed bytes lie."""

    manifest: Manifest
    blob: Path
    note: Path | None = None
    """Where the manifest lies for going on after a crash, unless its owner keeps it elsewhere."""

    def forget(self) -> None:
        """Remove what was kept for going on after a crash: once the message is sent nothing of it is needed."""
        self.blob.unlink(missing_ok=True)
        if self.note is not None:
            self.note.unlink(missing_ok=True)


def seal(source: Path, folder: Path, media_type: str | None = None) -> Sealed:
    """Seal a file into a private `folder`, chunk by chunk; one sealed there before is taken up again.

    `folder` holds content keys until `forget`: it is made readable by its owner alone. Raises AttachmentUnreadable.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            if not size:
                raise AttachmentUnreadable(f"{source} is empty: there is nothing to attach")
            note, blob = folder / f"{digest}.json", folder / f"{digest}.sealed"
            known = _known(note, blob, source.name)
            if known is not None:
                return Sealed(known, blob, note)
            file.seek(0)
            key, sealed_digest = _seal_into(file, blob, size, digest)
    except OSError as error:
        raise AttachmentUnreadable(f"{source}: {error.strerror or error}") from error
    manifest = Manifest(
        name=source.name[-MAX_NAME:],
        media_type=media_type or mimetypes.guess_type(source.name)[0] or MEDIA,
        size=size,
        digest=f"sha-256:{digest}",
        attachment=f"sha-256:{sealed_digest}",
        chunks=chunks.count(size),
        key=base64url.encode(key),
    )
    with _private(note) as kept:
        kept.write(msgspec.json.encode(manifest))
    return Sealed(manifest, blob, note)


def unseal(blob: Path, manifest: Manifest, into: Path) -> Path:
    """The file that a manifest describes, opened from its sealed bytes, in the folder `into` under a name of its own.

    Nothing appears there before every chunk and both digests fit. Raises BadSeal.
    """
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=into, delete=False) as opened:
        try:
            for part in parts(blob, manifest):
                opened.write(part)
            opened.flush()
            os.fsync(opened.fileno())
            return _named(Path(opened.name), into, manifest.name)
        except BaseException:
            Path(opened.name).unlink(missing_ok=True)
            raise


def parts(blob: Path, manifest: Manifest) -> Iterator[bytes]:
    """The file that a manifest describes, opened part by part from its sealed bytes.

    Only after the last part it is known that the whole is what the manifest says: who can't take a part back goes
    through it twice. Raises BadSeal.
    """
    key = manifest.secret()
    outer, inner, size = hashlib.sha256(), hashlib.sha256(), 0
    with blob.open("rb") as sealed:
        for number in range(1, manifest.chunks + 1):
            line = sealed.readline(chunks.MAX_SEALED + 1)
            outer.update(line)
            if not line.endswith(b"\n"):
                raise BadSeal("the attachment ends early, or a chunk is too long", check="form")
            part = chunks.unseal(line[:-1], key, number, manifest.chunks)
            inner.update(part)
            size += len(part)
            yield part
        if sealed.read(1):
            raise BadSeal("something follows the last chunk", check="form")
    found = (f"sha-256:{outer.hexdigest()}", f"sha-256:{inner.hexdigest()}", size)
    if found != (manifest.attachment, manifest.digest, manifest.size):
        raise BadSeal("the attachment is not the one that the message was sealed with", check="digest")


@dataclass(frozen=True, slots=True)
class Attachments:
    """The attachments of one hub."""

    connection: Connection

    async def upload(self, sealed: Sealed, progress: Progress = lambda done, size: None) -> None:
        """Upload what is sealed, from where the hub says it stands. Raises Refused, Undecided, AnswerInvalid."""
        path, size = _path(sealed.manifest.attachment), sealed.blob.stat().st_size
        said = await self._put(path, b"", f"bytes */{size}")
        here = said.received
        with sealed.blob.open("rb") as file:
            while here < size:
                progress(here, size)
                file.seek(here)
                part = await asyncio.to_thread(file.read, min(PART, size - here))
                span = f"bytes {here}-{here + len(part) - 1}/{size}"
                try:
                    said = await self._put(path, part, span)
                except Refused as refusal:
                    # A part whose answer was lost is there already.
                    if refusal.reason != "range-not-next":
                        raise
                    said = await self._put(path, b"", f"bytes */{size}")
                if said.received <= here and not said.complete:
                    raise AnswerInvalid(f"the hub has {said.received} bytes after it took {here + len(part)}")
                here = said.received
                if said.complete:
                    break
        if not said.complete:
            raise AnswerInvalid(f"the hub has {here} bytes of {size}, and does not say that they are what was sealed")
        progress(size, size)

    async def fetch(self, manifest: Manifest, into: Path, progress: Progress = lambda done, size: None) -> Path:
        """Fetch, verify and open an attachment into the folder `into`; what was fetched before is not fetched again.

        Raises BadSeal where it is not what the manifest says, Refused, Undecided.
        """
        blob = await self.download(manifest, into, progress)
        try:
            return await asyncio.to_thread(unseal, blob, manifest, into)
        finally:
            blob.unlink(missing_ok=True)

    async def download(self, manifest: Manifest, into: Path, progress: Progress = lambda done, size: None) -> Path:
        """Fetch the sealed bytes alone, going on where an earlier try stood; `parts` opens them."""
        manifest.secret()
        into.mkdir(parents=True, exist_ok=True)
        blob = into / f".{manifest.attachment.removeprefix('sha-256:')}.part"
        expected = manifest.size + manifest.size // 3
        with blob.open("ab") as file:
            while True:
                here = file.tell()
                progress(min(here, expected), expected)
                part = await self._get(_path(manifest.attachment), here)
                await asyncio.to_thread(file.write, part)
                if here + len(part) > manifest.chunks * (chunks.MAX_SEALED + 1):
                    raise BadSeal("the attachment is longer than its manifest says", check="form")
                if len(part) < PART:
                    break
        progress(expected, expected)
        return blob

    async def _put(self, path: str, part: bytes, span: str) -> answers.Received:
        call = Call("PUT", path, body=part, media=MEDIA, headers={"Content-Range": span})
        return answers.read(await self.connection.call(call), answers.Received)

    async def _get(self, path: str, first: int) -> bytes:
        headers = {"Range": f"bytes={first}-{first + PART - 1}"}
        call = Call("GET", path, expects=(MEDIA,), at_most=PART, headers=headers)
        try:
            return await self.connection.call(call)
        except Refused as refusal:
            if refusal.reason != "range-not-satisfiable":
                raise
            return b""


def _path(attachment: str) -> str:
    return f"/v1/attachments/{attachment.removeprefix('sha-256:')}"


def _known(note: Path, blob: Path, name: str) -> Manifest | None:
    """What was sealed before and not sent yet, under the name that the file has now."""
    try:
        manifest = msgspec.json.decode(note.read_bytes(), type=Manifest)
        with blob.open("rb") as file:
            whole = f"sha-256:{hashlib.file_digest(file, 'sha256').hexdigest()}" == manifest.attachment
    except (OSError, msgspec.MsgspecError):
        return None
    return msgspec.structs.replace(manifest, name=name[-MAX_NAME:]) if whole else None


def _seal_into(file: BinaryIO, blob: Path, size: int, digest: str) -> tuple[bytes, str]:
    key, of = chunks.new_key(), chunks.count(size)
    outer, inner = hashlib.sha256(), hashlib.sha256()
    with _private(blob) as sealed:
        for number in range(1, of + 1):
            part = file.read(chunks.CHUNK)
            inner.update(part)
            line = chunks.seal(part, key, number, of) + b"\n"
            outer.update(line)
            sealed.write(line)
    if inner.hexdigest() != digest or file.read(1):
        blob.unlink()
        raise AttachmentUnreadable("the file changed while it was being sealed")
    return key, outer.hexdigest()


@contextlib.contextmanager
def _private(path: Path) -> Iterator[BinaryIO]:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def plain_name(name: str) -> str:
    """A sender's name for a file as far as it is one: no path, nothing that can't be seen or turns the others round."""
    plain = "".join(char if char.isprintable() and char not in '/\\:*?"<>|' else "_" for char in name).strip(". ")
    return plain[-MAX_NAME:] or "attachment"


def _named(opened: Path, into: Path, name: str) -> Path:
    """The opened file under the sender's name for it, as far as that is one; nothing that is there is replaced."""
    base = Path(plain_name(name))
    for number in range(1, 10_000):
        target = into / (base.name if number == 1 else f"{base.stem} ({number}){base.suffix}")
        try:
            os.link(opened, target)
        except FileExistsError:
            continue
        except OSError:
            if target.exists():
                continue
            opened.rename(target)  # a file system without links
            return target
        opened.unlink()
        return target
    raise BadSeal(f"there are too many files named {base} in {into}", check="form")
