"""A section looked at before it is run: what it names is here, its passphrase opens its keys, the hub knows them."""

from collections.abc import Callable
from functools import partial

from adapters.client import Patience, Refused, Undecided
from adapters.running import process
from adapters.running.configuration import AdapterConfigInvalid, Section
from keys.errors import Fault
from keys.keystore import KeyStore

AT_ONCE = Patience(within=0)


class KeysNotTaken(AdapterConfigInvalid):
    """The hub does not take these keys for the organisation."""

    code = "adapter-keys-not-taken"


def here(section: Section, passphrase: str | None) -> list[Fault]:
    """What is wrong with the keys and files that a section names; private keys are opened where a passphrase is given.

    Nobody is called.
    """
    common = section.common
    stores = [KeyStore(folder) for folder in (common.keys, *common.sealed_keys)]
    looks: list[Callable[[], object]] = [
        common.catalogue, partial(process.trusted, common.hub_keys), *(store.public_keys for store in stores)
    ]  # fmt: skip
    found = [fault for look in looks if (fault := _fault(look)) is not None]
    if not found and passphrase is not None:
        fault = _fault(partial(process.this_side, section, passphrase))
        found = [fault] if fault is not None else []
    return found


async def at_hub(section: Section, passphrase: str) -> list[Fault]:
    """What the hub says against the section's keys: KeysNotTaken; Undecided where it does not answer."""
    found: list[Fault] = []
    for organisation, connect in process.this_side(section, passphrase, AT_ONCE).clients.items():
        try:
            async with connect() as client:
                await client.notices(limit=1)
        except Undecided as fault:
            return [fault]
        except Refused as refusal:
            if refusal.reason == "token-invalid":
                found.append(KeysNotTaken(f"{section.common.keys} for {organisation}: {refusal.detail}"))
    return found


def _fault(look: Callable[[], object]) -> Fault | None:
    try:
        look()
    except Fault as fault:
        return fault
    return None
