"""Keys taken out of use at once: by the operator, or by the signed word of who stands above their organisation.

What a key signed before stays verifiable; what was taken from the moment on when it may have leaked is marked.
"""

from datetime import datetime
from typing import NamedTuple

import msgspec

from hub import entering, log
from hub.errors import Forbidden, NotFound, SenderUnknown
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.organisations import Directory, Key
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.jws import Compact
from protocols import entries, envelope, revocation
from protocols.entries import KeyCompromised, KeyRemoved
from protocols.receipt import LogProof
from protocols.revocation import Revocation, RevocationInvalid


class Revoked(msgspec.Struct, frozen=True):
    """A key out of use, as the log has it; `new` unless all of it was there before.

    `log` proves the entry that took the key out of use, `compromised` the one that says since when it may have leaked.
    """

    organisation: str
    kid: str
    new: bool
    log: LogProof
    compromised: LogProof | None


class Placed(NamedTuple):
    """Where the log says that a key is out of use, and since when it may have leaked."""

    removed: log.Placed
    compromised: log.Placed | None

    @property
    def last(self) -> int:
        """The index of the later of the two."""
        return max(place.index for place in self if place is not None)


async def revoke(
    connection: Connection, identity: Identity, organisation: str, kid: str, since: datetime | None
) -> tuple[int, bool]:
    """The operator's way: take a key out of use, with `since` as one that may have leaked by then.

    Returns the index of the last entry on it, and whether the key was in use until now. Raises NotFound,
    RevocationInvalid.
    """
    async with connection.transaction():
        ledger = await entering.opened(connection)
        if since is not None and since > ledger.now:
            raise RevocationInvalid("a key can't have leaked in the future")
        if since is not None:
            revocation.require_moment(since)
        key = _key(ledger.directory, organisation, kid)
        _require_own(ledger.directory, organisation)
        await _enter(connection, identity, ledger, organisation, key, since)
        placed = await _placed(connection, organisation, kid)
    return placed.last, key.removed is None


async def take(connection: Connection, identity: Identity, token: bytes) -> Revoked:
    """Enter the statement in `token` under the log's lock; the same bytes again revoke nothing that came after them.

    Raises RevocationInvalid, SenderUnknown, Forbidden, NotFound, and the faults of keys and signatures.
    """
    compact, said = revocation.read(token)
    statement = token.decode("ascii")
    async with connection.transaction():
        ledger = await entering.opened(connection)
        if not any(word.statement == statement for _, word in await _words(connection, said.organisation, said.kid)):
            _require_signed(compact, said, identity.hub, ledger)
            key = _key(ledger.directory, said.organisation, said.kid)
            _require_own(ledger.directory, said.organisation, said.signer)
            _require_above(said, ledger.directory)
            await _enter(connection, identity, ledger, said.organisation, key, said.compromised_since, statement)
        placed = await _placed(connection, said.organisation, said.kid)
    proven = await log.prove(connection, [place for place in placed if place is not None])
    proofs = [one.proof for one in proven]
    leaked = proofs[1] if placed.compromised is not None else None
    return Revoked(said.organisation, said.kid, bool(ledger.leaves), proofs[0], leaked)


def _require_signed(compact: Compact, said: Revocation, hub: str, ledger: Ledger) -> None:
    """Raise unless a key that its signer has now signed it, for this hub and this moment."""
    signer = ledger.directory.get(said.signer)
    if signer is None:
        raise SenderUnknown(f"{said.signer} is not known here")
    jws.verify(compact, signer.ring.verifying(compact.header.kid, ledger.now, signer.algorithms), signer.algorithms)
    revocation.check(said, hub, ledger.now)


def _require_own(directory: Directory, *names: str) -> None:
    """Raise Forbidden for organisations of another hub, which revokes their keys itself."""
    for name in names:
        if (home := directory.home(name)) is not None and home != name:
            raise Forbidden(f"{name} is of {home}, where its keys are revoked")


def _require_above(said: Revocation, directory: Directory) -> None:
    """Raise Forbidden unless the signer is the organisation, stands above it, or in the place of one of these."""
    line = [said.organisation, *directory.above(said.organisation)]
    if said.signer != said.organisation and said.signer not in map(directory.heir, line):
        raise Forbidden(f"{said.signer} is not above {said.organisation}")


def _key(directory: Directory, organisation: str, kid: str) -> Key:
    known = directory.get(organisation)
    found = next((key for key in known.keys if key.kid == kid), None) if known else None
    if found is None:
        raise NotFound(f"{organisation} never had a key {kid[:60]}")
    return found


async def _enter(
    connection: Connection,
    identity: Identity,
    ledger: Ledger,
    organisation: str,
    key: Key,
    since: datetime | None,
    statement: str | None = None,
) -> None:
    """What of it the log does not say yet; the moment of a leak only ever moves back."""
    kid = key.kid
    if key.removed is None:
        ledger.append(KeyRemoved(organisation, kid, ledger.at, statement))
        await connection.execute(SQL["remove_keys"], organisation, [kid], ledger.now)
    if since is not None and (key.compromised is None or since < key.compromised):
        ledger.append(KeyCompromised(organisation, kid, envelope.rfc3339(since), ledger.at, statement))
        await connection.execute(SQL["compromise_key"], organisation, kid, since)
    if ledger.leaves:
        await entering.finish(connection, identity, ledger)


async def _words(
    connection: Connection, organisation: str, kid: str
) -> list[tuple[log.Placed, KeyRemoved | KeyCompromised]]:
    """What the log says against a key, in order."""
    found = []
    for row in await connection.fetch(SQL["key_words"], organisation):
        entry = entries.decode(row["leaf"])
        if isinstance(entry, KeyRemoved | KeyCompromised) and entry.kid == kid:
            found.append((log.Placed(row["log_index"], row["tree_size"]), entry))
    return found


async def _placed(connection: Connection, organisation: str, kid: str) -> Placed:
    """The last words against a key that is out of use."""
    words = await _words(connection, organisation, kid)
    removed = [place for place, entry in words if isinstance(entry, KeyRemoved)]
    compromised = [place for place, entry in words if isinstance(entry, KeyCompromised)]
    return Placed(removed[-1], compromised[-1] if compromised else None)
