"""Help in which Chinese is wrapped instead of cut off."""

from collections.abc import Iterable
from typing import Any

import typer.rich_utils
from rich.table import Table
from rich.text import Text


class FoldingTable(Table):
    """A table whose cells go on in the next line when they are full."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row; the columns that it makes fold."""
        super().add_row(*cells, **options)
        for column in self.columns:
            column.overflow = "fold"


def flowing(parts: Iterable[Text]) -> Text:
    """The parts of an option's help one after the other, as one text that folds."""
    text = Text(" ").join(parts)
    text.overflow = "fold"
    return text


def install() -> None:
    """Have typer draw its help so that it folds.

    It ends a cell with an ellipsis where a word does not fit, and offers no setting for that; a Chinese
    sentence is one word.
    """
    for name, drawn in (("Table", FoldingTable), ("Columns", flowing)):
        setattr(typer.rich_utils, name, drawn)
