"""What the demo shows: lines and tables, the running counts, and the picture of it all."""

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from hub.commands.demo.board import Board

WIDTH = 100
REFRESH = 0.2
PLAIN_EVERY = 2.0
"""Seconds between two lines of counts where the output is no terminal."""
OPENED, ANSWERED, ENDED = "发起 opened", "答复或不予 answered or declined", "结案 ended"


class Screen:
    """Standard output, and a recording of it for the picture."""

    def __init__(self) -> None:
        self.console = Console()
        if not self.console.is_terminal:
            self.console = Console(width=WIDTH)
        self._recording = Console(file=io.StringIO(), record=True, width=WIDTH, force_terminal=True)

    def say(self, what: RenderableType, *, record: bool = True) -> None:
        """Show a line or a table; a line is never broken, so that a command in it can be copied."""
        self.console.print(what, soft_wrap=isinstance(what, str), highlight=False)
        if record:
            self._recording.print(what, highlight=False)

    def draw(self, picture: Path) -> None:
        """All that was said as SVG, without the web fonts that it would fetch. Raises OSError."""
        drawn = self._recording.export_svg(title="make demo", clear=False)
        picture.write_text(re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL), "utf-8")

    @contextlib.asynccontextmanager
    async def counting(self, board: Board) -> AsyncIterator[None]:
        """The board's counts, live on a terminal, else as a line every few seconds."""
        showing = asyncio.create_task(self._live(board) if self.console.is_terminal else self._plain(board))
        try:
            yield
        finally:
            showing.cancel()
            await asyncio.wait([showing])

    async def _live(self, board: Board) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[more]}"),
        )
        with Progress(*columns, console=self.console, auto_refresh=False) as progress:
            bars = [progress.add_task(text, total=board.cases, more="") for text in (OPENED, ANSWERED, ENDED)]
            try:
                while True:
                    self._update(progress, bars, board)
                    await asyncio.sleep(REFRESH)
            finally:
                self._update(progress, bars, board)

    def _update(self, progress: Progress, bars: Sequence[TaskID], board: Board) -> None:
        more = "", f"消息 messages {len(board.receipts)}", f"每秒 per second {board.rate():.0f}"
        for bar, count, text in zip(bars, (board.opened, board.answered, board.ended), more, strict=True):
            progress.update(bar, completed=len(count), more=text)
        progress.refresh()

    async def _plain(self, board: Board) -> None:
        try:
            while True:
                await asyncio.sleep(PLAIN_EVERY)
                self.say(counts(board), record=False)
        finally:
            self.say(counts(board), record=False)


def counts(board: Board) -> str:
    """The counts in a line."""
    return (
        f"  {OPENED} {len(board.opened)} · {ANSWERED} {len(board.answered)} · {ENDED} {len(board.ended)}"
        f" · 消息 messages {len(board.receipts)} · 每秒 per second {board.rate():.0f}"
    )
