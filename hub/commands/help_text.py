"""How help is asked for: its examples, and that it is drawn by hub/commands/folding.py."""

from typing import Any

from typer.core import TyperCommand, TyperGroup


def install() -> None:
    """Have typer draw its help so that Chinese is wrapped, not cut off; what draws is loaded when help is asked for."""
    for kind in (TyperCommand, TyperGroup):
        kind.format_help = _folding(kind.format_help)  # type: ignore[method-assign]


def _folding(drawn: Any) -> Any:
    def format_help(self: Any, *given: Any) -> None:
        from hub.commands import folding

        folding.install()
        drawn(self, *given)

    return format_help


def examples(*lines: str) -> str:
    """An epilog: the examples of a command, a line each."""
    # Typer folds single line breaks of an epilog, and square brackets would be markup.
    return "\n\n".join(["例 · Examples", *("  " + line.replace("[", "\\[") for line in lines)])
