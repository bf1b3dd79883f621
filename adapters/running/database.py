"""An adapter's SQLite file: made where there is none, for its owner alone, and on disk when a change returns."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from adapters.running.configuration import AdapterConfigInvalid


def opened(folder: Path, name: str, tables: Sequence[str]) -> sqlite3.Connection:
    """The file `name` in a folder, with its tables; statements outside a transaction are one each.

    Raises AdapterConfigInvalid where it can't be used.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = folder / name
        file.touch(mode=0o600)
        database = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=30)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", *tables):
            database.execute(statement)
    except (OSError, sqlite3.DatabaseError) as error:
        raise AdapterConfigInvalid(f"the store {folder} can't be used: {error}", check="store") from None
    return database
