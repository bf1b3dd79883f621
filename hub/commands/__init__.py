"""The command `xieban`: one file a command, put together here; the one place that sees everything.

A command's file is loaded when the command is called, or listed: all of them take a second.
"""

import importlib
import io
import resource
import sys
from collections import UserDict
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from hub import version as installed
from hub.commands.help_text import examples, install

_RUNNING, _WORKING = "枢纽 · Run a hub", "办案 · Work with a hub"


class Place(NamedTuple):
    """Where a command is: its file, the function in it with its examples, or else the group of commands `app`."""

    panel: str
    module: str
    function: str = "app"
    examples: str = "EXAMPLES"


COMMANDS: Mapping[str, Place] = {
    "init": Place(_RUNNING, "init", "init"),
    "serve": Place(_RUNNING, "serve", "serve"),
    "audit": Place(_RUNNING, "audit", "audit"),
    "doctor": Place(_RUNNING, "doctor", "doctor"),
    "backup": Place(_RUNNING, "backup"),
    "restore": Place(_RUNNING, "restore", "restore"),
    "erase": Place(_RUNNING, "erase", "erase"),
    "retention": Place(_RUNNING, "retention", "retention"),
    "store": Place(_RUNNING, "store"),
    "log": Place(_RUNNING, "log"),
    "recompute": Place(_RUNNING, "recompute", "recompute"),
    "demo": Place(_RUNNING, "demonstrate", "demonstrate"),
    "simulate": Place(_RUNNING, "simulate"),
    "organisations": Place(_RUNNING, "organisations"),
    "hubs": Place(_RUNNING, "hubs"),
    "people": Place(_RUNNING, "people"),
    "calendar": Place(_RUNNING, "calendar"),
    "schedule": Place(_RUNNING, "schedule"),
    "bulletins": Place(_RUNNING, "bulletins"),
    "desk": Place(_WORKING, "desk", "desk"),
    "adapter": Place(_WORKING, "adapter"),
    "keys": Place(_WORKING, "keys"),
    "delegations": Place(_WORKING, "delegations"),
    "directory": Place(_WORKING, "directory"),
    "case": Place(_WORKING, "case"),
    "poll": Place(_WORKING, "poll", "poll"),
    "notices": Place(_WORKING, "notices", "notices"),
    "send": Place(_WORKING, "send", "send"),
    "verify": Place(_WORKING, "verify", "verify"),
    "verify-end": Place(_WORKING, "verify", "verify_end", "END_EXAMPLES"),
    "fetched": Place(_WORKING, "fetched", "fetched"),
    "evidence": Place(_WORKING, "evidence", "evidence"),
    "verify-evidence": Place(_WORKING, "evidence", "verify_evidence", "VERIFY_EXAMPLES"),
    "witness": Place(_WORKING, "witness", "witness"),
    "protocols": Place(_WORKING, "protocols"),
    "conformance": Place(_WORKING, "conformance"),
    "sandbox": Place(_WORKING, "sandbox", "sandbox"),
}


class _Loaded(UserDict[str, Any]):
    """The commands by their names, each loaded when it is looked up."""

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS

    def __missing__(self, name: str) -> Any:
        if name not in COMMANDS:
            raise KeyError(name)
        self.data[name] = _load(name, COMMANDS[name])
        return self.data[name]


def _load(name: str, place: Place) -> Any:
    module = importlib.import_module(f"hub.commands.{place.module}")
    found = getattr(module, place.function)
    group = typer.Typer(rich_markup_mode="rich")
    if isinstance(found, typer.Typer):
        group.add_typer(found, name=name, rich_help_panel=place.panel)
    else:
        group.command(name, epilog=getattr(module, place.examples), rich_help_panel=place.panel)(found)
        group.callback()(lambda: None)
    return typer.main.get_group(group).commands[name]


class Commands(TyperGroup):
    """The commands of `xieban`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = _Loaded()


install()
app = typer.Typer(
    name="xieban",
    cls=Commands,
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


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"xieban {installed()}")
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
    # What a process holds, keys included, is not written to a disk when it fails.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Chinese is no reason to fail
    try:
        app()
    except (Exception, KeyboardInterrupt) as error:
        from hub.commands.explaining import line

        typer.echo(line(error), err=True)
        sys.exit(1)
