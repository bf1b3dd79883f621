"""How long backups are kept: so many of them, and so many days, after which what was erased is in none of them."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hub.backup.making import SUFFIX


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
