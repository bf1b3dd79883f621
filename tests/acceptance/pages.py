"""Pages for people whose commands are run word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import RunningHub

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def blocks(page: str, language: str) -> list[str]:
    """A page's blocks of code in a language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def environment(**more: str) -> dict[str, str]:
    """The tests' environment with the commands on the path, and without a passphrase of somebody else's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XIEBAN_")}
    return kept | {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)} | more


def in_shell(script: str, folder: Path, hub: RunningHub, **more: str) -> str:
    return shell(script.replace("http://127.0.0.1:8420", hub.url), folder, **more)


def shell(script: str, folder: Path, **more: str) -> str:
    """What the commands say; each must succeed."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, (script, done.stderr)
    return done.stdout
