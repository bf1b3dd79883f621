"""Every public name (docs/versioning.md); `python -m tests.public` writes docs/public.json at a release."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer.main

from adapters import client
from hub.api.app import CALLS
from hub.api.openapi import document
from hub.commands import app
from hub.config import Config
from hub.errors import CATALOGUE
from protocols import loading

FILE = Path(__file__).parents[1] / "docs/public.json"


def public() -> dict[str, list[str]]:
    """The names of each part, sorted."""
    parts = {
        "calls": (f"{method.upper()} {path}" for path, calls in document(CALLS)["paths"].items() for method in calls),
        "commands": _commands(typer.main.get_command(app)),
        "problems": iter(CATALOGUE),
        "protocols": (f"{name} {version}" for name, version in loading.catalogue().protocols),
        "sdk": iter([*client.__all__, *(f"Client.{name}" for name in dir(client.Client) if name[0] != "_")]),
        "settings": _settings(msgspec.to_builtins(Config())),
    }
    return {name: sorted(found) for name, found in parts.items()}


def gone(before: dict[str, list[str]], now: dict[str, list[str]]) -> list[str]:
    """What was public and is no more."""
    return [f"{part}: {name}" for part, names in before.items() for name in names if name not in now.get(part, ())]


def _commands(group: Any, path: str = "xieban") -> Iterator[str]:
    for name, command in getattr(group, "commands", {}).items():
        words = f"{path} {name}"
        yield words
        yield from (f"{words} {option}" for one in command.params for option in one.opts if option.startswith("--"))
        yield from _commands(command, words)


def _settings(sections: dict[str, Any]) -> Iterator[str]:
    for section, settings in sections.items():
        yield f"[{section}]"
        yield from (f"[{section}] {name}" for name in settings)


if __name__ == "__main__":
    FILE.write_text(json.dumps(public(), ensure_ascii=False, indent=1) + "\n", "utf-8")
