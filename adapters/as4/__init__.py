"""AS4: an access point (ebMS 3.0, eDelivery's common profile) for partners that have one; see docs/adapters/as4.md."""

from adapters.as4.access_point import AccessPoint
from adapters.as4.ledger import Ledger
from adapters.as4.settings import agreement
from adapters.running.configuration import Section
from adapters.running.kinds import Offering
from adapters.running.partner import Partner


def partner(section: Section, offer: Offering) -> Partner:
    """The partner of a section. Raises AdapterConfigInvalid."""
    return AccessPoint(agreement(section), Ledger(section.common.store), offer)
