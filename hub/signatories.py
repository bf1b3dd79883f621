"""Whose key counts as an organisation's: its own, or that of a gateway it lets sign for it."""

from collections.abc import Iterator
from datetime import datetime

from hub.organisations import Delegated, Directory, Organisation
from protocols.delegation import DelegationExceeded


def signatory(
    directory: Directory, organisation: Organisation, kid: str | None, wanted: str, now: datetime
) -> Organisation:
    """Who signs under `kid` for `organisation`: itself, or a gateway whose delegation covers `wanted` at `now`.

    `wanted` is a message's type or `delegation.MAILBOX`. Whether the key is known and valid is for the ring of
    whoever is returned to say. Raises DelegationExceeded for a gateway without a delegation that reaches this far.
    """
    if organisation.ring.knows(kid):
        return organisation
    held = False
    for given, gateway in _gateways(directory, organisation, kid):
        held = True
        if given.in_force(now) and given.statement.covers(wanted, now):
            return gateway
    if held:
        raise DelegationExceeded(f"signed for {organisation.id} by a gateway that may not do so: {wanted}")
    return organisation


def signed_as(directory: Directory, organisation: Organisation, kid: str | None) -> Organisation:
    """Who, of all that ever might, signed under `kid` for `organisation`; for showing what was taken long ago."""
    if not organisation.ring.knows(kid):
        for _, gateway in _gateways(directory, organisation, kid):
            return gateway
    return organisation


def _gateways(
    directory: Directory, organisation: Organisation, kid: str | None
) -> Iterator[tuple[Delegated, Organisation]]:
    for given in organisation.delegations:
        gateway = directory.get(given.statement.gateway)
        if gateway is not None and gateway.ring.knows(kid):
            yield given, gateway
