"""What `xieban doctor` says, each finding whole."""

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from hub.commands import app


def examined(*arguments: str | Path) -> dict[str, Any]:
    """What the doctor says as JSON; its status is that of its worst finding, and each has all its words."""
    done = CliRunner().invoke(app, ["doctor", "--json", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    said: dict[str, Any] = json.loads(done.stdout)
    worst = max(({"warning": 1, "error": 2}[one["level"]] for one in said["findings"]), default=0)
    assert done.exit_code == said["status"] == worst
    assert all(one["zh"] and one["en"] and one["mend"] for one in said["findings"])
    return said


def found(*arguments: str | Path) -> dict[str, str]:
    """The findings' codes with what mends them."""
    return {one["code"]: one["mend"] for one in examined(*arguments)["findings"]}


def configured(folder: Path, text: str) -> Path:
    """A configuration file of these lines."""
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file
