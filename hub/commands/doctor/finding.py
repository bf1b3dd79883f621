"""What the doctor finds: what is wrong, in both languages, and the command that mends it."""

import contextlib
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hub.commands.explaining import line
from hub.identity import PASSPHRASE_FILE
from keys.errors import Fault

Level = Literal["warning", "error"]
"""A warning: it works, but not for long or not well. An error: it does not work, or data may be lost."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong. `code` is stable, for machines; `mend` is the command that mends it."""

    code: str
    level: Level
    zh: str
    en: str
    mend: str


class Report(msgspec.Struct):
    """Everything that was looked at, and what is wrong with it."""

    looked: list[str] = []
    findings: list[Finding] = []

    def error(self, code: str, zh: str, en: str, mend: str) -> None:
        """Something that keeps the hub from working, or may lose data."""
        self.findings.append(Finding(code, "error", zh, en, mend))

    def warning(self, code: str, zh: str, en: str, mend: str) -> None:
        """Something that will."""
        self.findings.append(Finding(code, "warning", zh, en, mend))

    @property
    def status(self) -> int:
        """0 nothing found, 1 warnings alone, 2 errors."""
        return max(({"warning": 1, "error": 2}[one.level] for one in self.findings), default=0)

    @contextlib.contextmanager
    def looking(self, what: str, mend: str) -> Iterator[None]:
        """A look at `what`; one that breaks off is a finding of its own, so that the others are still made."""
        self.looked.append(what)
        try:
            yield
        except Exception as error:
            code = error.code if isinstance(error, Fault) else f"{what}-unreadable"
            self.error(code, f"{what} 查不下去", line(error).removeprefix("xieban: "), mend)


def edited(file: Path | None, line: str) -> str:
    """The command by which a line comes into the configuration."""
    return f"$EDITOR {quoted(file or 'config.toml')}  # {line}"


def at(data: Path, file: Path | None) -> str:
    """The options by which a command finds this hub."""
    return f"--data {quoted(data)}" + (f" --config {quoted(file)}" if file is not None else "")


def restored(data: Path, file: Path | None) -> str:
    """The command by which a hub is put back into a data directory."""
    return f"xieban restore BACKUP --key backup.key {at(data, file)}"


def anew(data: Path, file: Path | None) -> str:
    """The command by which a hub is put back beside a data directory that can't be used any more."""
    new = data.with_name(f"{data.name}-restored")
    return (
        f"mkdir -m 700 {quoted(new)} && cp -p {quoted(data / PASSPHRASE_FILE)} {quoted(new)}/ && {restored(new, file)}"
        "  # docs/backup.md"
    )


def keys_back(data: Path, file: Path | None) -> str:
    """The command by which a hub's keys come back from a backup."""
    return f"xieban restore BACKUP --keys-only --key backup.key {at(data, file)}"


def psql(*statements: str, of: str = "url") -> str:
    """The command that says statements to a database of one's own. Its address may hold a password: it is not said."""
    return " ".join(['psql "$URL"', *(f"-c {quoted(one)}" for one in statements)]) + f"  # URL = [database] {of}"


def quoted(value: Any) -> str:
    """A value as a shell takes it."""
    return shlex.quote(str(value))


def reached(path: Path) -> bool:
    """Whether others on this machine come as far as this file or folder: each folder above lets them pass."""
    return all(folder.stat().st_mode & 0o001 for folder in path.absolute().parents)


def texts(held: Any, named: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a section, with where it stands."""
    if isinstance(held, Mapping):
        for key, value in held.items():
            yield from texts(value, f"{named}.{key}" if named else str(key))
    elif isinstance(held, list | tuple):
        for value in held:
            yield from texts(value, named)
    elif isinstance(held, str):
        yield named, held
