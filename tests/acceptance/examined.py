"""What `xieban doctor` says, each finding whole."""

import json
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import typer.main
from typer.testing import CliRunner

from hub.commands import app

ELSEWHERE = ("timedatectl", "certbot", "apt", "pip", "pg_checksums", "psql")
"""Programs that a machine may lack and that mend it all the same."""
BUILT_IN = ("$EDITOR", "export", "ulimit")


def examined(*arguments: str | Path) -> dict[str, Any]:
    """What the doctor says as JSON; its status is that of its worst finding, and each has all its words."""
    done = CliRunner().invoke(app, ["doctor", "--json", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    said: dict[str, Any] = json.loads(done.stdout)
    worst = max(({"warning": 1, "error": 2}[one["level"]] for one in said["findings"]), default=0)
    assert done.exit_code == said["status"] == worst
    assert all(one["zh"] and one["en"] for one in said["findings"])
    assert [one["mend"] for one in said["findings"] if not is_command(one["mend"])] == []
    return said


def is_command(mend: str) -> bool:
    """Whether a shell takes it, and there is such a program; of our own commands, with such options."""
    if subprocess.run(["bash", "-n", "-c", mend], capture_output=True, check=False).returncode != 0:
        return False
    word, *words = shlex.split(mend, comments=True) or [""]
    if word != "xieban":
        return word in (*ELSEWHERE, *BUILT_IN) or shutil.which(word) is not None
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    return command.name != "xieban" and all(one in options for one in words if one.startswith("--"))


def found(*arguments: str | Path) -> dict[str, str]:
    """The findings' codes with what mends them."""
    return {one["code"]: one["mend"] for one in examined(*arguments)["findings"]}


def configured(folder: Path, text: str) -> Path:
    """A configuration file of these lines."""
    file = folder / "config.toml"
    file.write_text(text, "utf-8")
    return file
