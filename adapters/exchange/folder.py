"""The place where files change hands, whatever it is: a folder here, or one on an SFTP server."""

from abc import ABC, abstractmethod
from typing import ClassVar, Final, NamedTuple

from keys.errors import Fault

IN, OUT, RECEIPTS, DONE, REJECTED, TEMPLATES = "in", "out", "receipts", "done", "rejected", "templates"
FOLDERS: Final = (IN, OUT, RECEIPTS, DONE, REJECTED, TEMPLATES)
ROOT: Final = ""
MOST: Final = 20_000
"""Files of a folder that are looked at; the others come when these are gone."""
TEMPORARY: Final = ".xieban.tmp"
"""How the names end of what is being written."""


class FileTrouble(Fault):
    """A file can't be read, moved or removed just now; others can. It is tried again."""

    code: ClassVar[str] = "file-trouble"


class FileGone(FileTrouble):
    """The file is not there (any more)."""

    code: ClassVar[str] = "file-gone"


class Entry(NamedTuple):
    """A regular file as a folder lists it: bytes, and seconds since 1970. What is no UTF-8 in its name is escaped."""

    name: str
    size: int
    changed: float


class Folder(ABC):
    """Six folders below a root. Every method raises PartnerUnreachable where the place as a whole can't be reached.

    `replaces` says whether a file can take the place of another one in one step; where it can't, `write` first removes
    the other, and who cares writes under a fresh name; `move` removes nothing.
    """

    replaces: bool = True

    @abstractmethod
    async def prepare(self) -> None:
        """Make the folders that are not there yet."""

    @abstractmethod
    async def list(self, folder: str) -> list[Entry]:
        """The regular files in a folder; links and what else there is are passed over."""

    @abstractmethod
    async def read(self, folder: str, name: str, at_most: int) -> bytes:
        """The first `at_most` + 1 bytes of a regular file. Raises FileTrouble."""

    @abstractmethod
    async def write(self, folder: str, name: str, content: bytes) -> None:
        """Have a file hold these bytes, whole and on disk, or not be changed at all."""

    @abstractmethod
    async def move(self, folder: str, name: str, into: str, new: str) -> None:
        """Move a file in one step, to where none is. Raises FileTrouble."""

    @abstractmethod
    async def remove(self, folder: str, name: str) -> None:
        """Take a file away, if it is there. Raises FileTrouble."""

    async def close(self) -> None:
        """Let go of it."""
        return None
