"""Neighbours admitted by the anchor's word, and ended: at once, everywhere, each with its entry in the log."""

import json
from collections.abc import Collection

from hub import entering
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.relaying.faults import NeighbourInvalid, NeighbourUnknown
from hub.store import Connection
from hub.store.queries import SQL
from keys.jwk import VerifyingKey, parse_public
from protocols import envelope, vouching
from protocols.between_hubs import NeighbourAdmitted, NeighbourEnded
from protocols.departments import is_hub
from protocols.entries import KeyAdded, KeyRemoved
from protocols.vouching import Constraints, Vouched

HUB_DEPARTMENT = "hub"


async def admit(
    connection: Connection, identity: Identity, vouched: Vouched, url: str, allowed: Collection[str]
) -> int:
    """Make the hub whose chain was verified a neighbour, until the chain expires; how many entries that made.

    Admitting again is how an address, a key, limits and an expiry change. Raises NeighbourInvalid.
    """
    limits = limits_of(vouched)
    async with connection.transaction():
        ledger = await entering.opened(connection)
        _require_other(ledger, identity, vouched)
        divisions, departments = limits.divisions, limits.departments
        index = ledger.append(NeighbourAdmitted(
            hub=vouched.organisation, url=url, expires=envelope.rfc3339(vouched.expires),
            statements=list(vouched.statements), at=ledger.at, divisions=divisions, departments=departments,
        ))  # fmt: skip
        await connection.execute(SQL["set_neighbour"], vouched.organisation, url, _joined(divisions),
                                 _joined(departments), vouched.expires, index)  # fmt: skip
        await _organisation(connection, ledger, vouched, allowed)
        await entering.finish(connection, identity, ledger)
    return len(ledger.leaves)


async def end(connection: Connection, identity: Identity, hub: str) -> bool:
    """End what binds this hub to a neighbour; whether it was in force until now. Raises NeighbourUnknown."""
    async with connection.transaction():
        ledger = await entering.opened(connection)
        if hub not in ledger.directory.neighbours:
            raise NeighbourUnknown(f"{hub} never was a neighbour of this hub")
        in_force = ledger.directory.neighbours[hub].ended is None
        if in_force:
            ledger.append(NeighbourEnded(hub, ledger.at))
            await connection.execute(SQL["end_neighbour"], hub, ledger.now)
            await entering.finish(connection, identity, ledger)
    return in_force


def limits_of(vouched: Vouched) -> Constraints:
    """For whom the hub speaks by the word of everyone who vouches for it: what they say of divisions and departments.

    Raises NeighbourInvalid where two statements set limits: an anchor vouches for a hub itself.
    """
    said = [vouching.claims(statement).constraints for statement in vouched.statements[1:]]
    found = [one for one in said if one is not None]
    if len(found) > 1:
        raise NeighbourInvalid("one statement sets the limits of a neighbour, the anchor's")
    if not found:
        return Constraints()
    departments = found[0].departments
    kept = None if departments is None else [name for name in departments if name != HUB_DEPARTMENT]
    return Constraints(divisions=found[0].divisions, departments=kept)


def _require_other(ledger: Ledger, identity: Identity, vouched: Vouched) -> None:
    hub = vouched.organisation
    if not is_hub(hub) or list(vouched.described.roles) != ["partner"]:
        raise NeighbourInvalid(f"{hub} applies as something else than a hub, which is a partner")
    if hub == identity.hub:
        raise NeighbourInvalid(f"{hub} is this hub itself")
    known = ledger.directory.get(hub)
    if known is not None and known.home != hub:
        raise NeighbourInvalid(f"{hub} is an organisation of this hub already")
    if not any(isinstance(parse_public(key), VerifyingKey) for key in vouched.jwks["keys"]):
        raise NeighbourInvalid(f"{hub} applies without a key that signs")


async def _organisation(connection: Connection, ledger: Ledger, vouched: Vouched, allowed: Collection[str]) -> None:
    """The hub as an organisation of its own: its key reads the list of what is for it."""
    hub, described = vouched.organisation, vouched.described
    await connection.execute(SQL["set_organisations"], [hub], [described.name.zh], [described.name.en], [None],
                             ["partner"], [" ".join(sorted(allowed))])  # fmt: skip
    await connection.execute(SQL["set_homes"], [hub], hub)
    await connection.execute(SQL["add_counters"], [hub])
    known = ledger.directory.get(hub)
    held = {key.kid for key in known.keys if key.removed is None} if known else set()
    given = {key.kid: key.jwk for key in map(parse_public, vouched.jwks["keys"])}
    for kid in sorted(given.keys() - held):
        ledger.append(KeyAdded(hub, kid, given[kid], ledger.at))
        await connection.execute(SQL["add_keys"], [hub], [kid], [json.dumps(given[kid])], ledger.now)
    for kid in sorted(held - given.keys()):
        ledger.append(KeyRemoved(hub, kid, ledger.at))
        await connection.execute(SQL["remove_keys"], hub, [kid], ledger.now)


def _joined(codes: list[str] | None) -> str | None:
    return None if codes is None else " ".join(codes)


async def cursors(connection: Connection, hub: str) -> tuple[int, int, int]:
    """How far the neighbour's list was dealt with, its log learned, and its log looked through."""
    rows = await connection.fetch(SQL["neighbour_cursors"], [hub])
    if not rows:
        raise NeighbourUnknown()
    return rows[0]["taken"], rows[0]["learned"], rows[0]["scanned"]
