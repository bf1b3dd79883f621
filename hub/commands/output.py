"""What a command says: JSON for machines, tables for people, both on standard output; remarks on standard error.

What draws is loaded when something is drawn: that takes as long as many a command.
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
import typer

from hub.legible import escaped, harmless

WIDE = 240
"""Columns of a table that goes to a file or a pipe."""


def as_json(value: Any) -> None:
    """One JSON document, indented."""
    typer.echo(escaped(json.dumps(msgspec.to_builtins(value), ensure_ascii=False, indent=2)))


def as_line(value: Any) -> None:
    """One JSON document in one line, handed on at once."""
    typer.echo(escaped(json.dumps(msgspec.to_builtins(value), ensure_ascii=False)))
    sys.stdout.flush()


def pretty(value: Any) -> str:
    """JSON for people to read, with escapes: a partner's texts must not drive the terminal."""
    return escaped(json.dumps(value, ensure_ascii=False, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table without a frame around each cell."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        drawn.add_column(column, overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(clean(str("" if cell is None else cell))) for cell in row))
    console = Console()
    (console if console.is_terminal else Console(width=WIDE)).print(drawn)


def local(moment: datetime | None) -> str | None:
    """A moment as people in China read it, with its offset, as no other time at the terminal is without one."""
    from protocols.deadlines import SHANGHAI

    return None if moment is None else moment.astimezone(SHANGHAI).isoformat(" ", "seconds")


def say(text: str) -> None:
    """A line for people on standard output."""
    typer.echo(clean(text))


def ready(text: str) -> None:
    """A line that what runs from here on is ready; a service manager that waits for it is told (sd_notify(3))."""
    say(text)
    sys.stdout.flush()
    if listens := os.environ.get("NOTIFY_SOCKET"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as waiting:
            waiting.sendto(b"READY=1", "\0" + listens[1:] if listens.startswith("@") else listens)


def remark(text: str) -> None:
    """A line on standard error, where it is in nobody's way."""
    typer.echo(clean(text), err=True)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while it lasts; it is told how much is done, of how much."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, size: bar.update(task, completed=done, total=size)


def clean(text: str) -> str:
    """The text without what moves a cursor, changes a colour or turns the direction of writing."""
    return "".join(char for char in text if harmless(char))
