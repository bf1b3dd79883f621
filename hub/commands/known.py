"""The protocols that the commands of a partner know: the shipped ones, and those of its own."""

import os
from pathlib import Path

from hub.commands.options import PROTOCOLS
from protocols import checking, loading
from protocols.loading import Catalogue


def known(folder: Path | None = None) -> Catalogue:
    """The shipped catalogue with what is in `folder`, else in XIEBAN_PROTOCOLS, besides. Raises CatalogueInvalid."""
    named = folder or os.environ.get(PROTOCOLS)
    if not named:
        return loading.catalogue()
    return checking.beside(loading.catalogue(), Path(named))
