"""What the lock files hold: every package with its version, its hashes and who wants it."""

import json
import re
import tomllib
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
PYTHON_LOCKS = (LOCK, ROOT / "tests/acceptance/as4/requirements.lock")
NODE_LOCKS = (ROOT / "tests/acceptance/node/package-lock.json", ROOT / "docs/examples/javascript/package-lock.json")
PROJECT = "xieban"
DIRECT = f"{PROJECT} (pyproject.toml)"
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;]+)(?P<rest>.*)$")


@dataclass(frozen=True)
class Locked:
    """One package of a lock file."""

    ecosystem: str
    """`pypi` or `npm`, as in a package URL."""
    name: str
    version: str
    hashes: tuple[tuple[str, str], ...]
    """Algorithm (`sha256`, `sha512`) and hexadecimal digest, one for each file that may be installed."""
    wanted_by: tuple[str, ...] = ()
    """Names of the packages that need this one; `DIRECT` where the project itself does."""
    licence: str = ""
    """What the lock file itself says of the licence (npm's does)."""
    text: str = ""
    """Its lines in the lock file."""


def python_packages(lock: Path = LOCK) -> list[Locked]:
    """The packages of a lock file that `uv pip compile --generate-hashes` wrote."""
    return [_pinned(block) for block in _blocks(lock.read_text())]


def node_packages(lock: Path) -> list[Locked]:
    """The packages of a `package-lock.json` of version 3."""
    packages = json.loads(lock.read_text())["packages"].items()
    return [_from_npm(path.split("node_modules/")[-1], entry) for path, entry in packages if path]


def declared() -> dict[str, Requirement]:
    """Every dependency that pyproject.toml names, the extras included, by canonical name."""
    project = _project()
    texts = [*project["dependencies"], *(t for extra in project["optional-dependencies"].values() for t in extra)]
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


def wanted(extras: bool = False) -> set[str]:
    """What the product needs to run, all that it brings included; with `extras`, what all of its extras need too."""
    project = _project()
    texts = list(project["dependencies"])
    if extras:
        texts += [t for name, extra in project["optional-dependencies"].items() if name != "dev" for t in extra]
    found: set[str] = {canonicalize_name(Requirement(text).name) for text in texts}
    packages = python_packages()
    while more := {p.name for p in packages if p.name not in found and found.intersection(p.wanted_by)}:
        found |= more
    return found


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def _blocks(text: str) -> Iterator[list[str]]:
    block: list[str] = []
    for line in text.splitlines():
        if PIN.match(line) and block:
            yield block
            block = []
        if PIN.match(line) or block:
            block.append(line)
    if block:
        yield block


def _pinned(block: list[str]) -> Locked:
    pin = PIN.match(block[0])
    assert pin
    hashes = re.findall(r"--hash=(\w+):([0-9a-f]+)", "\n".join(block))
    comments = [line.strip().lstrip("#").strip().removeprefix("via").strip() for line in block if "#" in line]
    by = tuple(comment if comment == DIRECT else canonicalize_name(comment) for comment in comments if comment)
    name = canonicalize_name(pin["name"])
    return Locked("pypi", name, pin["version"], tuple(hashes), by, text="\n".join(block))


def _from_npm(name: str, entry: dict[str, str]) -> Locked:
    """Hashes are written as W3C Subresource Integrity §3.5 has it: algorithm, hyphen, base64."""
    pairs = (part.split("-", 1) for part in entry.get("integrity", "").split())
    hashes = tuple((algorithm, b64decode(digest).hex()) for algorithm, digest in pairs)
    return Locked("npm", name, entry["version"], hashes, licence=entry.get("license", ""))
