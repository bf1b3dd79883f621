"""A province's platform over REST: what it has is pulled or pushed to us, what comes down is pushed to it.

Its JSON and our messages are turned into each other by a mapping that is data (docs/decisions/0029-provincial.md).
"""

from adapters.provincial.checking import check
from adapters.provincial.platform import Platform
from adapters.provincial.settings import Settings
from adapters.running.configuration import Section
from adapters.running.kinds import Offering
from adapters.running.partner import Partner

__all__ = ["check", "partner"]


def partner(section: Section, offer: Offering) -> Partner:
    """The platform of a section. Raises AdapterConfigInvalid."""
    return Platform(section.common, section.read(Settings), offer)
