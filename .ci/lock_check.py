"""Holds requirements.lock against pyproject.toml without a network: each side names what the other does."""

import sys

from locks import DIRECT, LOCK, declared, python_packages


def complaints() -> list[str]:
    """What does not hold, one sentence each; empty when the lock fits."""
    wanted, packages = declared(), python_packages()
    versions = {package.name: package.version for package in packages}
    direct = {package.name for package in packages if DIRECT in package.wanted_by}
    found = [f"{name} is declared but not locked" for name in sorted(wanted.keys() - versions.keys())]
    found += [f"{name} is locked for the project but no longer declared" for name in sorted(direct - wanted.keys())]
    found += [f"{package.name} is locked without a hash" for package in packages if not package.hashes]
    for name, requirement in wanted.items():
        version = versions.get(name)
        if version and not requirement.specifier.contains(version, prereleases=True):
            found.append(f"{name} is locked at {version}, declared as {requirement}")
    if "://" in LOCK.read_text():
        found.append("requirements.lock names a host")
    return found


if __name__ == "__main__":
    if problems := complaints():
        print(*problems, "锁文件已过期, 请运行 make lock · the lock is out of date: run make lock", sep="\n")
        sys.exit(1)
