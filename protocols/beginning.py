"""A new protocol's folder: small, whole, and explained, to be changed into what it is for."""

import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import ClassVar

from keys.errors import Fault
from protocols.loading import HORIZONTAL
from protocols.table import Flow

TEMPLATE = Path(__file__).parent / "template"
VERSION = "1.0"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TITLE = re.compile(r"[^\\\"\x00-\x1f\x7f]{1,200}")


class ProtocolNameUnfit(Fault):
    """A protocol's name is in lower-case letters, digits and hyphens, its title one line; its folder is new."""

    code: ClassVar[str] = "protocol-name-unfit"


def begin(name: str, zh: str, en: str, parent: Path) -> Path:
    """Make `parent/NAME/1.0` with a flow and its schemas that check; its path.

    All of it or nothing is made. Raises ProtocolNameUnfit where the name can't be, a title has quotes or several lines,
    or the folder is there already.
    """
    if _NAME.fullmatch(name) is None or name == HORIZONTAL:
        raise ProtocolNameUnfit(
            f"{name[:80]!r} can't name a protocol: lower-case letters, digits, hyphens", name=name[:80]
        )
    for title in (zh, en):
        if _TITLE.fullmatch(title) is None:
            raise ProtocolNameUnfit("a title is one line of at most 200 characters, without quotes and backslashes")
    folder = parent / name
    if folder.exists():
        raise ProtocolNameUnfit(f"{folder} is there already; nothing was changed")
    parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent, prefix=".") as building:
        made = Path(building) / name
        shutil.copytree(TEMPLATE, made / VERSION)
        flow = made / VERSION / "flow.toml"
        text = flow.read_text("utf-8").replace("@NAME@", name).replace("@ZH@", zh).replace("@EN@", en)
        flow.write_text(text, "utf-8")
        made.rename(folder)
    return folder / VERSION


def unsaid(flow: Flow) -> bool:
    """Whether what it is for is still to be written: its summary is the template's."""
    template = tomllib.loads((TEMPLATE / "flow.toml").read_text("utf-8"))["summary"]
    return bool(flow.summary.zh == template["zh"] or flow.summary.en == template["en"])
