"""How long backups are kept: so many of them, and so many days, after which what was erased is in none of them."""

import contextlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from hub.backup.making import SUFFIX
from keys import private_files

NOTE = "last-backup.json"


class Last(msgspec.Struct, frozen=True):
    """A data directory's last backup: when it was made, the folder that it went to, the keys that open it."""

    made: datetime
    folder: str
    recipients: list[str]


def note(data: Path, folder: Path, recipients: Sequence[str]) -> None:
    """Note in the data directory that a backup was made now, for `xieban doctor`. Raises KeyStoreFault."""
    last = Last(datetime.now(UTC), str(folder.absolute()), [one.strip() for one in recipients])
    private_files.write(data / NOTE, msgspec.json.encode(last))


def last(data: Path) -> Last | None:
    """The last backup that was made of a data directory, as far as it is known."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode((data / NOTE).read_bytes(), type=Last)
    return None


def kept(folder: Path, hub: str) -> list[tuple[datetime, Path]]:
    """The backups of a hub in a folder by their names, the newest first."""
    name = re.compile(rf"{re.escape(hub)}-(\d{{8}}T\d{{12}})Z{re.escape(SUFFIX)}")
    found = [(match[1], file) for file in folder.iterdir() if (match := name.fullmatch(file.name))]
    return sorted(((datetime.strptime(made, "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC), file) for made, file in found),
                  reverse=True)  # fmt: skip


def expire(folder: Path, hub: str, keep: int | None, days: int | None, now: datetime) -> list[Path]:
    """Take away all but the newest `keep`, and those older than `days`; never the newest. The files taken away."""
    gone = []
    for number, (made, file) in enumerate(kept(folder, hub)):
        too_many = keep is not None and number >= keep
        too_old = days is not None and now - made > timedelta(days=days)
        if number > 0 and (too_many or too_old):
            file.unlink()
            gone.append(file)
    return gone
