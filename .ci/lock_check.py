"""Holds requirements.lock against pyproject.toml without a network: each side names what the other does."""

import re
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;]+)(?P<rest>.*)$")
DIRECT = "xieban (pyproject.toml)"


def declared() -> dict[str, Requirement]:
    """Every dependency that pyproject.toml names, the extras included, by canonical name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    texts = [*project["dependencies"], *(t for extra in project["optional-dependencies"].values() for t in extra)]
    return {canonicalize_name(r.name): r for r in map(Requirement, texts)}


def locked() -> tuple[dict[str, str], set[str], list[str]]:
    """Pinned versions by name, the names pinned for the project itself, and the pins without a hash."""
    versions: dict[str, str] = {}
    direct: set[str] = set()
    unhashed: list[str] = []
    name = ""
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if pin := PIN.match(line):
            name = canonicalize_name(pin["name"])
            versions[name] = pin["version"]
            if not line.endswith("\\"):
                unhashed.append(name)
        elif line.startswith("    #") and line.endswith(DIRECT):
            direct.add(name)
    return versions, direct, unhashed


def complaints() -> list[str]:
    """What does not hold, one sentence each; empty when the lock fits."""
    wanted = declared()
    versions, direct, unhashed = locked()
    found = [f"{name} is declared but not locked" for name in sorted(wanted.keys() - versions.keys())]
    found += [f"{name} is locked for the project but no longer declared" for name in sorted(direct - wanted.keys())]
    found += [f"{name} is locked without a hash" for name in unhashed]
    for name, requirement in wanted.items():
        version = versions.get(name)
        if version and not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{name} is locked at {version}, declared as {requirement}")
    if "://" in (ROOT / "requirements.lock").read_text():
        found.append("requirements.lock names a host")
    return found


if __name__ == "__main__":
    if problems := complaints():
        print(*problems, "锁文件已过期, 请运行 make lock · the lock is out of date: run make lock", sep="\n")
        sys.exit(1)
