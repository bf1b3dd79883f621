"""A passphrase asked for at the terminal, in both languages; it is not shown, and a new one is typed twice."""

import typer

from hub.commands.output import remark


def secret(what: str, *, new: bool) -> str:
    """What somebody types for `what`; a `new` one until both times are the same."""
    while True:
        given = str(typer.prompt(what, hide_input=True, err=True))
        if not new or given == typer.prompt("再输一次 · once more", hide_input=True, err=True):
            return given
        remark("两次输入不同，请重新输入 · the two differ; try again")
