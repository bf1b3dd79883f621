"""The place that a backup is restored into: empty, held, and marked from the first moment until all of it stands."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from hub.backup import RestoreRefused
from hub.identity import PASSPHRASE, PASSPHRASE_FILE
from hub.processes import UNFINISHED
from hub.store import embedded
from keys import durable
from keys.errors import Fault

_LOCK: Final = "lock"
_WRITTEN: Final = ("keys", "keys.lock", "postgres", "postgres.log", "attachments")
"""What a restore writes, besides its mark and the lock that it holds."""


@dataclass(frozen=True, slots=True)
class Place:
    """A data directory while it is restored into; `again` where an earlier restore left its mark there."""

    data: Path
    again: bool

    def empty(self) -> None:
        """Take away what an earlier restore left; its database may still run."""
        if not self.again:
            return
        embedded.stop_orphan(self.data)
        for name in _WRITTEN:
            file = self.data / name
            shutil.rmtree(file) if file.is_dir() else file.unlink(missing_ok=True)

    def finish(self) -> None:
        """It stands: what was written is on disk, and then the mark is gone."""
        kept = self.data / "attachments" / "kept"
        below = [self.data / "keys", kept.parent, kept, *kept.glob("*")]
        for folder in (*(one for one in below if one.is_dir()), self.data):
            durable.flush(folder)
        (self.data / UNFINISHED).unlink()
        durable.flush(self.data)


@contextmanager
def begun(data: Path) -> Iterator[Place]:
    """Mark the place, before anything else is written, and hold it; who is refused leaves it as it was.

    Raises DataDirectoryBusy while another restore is under way.
    """
    there, again = data.is_dir(), (data / UNFINISHED).exists()
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    (data / UNFINISHED).touch(mode=0o600)
    for folder in (data, data.absolute().parent):
        durable.flush(folder)
    with embedded.locked(data):
        try:
            yield Place(data, again)
        except Fault:
            if not again and not any((data / name).exists() for name in _WRITTEN):
                for name in (UNFINISHED, _LOCK):
                    (data / name).unlink()
                if not there:
                    data.rmdir()
            raise


def require_empty(data: Path) -> None:
    """Raise RestoreRefused unless nothing is there but, perhaps, the passphrase of the hub's keys.

    A place with the mark of an earlier restore may hold what that one wrote.
    """
    there = {file.name for file in data.iterdir()} - {PASSPHRASE_FILE} if data.is_dir() else set()
    if UNFINISHED in there:
        there -= {UNFINISHED, _LOCK, *_WRITTEN, *(name for name in there if name.startswith(embedded.MAKING))}
    if there:
        raise RestoreRefused(
            f"a backup is restored into an empty place only; {data} is not empty: it holds {sorted(there)[0]}"
        )
    require_passphrase(data)


def require_passphrase(data: Path) -> None:
    """Raise RestoreRefused where the passphrase of the hub's keys is not at hand."""
    if not os.environ.get(PASSPHRASE) and not (data / PASSPHRASE_FILE).is_file():
        raise RestoreRefused(
            f"the passphrase of the hub's keys is in no backup: put it into {data / PASSPHRASE_FILE} (0600)"
            " or the variable XIEBAN_HUB_PASSPHRASE first",
            check="no-passphrase",
        )
