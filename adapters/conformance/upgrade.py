"""A version of case assistance that no partner knows: the shipped one, with one more field in its answer."""

import json
import shutil
from pathlib import Path

from protocols import loading

PROTOCOL, KNOWN, UNKNOWN = "case-assistance", "1.0", "1.99"


def offered(folder: Path) -> None:
    """Lay out the shipped catalogue in `folder`, with the version beside it."""
    shutil.copytree(loading.FOLDER, folder)
    later = folder / PROTOCOL / UNKNOWN
    shutil.copytree(folder / PROTOCOL / KNOWN, later)
    flow = later / "flow.toml"
    flow.write_text(flow.read_text("utf-8").replace(f'version = "{KNOWN}"', f'version = "{UNKNOWN}"', 1), "utf-8")
    file = later / "open/answer.json"
    schema = json.loads(file.read_text("utf-8"))
    days = {"title": "核查天数", "x-title-en": "Days it took", "type": "integer", "minimum": 0, "maximum": 999}
    schema["properties"]["days"] = days
    file.write_text(json.dumps(schema, ensure_ascii=False), "utf-8")
