"""The library between a hub's processes and the system: compiled here, told by a mapped file what to do."""

import mmap
import shutil
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("interposed.c")
WISHES = struct.Struct("qqq")


class Interposed:
    """`environment` loads the library into a program and all that it starts; the properties hold for all of them."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "wishes"
        self._file.write_bytes(WISHES.pack(0, 0, 0))
        library = folder / "interposed.so"
        build = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(SOURCE)]
        subprocess.run([*build, "-ldl"], check=True, timeout=60)
        with open(self._file, "r+b") as file:
            self._mapped = mmap.mmap(file.fileno(), WISHES.size)
        self.environment = {"LD_PRELOAD": str(library), "XIEBAN_WISHES": str(self._file)}

    def wish(self, *, clock_ahead: int = 0, fsync_delay: float = 0.0, fsync_failing: bool = False) -> None:
        """From now on, for everybody; without arguments all is as it should be. Seconds."""
        self._mapped[:] = WISHES.pack(clock_ahead, int(fsync_delay * 1e6), int(fsync_failing))


def missing() -> str | None:
    """Why there can be no library here."""
    return None if shutil.which("gcc") else "needs gcc"
