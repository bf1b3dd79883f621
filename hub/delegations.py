"""Delegations taken in and ended: the organisation's own signed word, in the log and in force at once."""

from datetime import datetime

import msgspec

from hub import entering, log
from hub.errors import IdReused, NotFound
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.intake.prove import Outcome, stored
from hub.organisations import Directory
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.jws import Compact
from protocols import delegation, entries, statements
from protocols.delegation import Delegation, DelegationInvalid, Ending
from protocols.loading import Catalogue
from protocols.receipt import LogProof


class DelegationTaken(msgspec.Struct, frozen=True):
    """A delegation, or its end, as the log has it; `new` unless the same words came before."""

    id: str
    organisation: str
    ended: bool
    new: bool
    log: LogProof


async def take(catalogue: Catalogue, connection: Connection, identity: Identity, token: bytes) -> DelegationTaken:
    """Enter the statement in `token` under the log's lock; the same bytes again get the same answer.

    Only the organisation's own keys count: a gateway can't pass on what it was given. Raises DelegationInvalid,
    NotFound for the end of what never was, IdReused, and the faults of keys and signatures.
    """
    compact, said = delegation.read(token)
    if said.hub != identity.hub:
        raise DelegationInvalid(f"aud is another hub; this one is {identity.hub}")
    if isinstance(said, Delegation):
        _require_scope(said, catalogue)
    async with connection.transaction():
        ledger = await entering.opened(connection)
        row = await connection.fetchrow(SQL["delegation"], said.id)
        placed = _known(row, said, token.decode("ascii"))
        if placed is None:
            _require_own(compact, said, ledger.directory, ledger.now)
            placed = await _enter(connection, identity, ledger, said, token.decode("ascii"))
            new = True
        else:
            new = False
    outcome: Outcome = await stored(connection, placed)
    return DelegationTaken(said.id, said.organisation, isinstance(said, Ending), new, outcome.proof)


def _known(row: object, said: Delegation | Ending, token: str) -> log.Placed | None:
    """Where it stands in the log already, None where it is new. Raises NotFound, IdReused."""
    if isinstance(said, Delegation):
        if row is None:
            return None
        if row["statement"] != token:  # type: ignore[index]
            raise IdReused("jti was used for another delegation")
        return log.Placed(row["log_index"], row["tree_size"])  # type: ignore[index]
    if row is None or row["organisation"] != said.organisation:  # type: ignore[index]
        raise NotFound(f"{said.organisation} gave no delegation {said.id}")
    if row["ended"] is None:  # type: ignore[index]
        return None
    return log.Placed(row["ended_index"], row["ended_size"])  # type: ignore[index]


def _require_scope(said: Delegation, catalogue: Catalogue) -> None:
    types = {f"{protocol.name}.{name}" for protocol in catalogue.protocols.values() for name in protocol.messages}
    families = {f"{type.partition('.')[0]}.*" for type in types}
    if unknown := [one for one in said.scope if one not in types | families | {delegation.MAILBOX}]:
        raise DelegationInvalid(f"no such message or protocol here: {unknown[0]}")


def _require_own(compact: Compact, said: Delegation | Ending, directory: Directory, now: datetime) -> None:
    known = directory.get(said.organisation)
    if known is None:
        raise DelegationInvalid(f"{said.organisation} is not known here")
    jws.verify(compact, known.ring.verifying(compact.header.kid, now, known.algorithms), known.algorithms)
    if abs(now - said.issued) > statements.LEEWAY:
        raise DelegationInvalid("iat is not now: sign it again")
    if known.successor is not None:
        raise DelegationInvalid(f"{known.successor} stands in the place of {known.id}")
    if isinstance(said, Delegation):
        if said.ends <= now:
            raise DelegationInvalid("it is over already")
        if directory.get(said.gateway) is None:
            raise DelegationInvalid(f"{said.gateway} is not known here; a gateway is an organisation with keys")


async def _enter(
    connection: Connection, identity: Identity, ledger: Ledger, said: Delegation | Ending, token: str
) -> log.Placed:
    if isinstance(said, Delegation):
        index = ledger.append(entries.Delegated(said.organisation, said.gateway, said.id, token, ledger.at))
    else:
        index = ledger.append(entries.DelegationEnded(said.organisation, said.id, token, ledger.at))
    size = ledger.size + len(ledger.leaves)
    if isinstance(said, Delegation):
        await connection.execute(SQL["add_delegation"], said.id, said.organisation, token, index, size)
    else:
        await connection.execute(SQL["end_delegation"], said.id, ledger.now, index, size)
    await entering.finish(connection, identity, ledger)
    return log.Placed(index, size)
