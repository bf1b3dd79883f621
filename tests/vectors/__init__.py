"""Published test vectors: numbers out of standards, each file or entry with a line that names its source."""

import json
from pathlib import Path
from typing import Any


def vectors(name: str) -> dict[str, Any]:
    """The vectors of one file."""
    document = json.loads((Path(__file__).parent / f"{name}.json").read_text("utf-8"))
    assert isinstance(document, dict)
    return document
