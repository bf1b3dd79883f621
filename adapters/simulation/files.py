"""The attachments of a play: real bytes, sealed and uploaded, fetched and opened, each here for a moment alone."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from adapters.client import Client, Item
from adapters.client.attachments import Sealed, seal
from protocols import attachments
from protocols.attachments import Manifest


class Files:
    """A folder for them, as a context manager: what an interrupted play left goes first, and all of it at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __enter__(self) -> "Files":
        shutil.rmtree(self._folder, ignore_errors=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    async def upload(self, client: Client, name: str, size: int) -> Manifest:
        """Upload so many bytes that nothing compresses, as in a scan. Raises what the client raises."""
        with self._place(name) as place:
            return await client.attach(await asyncio.to_thread(_scanned, place, size))

    async def fetch(self, client: Client, item: Item) -> list[int]:
        """Fetch the files of a message, each verified and opened: their bytes. Raises what the client raises."""
        if not attachments.named(item.event.data):
            return []
        found = attachments.manifests(client.unseal(item))
        with self._place(f"{client.organisation}-{item.event.id}") as place:
            for manifest in found:
                await client.fetch_attachment(manifest, place)
        return [manifest.size for manifest in found]

    @contextmanager
    def _place(self, name: str) -> Iterator[Path]:
        place = self._folder / name
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            yield place
        finally:
            shutil.rmtree(place, ignore_errors=True)


def _scanned(folder: Path, size: int) -> Sealed:
    file = folder / "材料.pdf"
    file.write_bytes(os.urandom(size))
    return seal(file, folder)
