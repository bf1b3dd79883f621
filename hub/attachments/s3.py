"""Attachments in an S3-compatible store, by the extra `[s3]`; endpoint and credentials from AWS_* variables."""

import importlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from hub.config import ConfigInvalid

STEP = 1 << 20


class Bucket:
    """A folder of a bucket, by its address `s3://bucket/folder`. Raises ConfigInvalid."""

    def __init__(self, address: str) -> None:
        if not address.startswith("s3://"):
            raise ConfigInvalid(f"[attachments] store is s3://bucket/folder, not {address[:80]!r}")
        try:
            self._library: Any = importlib.import_module("obstore")
            stores: Any = importlib.import_module("obstore.store")
        except ImportError:
            raise ConfigInvalid(
                "[attachments] store needs the extra s3: pip install 'xieban[s3]'", check="extra"
            ) from None
        try:
            self._store = stores.from_url(address)
        except Exception as error:
            raise ConfigInvalid(f"[attachments] store {address[:80]}: {error}") from error

    async def put(self, place: str, file: Path) -> None:
        """Upload it, in parts where it is large."""
        try:
            await self._library.put_async(self._store, place, file)
        except self._library.exceptions.BaseError as error:
            raise OSError(f"the store did not take it: {type(error).__name__}") from error

    async def read(self, place: str, first: int, end: int) -> AsyncIterator[bytes]:
        """Its bytes, as they come."""
        result = await self._library.get_async(self._store, place, options={"range": (first, end)})
        async for part in result.stream(min_chunk_size=STEP):
            yield bytes(part)

    async def size(self, place: str) -> int | None:
        """Its length."""
        try:
            return int((await self._library.head_async(self._store, place))["size"])
        except FileNotFoundError:
            return None

    async def delete(self, place: str) -> None:
        """Delete it; a store does not mind where nothing is there."""
        await self._library.delete_async(self._store, place)
