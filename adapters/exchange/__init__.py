"""Partners with nothing but files: a folder or SFTP, messages as JSON and Excel, receipts written back, all signed."""

from adapters.exchange.exchange import Exchange
from adapters.exchange.settings import Settings, checked
from adapters.running.configuration import AdapterConfigInvalid, Section
from adapters.running.kinds import Offering
from adapters.running.partner import Partner


def partner(section: Section, offer: Offering) -> Partner:
    """The partner of a section. Raises AdapterConfigInvalid."""
    return Exchange(section, checked(section, section.read(Settings)))


def check(section: Section) -> list[str]:
    """What is wrong with a section; nobody is called."""
    try:
        checked(section, section.read(Settings))
    except AdapterConfigInvalid as fault:
        return [fault.detail]
    return []
