"""The wheel of the last commit, the same bytes wherever and whenever it is built, and the lock file to install it with.

pip install --require-hashes -r xieban-VERSION.lock && pip install --no-deps xieban-VERSION-py3-none-any.whl
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from locks import ROOT, python_packages, wanted

UMASK = 0o022
PIP = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-input")


def commit_time() -> datetime:
    """When the last commit was made: all that is built from it is dated so."""
    return datetime.fromtimestamp(int(_git("log", "-1", "--format=%ct")), UTC)


def wheel(to: Path) -> Path:
    """Build the wheel of the last commit into `to`.

    Reproducible as in reproducible-builds.org's SOURCE_DATE_EPOCH: the commit's files and no others, its time in place
    of theirs, modes that don't depend on who builds, and the locked setuptools that is installed here.
    """
    environment = os.environ | {"SOURCE_DATE_EPOCH": str(int(commit_time().timestamp())), "PYTHONHASHSEED": "0"}
    with tempfile.TemporaryDirectory() as built, tempfile.TemporaryDirectory() as source:
        archive = _git("-c", f"tar.umask={UMASK:04o}", "archive", "HEAD")
        subprocess.run(("tar", "--extract", "--directory", source), input=archive, umask=UMASK, check=True)
        command = [*PIP, "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", built, source]
        subprocess.run(command, env=environment, umask=UMASK, check=True)
        (made,) = Path(built).glob("*.whl")
        to.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(made, to))


def lock(to: Path, version: str) -> Path:
    """The part of requirements.lock that the product needs to run, with no extra."""
    needed = wanted()
    file = to / f"xieban-{version}.lock"
    file.write_text("".join(package.text + "\n" for package in python_packages() if package.name in needed))
    return file


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", ROOT, *arguments], stdout=subprocess.PIPE, check=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--to", type=Path, default=ROOT / "dist")
    to: Path = parser.parse_args().to
    made = wheel(to)
    locked = lock(to, made.name.split("-")[1])
    if _git("status", "--porcelain"):
        print("未提交的改动不在其中 · what is not committed is not in it")
    print(made, locked, sep="\n")


if __name__ == "__main__":
    main()
