"""What is on disk to stay: a new name in a folder is, once the folder itself is."""

import os
from pathlib import Path


def flush(folder: Path) -> None:
    """Have the names in a folder on disk, even if the power fails (fsync(2)). Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
