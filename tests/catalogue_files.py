"""The files of the catalogue as they are written, each schema with the definitions that it shares."""

import json
from pathlib import Path
from typing import Any

from protocols import bundling
from protocols.loading import FOLDER

FLOWS = sorted(FOLDER.glob("*/*/flow.toml"))
SCHEMAS = sorted(path for flow in FLOWS for path in flow.parent.glob("*/*.json"))
DEFINITIONS = sorted(FOLDER.glob("*/*/definitions.json"))


def name(path: Path) -> str:
    """How a test of the file is called."""
    return str(path.relative_to(FOLDER))


def read(path: Path) -> dict[str, Any]:
    """A schema with the definitions that it shares with others, its own folder's before the horizontal ones."""
    shared: dict[str, Any] = {}
    for file in (FOLDER / "horizontal/1.0/definitions.json", path.parents[1] / "definitions.json"):
        shared |= json.loads(file.read_text("utf-8")) if file.exists() else {}
    return bundling.bundle(json.loads(path.read_text("utf-8")), shared)
