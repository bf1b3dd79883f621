"""The directory as a signed snapshot, pinned: kept on disk, refreshed by TUF, never older than what was seen before.

Who pins a hub's root once, by another way than the hub itself, is safe from a directory that was rolled back, frozen,
mixed or signed by somebody else (TUF 1.0 §1.5.2); where the hub answers otherwise for one partner than for others, both
hold its signature on it.
"""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from keys.errors import Fault
from protocols.departments import parse_organisation_id

# TUF is loaded where a directory is pinned: it takes as long as all else of the client.
if TYPE_CHECKING:
    from tuf.ngclient import Updater

PROVINCE = 2
SOURCE = "hub.url"


class SnapshotInvalid(Fault):
    """The hub's signed directory does not hold: expired, older than what was seen, or not signed by whom it must be."""

    code: ClassVar[str] = "snapshot-invalid"


class SnapshotUnreachable(Fault):
    """The hub's signed directory could not be fetched; what is on disk may still be read."""

    code: ClassVar[str] = "snapshot-unreachable"


class PinInvalid(Fault):
    """The directory holds no pinned snapshot, or one of another hub."""

    code: ClassVar[str] = "pin-invalid"


class SnapshotKey(msgspec.Struct, frozen=True):
    """A public key (RFC 7517) that an organisation has or had; moments are RFC 3339."""

    jwk: dict[str, Any]
    added: str
    removed: str | None = None
    compromised: str | None = None


class SnapshotOrganisation(msgspec.Struct, frozen=True):
    """An organisation as the snapshot has it."""

    id: str
    name: dict[str, str]
    superior: str | None
    successor: str | None
    roles: list[str]
    algorithms: list[str]
    keys: list[SnapshotKey]


class _File(msgspec.Struct, frozen=True):
    hub: str
    organisations: list[SnapshotOrganisation]


class Pinned:
    """A pinned snapshot in a directory of this machine. Blocking calls run in a thread of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._metadata, self._files = folder / "metadata", folder / "files"
        self._lock = asyncio.Lock()

    @property
    def url(self) -> str:
        """The hub's address that it was pinned for. Raises PinInvalid."""
        try:
            return (self._folder / SOURCE).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise PinInvalid(f"{self._folder} holds no pinned directory; see xieban directory pin") from None

    async def pin(self, url: str, root: bytes) -> datetime:
        """Begin with the hub at `url` and a `root` that came by a way one trusts; until when what it fetches holds.

        Raises PinInvalid where another hub is pinned here; SnapshotInvalid, SnapshotUnreachable.
        """
        url = url.rstrip("/")
        if (self._folder / SOURCE).exists() and self.url != url:
            raise PinInvalid(f"{self._folder} is pinned to {self.url}", check="elsewhere")
        async with self._lock:
            until = await asyncio.to_thread(self._begin, url, root)
        return until

    async def refresh(self) -> datetime:
        """Fetch what is newer; until when it then holds. Raises SnapshotInvalid, SnapshotUnreachable, PinInvalid."""
        async with self._lock:
            return await asyncio.to_thread(lambda: self._until(self._refreshed(self.url, None)))

    async def organisation(self, id: str) -> SnapshotOrganisation | None:
        """The organisation as of now, None where there is none.

        Raises SnapshotInvalid, SnapshotUnreachable, PinInvalid.
        """
        parse_organisation_id(id)
        async with self._lock:
            found = await asyncio.to_thread(self._province, id[:PROVINCE])
        return found.get(id)

    def _begin(self, url: str, root: bytes) -> datetime:
        with _named(self._folder):
            for folder in (self._metadata, self._files):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        until = self._until(self._refreshed(url, root))
        with _named(self._folder):
            (self._folder / SOURCE).write_text(url + "\n", "utf-8")
        return until

    def _refreshed(self, url: str, root: bytes | None) -> "Updater":
        from tuf.ngclient import Updater

        base = f"{url}/snapshot/"
        with _named(self._folder):
            updater = Updater(str(self._metadata), base, str(self._files), base, bootstrap=root)
            updater.refresh()
            return updater

    def _until(self, _: "Updater") -> datetime:
        from tuf.api.metadata import Metadata, Timestamp

        return Metadata[Timestamp].from_file(str(self._metadata / "timestamp.json")).signed.expires

    def _province(self, code: str) -> Mapping[str, SnapshotOrganisation]:
        path = f"directory/{code}.json"
        updater = self._refreshed(self.url, None)
        with _named(self._folder):
            target = updater.get_targetinfo(path)
            if target is None:
                return {}
            held = updater.find_cached_target(target) or updater.download_target(target)
            body = Path(held).read_bytes()
        try:
            found = msgspec.json.decode(body, type=_File)
        except msgspec.MsgspecError as error:
            raise SnapshotInvalid(f"{path} is not what it should be: {error}") from None
        return {one.id: one for one in found.organisations}


@contextlib.contextmanager
def _named(folder: Path) -> Iterator[None]:
    """What goes wrong with a snapshot, in our own words."""
    from tuf.api.exceptions import DownloadError, RepositoryError

    try:
        yield
    except RepositoryError as error:
        raise SnapshotInvalid(f"{type(error).__name__.removesuffix('Error')}: {error}") from None
    except DownloadError as error:
        raise SnapshotUnreachable(f"{type(error).__name__.removesuffix('Error')}: {error}") from None
    except OSError as error:
        raise PinInvalid(f"{folder}: {error}", check="system") from None
