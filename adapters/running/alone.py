"""One process on the store of an adapter: two would each offer and deliver what the other does."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from adapters.running.configuration import AdapterConfigInvalid
from keys.errors import Fault


class AdapterRunning(Fault):
    """An adapter runs on this store already."""

    code: ClassVar[str] = "adapter-running"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the store for this process, until it ends however it ends. Raises AdapterRunning, AdapterConfigInvalid."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AdapterConfigInvalid(f"the store {folder} can't be used: {error.strerror}", check="store") from None
    with open(descriptor, "r+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = f"process {file.read(20).strip()} runs an adapter on the store {folder}"
            raise AdapterRunning(f"{who}: stop that one, or give this one a store of its own") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
