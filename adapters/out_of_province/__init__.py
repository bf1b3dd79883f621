"""Hub to hub: reads what a neighbouring hub has for this one, and hands it to this hub.

It runs beside this hub, with this hub's own key: at the neighbour it is the organisation `410000-hub`, which reads its
list as a mailbox; at its own hub it is that hub (docs/adapters/out_of_province.md). Everything is proven by the
neighbour's log and judged by this hub; the adapter is believed in nothing but how an organisation is called.
"""

from adapters.out_of_province.carrying import Carrier, Settings
from adapters.running.configuration import Section
from adapters.running.kinds import Offering
from adapters.running.partner import Partner


def partner(section: Section, offer: Offering) -> Partner:
    """The hub that the section is beside, as the far side of its neighbour. Raises AdapterConfigInvalid."""
    return Carrier(section.common.organisations, section.read(Settings))
