"""Whether a protocol holds together: what is looked at when it is loaded, before a hub runs it."""

from pathlib import Path

from protocols import flow_checks, loading, message_checks
from protocols.loading import Catalogue, Protocol
from protocols.refusals import CatalogueInvalid


def require(catalogue: Catalogue) -> Catalogue:
    """`catalogue`, when every protocol in it holds together. Raises CatalogueInvalid with every finding."""
    found = [finding for protocol in catalogue.protocols.values() for finding in findings(protocol)]
    if found:
        raise CatalogueInvalid("; ".join(found[:5]), problems=found)
    return catalogue


def beside(catalogue: Catalogue, folder: Path) -> Catalogue:
    """`catalogue` with the protocols in a folder, which are checked; what is in both is the folder's.

    Raises CatalogueInvalid.
    """
    own = require(loading.load(folder))
    return Catalogue([*catalogue.protocols.values(), *own.protocols.values()])


def findings(protocol: Protocol) -> list[str]:
    """All that is wrong with the protocol, in words; empty when it holds."""
    where = f"{protocol.name} {protocol.version}"
    found = [*flow_checks.findings(protocol.flow), *message_checks.findings(protocol)]
    return [f"{where}: {finding}" for finding in dict.fromkeys(found)]
