"""Case events on a message bus that a province runs already (NATS JetStream, RabbitMQ), as CloudEvents.

What identifies a person stays sealed, and off the bus (docs/decisions/0032-bus.md).
"""

from collections.abc import Callable

from adapters.bus.events import Place
from adapters.bus.partner import BusPartner
from adapters.bus.port import Bus
from adapters.bus.settings import Settings, openers, settings
from adapters.running.configuration import AdapterConfigInvalid, Section
from adapters.running.partner import Offer
from keys.errors import Fault


def partner(section: Section, offer: Callable[[Offer], bool]) -> BusPartner:
    """The bus that a section names. Raises AdapterConfigInvalid, KeyStoreFault."""
    known = settings(section)
    keys = openers(section) if known.wanted else []
    place = Place(known.prefix, known.results)
    return BusPartner(bus(section, known), offer, section, known, place, keys)


def check(section: Section) -> list[str]:
    """What is wrong with a section, its secrets and its keys; nobody is called."""
    try:
        known = settings(section)
        if known.wanted is not None:
            openers(section)
        bus(section, known).check()
    except Fault as fault:
        return [fault.detail]
    return []


def bus(section: Section, known: Settings) -> Bus:
    """The bus behind the port; its library is loaded only now. Raises AdapterConfigInvalid."""
    kinds = {"nats": "nats", "tls": "nats", "amqp": "amqp", "amqps": "amqp"}
    found = {kinds.get(one.partition("://")[0], "") for one in known.servers}
    try:
        if found == {"nats"}:
            from adapters.bus.jetstream import JetStream

            return JetStream(known, section.common.organisations)
        if found == {"amqp"}:
            from adapters.bus.rabbitmq import RabbitMQ

            return RabbitMQ(known, section.common.organisations)
    except ImportError as error:
        raise AdapterConfigInvalid(f"{error.name} is not installed: pip install 'xieban[bus]'", check="extra") from None
    raise AdapterConfigInvalid(f"[adapters.{section.name}] servers are nats:// or tls://, or else amqp:// or amqps://")
