"""The software bill of materials (CycloneDX 1.6): every locked package with its hashes, licence and who needs it.

Fails when a package has no hash, or a licence that may not come in, and writes nothing then.
"""

import argparse
import sys
import tomllib
import uuid
from collections.abc import Iterable
from pathlib import Path

from build_wheel import commit_time
from cyclonedx.contrib.hash.factories import HashTypeFactory
from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from licences import complaint, licence
from locks import DIRECT, LOCK, NODE_LOCKS, PROJECT, PYTHON_LOCKS, ROOT, Locked, node_packages, python_packages, wanted
from packageurl import PackageURL

NEEDED, WITH_EXTRAS = wanted(), wanted(extras=True)


def locked() -> list[Locked]:
    """Every package of every lock file, once; what the product's own lock says of it goes before the others."""
    packages = [p for lock in PYTHON_LOCKS for p in python_packages(lock)]
    packages += [p for lock in NODE_LOCKS for p in node_packages(lock)]
    return list({(p.ecosystem, p.name, p.version): p for p in reversed(packages)}.values())


def complaints(packages: Iterable[Locked]) -> list[str]:
    """What may not come in, one sentence each."""
    found = [f"{p.name} {p.version} is locked without a hash" for p in packages if not p.hashes]
    return found + [text for p in packages if (text := complaint(p))]


def bill(packages: Iterable[Locked]) -> Bom:
    """The bill of the project and of `packages`; the same lock files at the same commit give the same bill."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    root = Component(name=PROJECT, version=project["version"], type=ComponentType.APPLICATION, bom_ref=PROJECT)
    parts = {p: _component(p) for p in packages}
    bom = Bom(components=parts.values(), serial_number=uuid.uuid5(uuid.NAMESPACE_URL, LOCK.read_text()))
    bom.metadata.component, bom.metadata.timestamp = root, commit_time()
    bom.metadata.tools.components.clear()
    ours = {p: part for p, part in parts.items() if p.text}
    for needer, part in [(DIRECT, root), *((p.name, part) for p, part in ours.items())]:
        bom.register_dependency(part, [needed for p, needed in ours.items() if needer in p.wanted_by])
    return bom


def _component(package: Locked) -> Component:
    """A package may be installed from any of several files, and each hash is that of one."""
    url = PackageURL(package.ecosystem, name=package.name, version=package.version)
    hashes = [HashTypeFactory().from_composite_str(f"{algorithm}:{digest}") for algorithm, digest in package.hashes]
    where, kind = XsUri(str(url)), ExternalReferenceType.DISTRIBUTION
    return Component(
        name=package.name,
        version=package.version,
        type=ComponentType.LIBRARY,
        bom_ref=str(url),
        purl=url,
        scope=_scope(package),
        licenses=[LicenseFactory().make_from_string(licence(package))],
        external_references=[ExternalReference(type=kind, url=where, hashes=[one]) for one in hashes],
    )


def _scope(package: Locked) -> ComponentScope:
    """Required to run, needed by an extra only, or by tests and checks only."""
    if package.ecosystem != "pypi" or not package.text or package.name not in WITH_EXTRAS:
        return ComponentScope.EXCLUDED
    return ComponentScope.REQUIRED if package.name in NEEDED else ComponentScope.OPTIONAL


def written(bom: Bom) -> str:
    """The bill as JSON, held against CycloneDX's own schema."""
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    if error := JsonStrictValidator(SchemaVersion.V1_6).validate_str(text):
        raise SystemExit(f"the bill does not follow its schema: {str(error)[:500]}")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "dist/xieban.cdx.json")
    to: Path = parser.parse_args().to
    packages = locked()
    if problems := complaints(packages):
        sys.exit("\n".join(problems))
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(written(bill(packages)) + "\n")
    print(f"{to}: {len(packages)} 个软件包 · packages")


if __name__ == "__main__":
    main()
