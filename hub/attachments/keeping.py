"""An attachment's life at the hub: taken when its digest fits, read by whom it was given, collected when unnamed."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from hub.attachments.incoming import Incoming, forget_old, under_way
from hub.attachments.store import Store
from hub.errors import Forbidden, NotFound, StorageFull, TooLarge
from hub.store import CONNECTION_LOST, Pool
from hub.store.queries import SQL

logger = structlog.get_logger()
EVERY = 3600.0
"""Seconds between two collections."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest attachment; how many bytes one organisation may have uploaded that are still here (0: any number),
    how many of them may be named by no message, and for how many days.
    """

    largest: int
    quota: int
    unnamed: int
    days: int


@dataclass(frozen=True, slots=True)
class Range:
    """The part of an upload that a request carries: from `first`, `length` bytes if that is known, of `total`."""

    first: int
    length: int | None
    total: int | None


@dataclass(frozen=True, slots=True)
class Kept:
    """An attachment at the hub."""

    digest: bytes
    size: int
    place: str


@dataclass(frozen=True, slots=True)
class Attachments:
    """All attachments of a hub."""

    pool: Pool
    store: Store
    incoming: Path
    limits: Limits

    async def received(self, organisation: str, digest: bytes) -> tuple[int, bool]:
        """How many bytes of the organisation's upload are here, and whether it has all of it."""
        kept = await self._uploaded(organisation, digest)
        return (kept.size, True) if kept else (Incoming(self.incoming, organisation, digest).received, False)

    async def take(
        self, organisation: str, digest: bytes, body: AsyncIterator[bytes], part: Range
    ) -> tuple[int, bool, bool]:
        """Take a part of an upload: the bytes that are here, whether that is all, and whether it was new.

        Whoever uploads sends every byte itself, even of what the hub has from somebody else: a digest gives nothing.
        Raises TooLarge, RangeNotNext, AttachmentMismatch, StorageFull, Overloaded, RequestMalformed.
        """
        kept = await self._uploaded(organisation, digest)
        if kept is not None:
            return kept.size, True, False
        room = await self._require_room(organisation, digest, part.total)
        upload = Incoming(self.incoming, organisation, digest)
        try:
            with upload.mine():
                limit = room if part.total is None else part.total
                here = await upload.append(body, part.first, part.length, limit)
                if part.total is not None and here < part.total:
                    return here, False, True
                await upload.verify()
                await self._keep(organisation, digest, upload.path, here)
                upload.path.unlink(missing_ok=True)
                return here, True, True
        except (ConnectionError, TimeoutError):
            raise  # whoever sends is gone, or the database is: neither is about room
        except OSError as error:
            logger.error("attachment-not-kept", error=type(error).__name__, number=error.errno)
            raise StorageFull() from error

    async def _keep(self, organisation: str, digest: bytes, file: Path, size: int) -> None:
        """First in the store, then in the database: what the database names is there."""
        place = f"{digest.hex()}.{uuid.uuid4().hex}"
        async with self.pool.acquire() as connection:
            known = await connection.fetchrow(SQL["attachment"], digest)
        if known is None:
            await self.store.put(place, file)
        async with self.pool.acquire() as connection, connection.transaction():
            kept = await connection.fetchval(SQL["keep_attachment"], digest, size, place)
            if kept == place and known is not None:
                # It was collected between the look and now.
                await self.store.put(place, file)
            await connection.execute(SQL["add_uploader"], digest, organisation)
        if kept != place:
            await self.store.delete(place)

    async def find(self, organisations: Sequence[str], digest: bytes) -> Kept:
        """The attachment, for one of whom `organisations` names. Raises NotFound, Forbidden."""
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(SQL["attachment"], digest)
            if row is None:
                raise NotFound()
            readers = await connection.fetch(SQL["attachment_readers"], [digest])
        if {reader["organisation"] for reader in readers}.isdisjoint(organisations):
            raise Forbidden("neither its uploader nor a party of a message that names it")
        return Kept(digest, row["size"], row["place"])

    async def collect(self) -> int:
        """Take away what no message has named for so many days; how many attachments."""
        async with self.pool.acquire() as connection, connection.transaction():
            # Under the log's lock no message can come to name one meanwhile.
            await connection.fetchrow(SQL["lock_head"], "0")
            rows = await connection.fetch(SQL["collect_attachments"], self.limits.days)
        for row in rows:
            await self.store.delete(row["place"])
        await asyncio.to_thread(forget_old, self.incoming, self.limits.days)
        return len(rows)

    async def collect_for_ever(self) -> None:
        """Collect now and then; while the database or the store is away, later."""
        while True:
            with suppress(*CONNECTION_LOST, OSError):
                if found := await self.collect():
                    logger.info("attachments-collected", attachments=found)
            await asyncio.sleep(EVERY)

    async def _uploaded(self, organisation: str, digest: bytes) -> Kept | None:
        async with self.pool.acquire() as connection:
            row = await connection.fetchrow(SQL["attachment"], digest)
            readers = await connection.fetch(SQL["attachment_readers"], [digest]) if row else []
        own = any(one["organisation"] == organisation and one["uploader"] for one in readers)
        return Kept(digest, row["size"], row["place"]) if row is not None and own else None

    async def _require_room(self, organisation: str, digest: bytes, total: int | None) -> int:
        """How many bytes of one attachment the organisation may upload now. Raises TooLarge for more than that."""
        if total is not None and total > self.limits.largest:
            raise TooLarge(f"an attachment has at most {self.limits.largest} bytes")
        async with self.pool.acquire() as connection:
            unnamed: int = await connection.fetchval(SQL["unnamed_bytes"], organisation)
            uploaded: int = await connection.fetchval(SQL["uploaded_bytes"], organisation) if self.limits.quota else 0
        begun = await asyncio.to_thread(under_way, self.incoming, organisation, digest)
        most = min(self.limits.unnamed, self.limits.quota or self.limits.unnamed)
        if begun + (total or 0) > most:
            raise TooLarge(f"{organisation} has {begun} bytes of unfinished uploads here; finish them, or wait")
        if unnamed + (total or 0) > self.limits.unnamed:
            raise TooLarge(f"no message names {unnamed} bytes that {organisation} uploaded; name them, or wait")
        if self.limits.quota and uploaded + (total or 0) > self.limits.quota:
            raise TooLarge(f"{organisation} has {uploaded} bytes here, of {self.limits.quota} that it may have")
        quota = self.limits.quota or self.limits.largest + uploaded
        return min(self.limits.largest, self.limits.unnamed - unnamed, quota - uploaded, most - begun)
