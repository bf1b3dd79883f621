"""The command `xieban`: one file a command, put together here; the one place that sees everything."""

import io
import sys
from typing import Annotated

import typer

from hub import __version__
from hub.commands import (
    audit,
    bulletins,
    case,
    delegations,
    demonstrate,
    directory,
    evidence,
    faults,
    fetched,
    keys,
    organisations,
    people,
    poll,
    protocols,
    recompute,
    send,
    serve,
    verify,
    witness,
)
from hub.commands.help_text import examples, install

install()
app = typer.Typer(
    name="xieban",
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "xieban demo",
        "xieban serve --data DIR",
        "export XIEBAN_HUB=http://127.0.0.1:8420 XIEBAN_ORGANISATION=411002-health XIEBAN_KEYS=~/xieban-keys",
        "xieban poll --open",
    ),
)
_RUNNING, _WORKING = "枢纽 · Run a hub", "办案 · Work with a hub"
app.command("serve", epilog=serve.EXAMPLES, rich_help_panel=_RUNNING)(serve.serve)
app.command("audit", epilog=audit.EXAMPLES, rich_help_panel=_RUNNING)(audit.audit)
app.command("recompute", epilog=recompute.EXAMPLES, rich_help_panel=_RUNNING)(recompute.recompute)
app.command("demo", epilog=demonstrate.EXAMPLES, rich_help_panel=_RUNNING)(demonstrate.demonstrate)
app.add_typer(organisations.app, name="organisations", rich_help_panel=_RUNNING)
app.add_typer(people.app, name="people", rich_help_panel=_RUNNING)
app.add_typer(bulletins.app, name="bulletins", rich_help_panel=_RUNNING)
app.add_typer(keys.app, name="keys", rich_help_panel=_WORKING)
app.add_typer(delegations.app, name="delegations", rich_help_panel=_WORKING)
app.add_typer(directory.app, name="directory", rich_help_panel=_WORKING)
app.add_typer(case.app, name="case", rich_help_panel=_WORKING)
app.command("poll", epilog=poll.EXAMPLES, rich_help_panel=_WORKING)(poll.poll)
app.command("send", epilog=send.EXAMPLES, rich_help_panel=_WORKING)(send.send)
app.command("verify", epilog=verify.EXAMPLES, rich_help_panel=_WORKING)(verify.verify)
app.command("verify-end", epilog=verify.END_EXAMPLES, rich_help_panel=_WORKING)(verify.verify_end)
app.command("fetched", epilog=fetched.EXAMPLES, rich_help_panel=_WORKING)(fetched.fetched)
app.command("evidence", epilog=evidence.EXAMPLES, rich_help_panel=_WORKING)(evidence.evidence)
app.command("verify-evidence", epilog=evidence.VERIFY_EXAMPLES, rich_help_panel=_WORKING)(evidence.verify_evidence)
app.command("witness", epilog=witness.EXAMPLES, rich_help_panel=_WORKING)(witness.witness)
app.add_typer(protocols.app, name="protocols", rich_help_panel=_WORKING)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xieban {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="版本。 Print the version.")
    ] = False,
) -> None:
    """协办 · 跨地区案件协办枢纽。 A hub through which authorities of different regions work on one case."""


def main() -> None:
    """Run the command line; whatever goes wrong ends it with one line on standard error and status 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Chinese is no reason to fail
    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        typer.echo(faults.line(error), err=True)
        sys.exit(1)
