"""Asks the registries for known vulnerabilities of every locked package, and says which it could not ask about.

pip-audit asks for the Python packages, npm for its own. Where a registry hands on no page of a version, the page of the
project answers for a package that is locked at its newest version. No answer is never taken for a good one: the exit
status is 1 for a finding, 2 for packages that nobody answered for, 0 otherwise.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from locks import NODE_LOCKS, PYTHON_LOCKS, ROOT, Locked, node_packages, python_packages
from pip._internal.models.index import PyPI

EXCEPTIONS = ROOT / ".ci/audit.toml"
PIP_AUDIT = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes"]
FORMAT = ["--progress-spinner=off", "--format=json"]
TIMEOUT = 20.0
"""Seconds that one question may take."""
FINDING, UNANSWERED = 1, 2
Answers = Mapping[tuple[str, str], tuple[str, ...]]
"""By name and version: the vulnerabilities known. Who is missing here was not answered for."""


@dataclass(frozen=True)
class Accepted:
    """A vulnerability that is borne for a time."""

    id: str
    package: str
    reason: str
    until: date


def accepted(file: Path, today: date) -> tuple[set[tuple[str, str]], list[str]]:
    """What is borne today, by package and id; and what is wrong with the file of exceptions."""
    entries = [Accepted(**entry) for entry in tomllib.loads(file.read_text()).get("accepted", [])]
    wrong = [f"{e.id} ({e.package}) is accepted without a reason" for e in entries if not e.reason.strip()]
    wrong += [f"{e.id} ({e.package}) was accepted until {e.until}" for e in entries if e.until < today]
    return {(e.package, e.id) for e in entries if e.until >= today and e.reason.strip()}, wrong


def by_pip_audit(lock: Path, options: Iterable[str]) -> Answers:
    """What pip-audit learns of a lock file; nothing where its service can't be reached."""
    asked = subprocess.run(
        [*PIP_AUDIT, *FORMAT, "--requirement", str(lock), *options], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"pip-audit: {asked.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    return {(p["name"], p["version"]): tuple(v["id"] for v in p["vulns"]) for p in packages if "skip_reason" not in p}


def by_project_page(packages: Iterable[Locked], registry: str) -> Answers:
    """What the registry's JSON page of a project says of its newest version, for those that are locked at it."""

    def ask(package: Locked) -> tuple[Locked, tuple[str, ...] | None]:
        try:
            with urllib.request.urlopen(f"{registry}/pypi/{package.name}/json", timeout=TIMEOUT) as answer:
                page = json.load(answer)
            newest, known = page["info"]["version"], page["vulnerabilities"]
            ids = tuple(v["id"] for v in known if not v.get("withdrawn"))
        except (OSError, ValueError, KeyError, TypeError):
            return package, None
        return package, ids if newest == package.version else None

    with ThreadPoolExecutor(8) as threads:
        return {(p.name, p.version): ids for p, ids in threads.map(ask, packages) if ids is not None}


def by_npm(lock: Path) -> Answers:
    """What npm learns of a lock file; nothing where the registry does not answer, or npm is not there."""
    if shutil.which("npm") is None:
        return {}
    command = ["npm", "audit", "--json", "--package-lock-only", "--prefix", str(lock.parent)]
    said = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout or "{}")
    if "vulnerabilities" not in said:
        return {}
    known = {
        name: tuple(str(via["url"]).rsplit("/", 1)[-1] for via in entry["via"] if isinstance(via, dict))
        for name, entry in said["vulnerabilities"].items()
    }
    return {(p.name, p.version): known.get(p.name, ()) for p in node_packages(lock)}


def asked(registry: str, options: list[str]) -> dict[tuple[str, str], tuple[str, ...] | None]:
    """Every locked package with what is known of it, `None` where nobody answered."""
    packages, answers = set[tuple[str, str]](), dict[tuple[str, str], tuple[str, ...]]()
    for lock in PYTHON_LOCKS:
        answers |= by_pip_audit(lock, options)
        silent = [p for p in python_packages(lock) if (p.name, p.version) not in answers]
        answers |= by_project_page(silent, registry)
        packages |= {(p.name, p.version) for p in python_packages(lock)}
    for lock in NODE_LOCKS:
        answers |= by_npm(lock)
        packages |= {(p.name, p.version) for p in node_packages(lock)}
    return {package: answers.get(package) for package in sorted(packages)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exceptions", type=Path, default=EXCEPTIONS)
    parser.add_argument("--registry", default=PyPI.url.rstrip("/"), help="where the pages of Python projects are")
    parser.add_argument("--osv", help="ask this OSV service instead of the registry")
    parser.add_argument("--unanswered", choices=["fail", "warn"], default="fail", help="what no answer is")
    chosen = parser.parse_args()
    options = ["--vulnerability-service=osv", f"--osv-url={chosen.osv}"] if chosen.osv else []
    borne, wrong = accepted(chosen.exceptions, date.today())
    answers = asked(chosen.registry, options)
    for (name, version), known in answers.items():
        wrong += [f"{id}: {name} {version}" for id in known or () if (name, id) not in borne]
    silent = [f"{name} {version}" for (name, version), known in answers.items() if known is None]
    count = len(answers) - len(silent)
    print(f"已查询 {count} 个软件包 · asked about {count} of {len(answers)} packages")
    if silent:
        print(f"未能查询 {len(silent)} 个 · could not ask about {len(silent)}: {', '.join(silent)}")
    print(*wrong, sep="\n", end="\n" if wrong else "")
    sys.exit(FINDING if wrong else UNANSWERED if silent and chosen.unanswered == "fail" else 0)


if __name__ == "__main__":
    main()
