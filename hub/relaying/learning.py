"""What a neighbour's log proves of its organisations: their keys, what they fetched and signed for, moved due dates.

Handed in by the adapter beside this hub, in the order of the neighbour's log; what was learned before is passed over.
"""

import json
from collections.abc import Sequence
from datetime import datetime

import msgspec

from hub import entering
from hub.errors import RequestMalformed
from hub.identity import Identity
from hub.intake.ledger import Ledger
from hub.organisations import load
from hub.relaying import marking, undelivered
from hub.relaying.admitting import cursors
from hub.relaying.faults import OrganisationElsewhere, RelayInvalid
from hub.relaying.reading import hub_keys
from hub.relaying.storing import columns
from hub.store import Connection
from hub.store.queries import SQL
from keys import strict_json
from keys.algorithms import DEFAULT_ALGORITHMS, EVERY_ALGORITHM
from keys.errors import Fault
from keys.jwk import VerifyingKey, parse_public
from protocols import receipt
from protocols.between_hubs import Relayed, There
from protocols.entries import Accepted, DueChanged, Expired, KeyAdded, KeyCompromised, KeyRemoved
from protocols.loading import Catalogue
from protocols.receipt import LogProof, Proven
from protocols.refusals import ReceiptInvalid
from protocols.vouching import Name

MOST = 1_000
LONGEST_NAME = 200
ROLES = frozenset({"bureau", "partner", "supervisor"})
"""What an organisation of a neighbour may be here."""


class Described(msgspec.Struct, frozen=True):
    """An organisation as its hub describes it."""

    name: Name
    roles: list[str]
    algorithms: list[str] = msgspec.field(default_factory=lambda: sorted(DEFAULT_ALGORITHMS))


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /v1/hubs/{id}/entries`: entries of its log, and the organisations they name."""

    entries: list[LogProof]
    scanned: int
    organisations: dict[str, Described] = {}


class Learned(msgspec.Struct, frozen=True):
    """How far a neighbour is known: the last place of its list, the last entry of its log, how far that was read."""

    hub: str
    taken: int
    learned: int
    scanned: int


def parse(body: bytes) -> Told:
    """The body, believed in nothing. Raises RequestMalformed."""
    try:
        told = msgspec.convert(strict_json.loads(body), Told)
    except (Fault, msgspec.ValidationError, UnicodeError) as error:
        raise RequestMalformed(f"entries of a log: {getattr(error, 'detail', error)}") from None
    if len(told.entries) > MOST or not 0 <= told.scanned < 2**62:
        raise RequestMalformed(f"at most {MOST} entries at once")
    return told


async def learn(connection: Connection, identity: Identity, catalogue: Catalogue, hub: str, told: Told) -> Learned:
    """Enter what is news in it, in one transaction, all or nothing. Raises what does not hold."""
    now = await connection.fetchval("SELECT clock_timestamp()")
    proven = prove(told.entries, hub, hub_keys(await load(connection), hub, now))
    async with connection.transaction():
        ledger = await entering.opened(connection)
        hub_keys(ledger.directory, hub, ledger.now)  # it may have ended meanwhile
        taken, learned, scanned = await cursors(connection, hub)
        origin = await _origin(connection, hub, proven)
        student = Student(connection, ledger, identity, catalogue, hub, told.organisations)
        for one in proven:
            if one.index > learned:
                await student.take(one)
                learned = one.index
        scanned = max(scanned, told.scanned, learned + 1)
        await connection.execute(SQL["move_learned"], hub, learned, scanned, origin)
        await student.finish()
    return Learned(hub, taken, learned, scanned)


async def _origin(connection: Connection, hub: str, proven: Sequence[Proven]) -> str | None:
    """The origin of the entries, as of all learned before; None where there are none. Raises RelayInvalid."""
    known = await connection.fetchval(SQL["learned_origin"], hub)
    for origin in {one.checkpoint.origin for one in proven}:
        if known not in (None, origin):
            raise RelayInvalid(f"{hub} was set back and goes on as {origin}; what was learned is of {known}")
        known = origin
    return str(known) if proven else None


def prove(given: Sequence[LogProof], hub: str, keys: Sequence[VerifyingKey]) -> list[Proven]:
    """The entries, each proven to be in the log of `hub`. Raises RelayInvalid."""
    found = []
    for log in given:
        if f"/{hub}/" not in log.origin:
            raise RelayInvalid(f"the entry is of another log than {hub}'s")
        try:
            found.append(receipt.verify_log(log, keys))
        except ReceiptInvalid as fault:
            raise RelayInvalid(f"an entry of {hub}: {fault.detail}") from None
    return found


class Student:
    """Takes a neighbour's entries one after another into the open ledger."""

    def __init__(
        self,
        connection: Connection,
        ledger: Ledger,
        identity: Identity,
        catalogue: Catalogue,
        hub: str,
        described: dict[str, Described],
    ) -> None:
        self._connection, self._ledger, self._identity, self._catalogue = connection, ledger, identity, catalogue
        self._hub, self._described = hub, described
        self._new: set[str] = set()
        self._proofs: list[tuple[str, int, str]] = []
        self._keys_changed = False

    async def take(self, proven: Proven) -> None:
        """The next entry; one that says nothing to this hub is passed over."""
        there = There(self._hub, proven.index, proven.entry.at)
        before = len(self._ledger.leaves)
        match proven.entry:
            case KeyAdded() | KeyRemoved() | KeyCompromised() as entry:
                await self._key(entry, there)
            case Accepted() | Relayed() as entry:
                await marking.place(self._connection, self._ledger, self._hub, entry)
            case DueChanged() as entry:
                await marking.due_changed(self._connection, self._ledger, entry, there)
            case Expired() as entry:
                await undelivered.expired(self._connection, self._ledger, self._identity, self._catalogue, entry, there)
            case entry:
                await marking.mark(self._connection, self._ledger, entry, there)
        if len(self._ledger.leaves) > before:
            self._proofs.append((self._hub, proven.index, msgspec.json.encode(proven.log).decode()))

    async def _key(self, entry: KeyAdded | KeyRemoved | KeyCompromised, there: There) -> None:
        name, ledger = entry.organisation, self._ledger
        neighbour = ledger.directory.neighbours[self._hub]
        if entry.there is not None or not neighbour.covers(name):
            return  # what it says of others counts for nothing
        known = ledger.directory.get(name)
        if known is not None and known.home != self._hub:
            raise OrganisationElsewhere(f"{name} is of {known.home or 'this hub'}, not of {self._hub}")
        at = datetime.fromisoformat(entry.at)
        self._keys_changed = True
        match entry:
            case KeyAdded(kid=kid, jwk=jwk):
                if parse_public(jwk).kid != kid:
                    raise RelayInvalid("the entry names another key than it holds")
                if known is None and name not in self._new:
                    await self._enter(name)
                ledger.append(KeyAdded(name, kid, jwk, ledger.at, there))
                await self._connection.execute(SQL["add_keys"], [name], [kid], [json.dumps(jwk)], at)
            case KeyRemoved(kid=kid):
                ledger.append(KeyRemoved(name, kid, ledger.at, None, there))
                await self._connection.execute(SQL["remove_keys"], name, [kid], at)
            case KeyCompromised(kid=kid, since=since):
                ledger.append(KeyCompromised(name, kid, since, ledger.at, None, there))
                await self._connection.execute(SQL["compromise_key"], name, kid, datetime.fromisoformat(since))

    async def _enter(self, name: str) -> None:
        """A newcomer of the neighbour, as it describes it."""
        said = self._described.get(name)
        if said is None:
            raise RelayInvalid(f"{name} is new here, and is not described")
        for text in (said.name.zh, said.name.en):
            if not (text.strip() and len(text) <= LONGEST_NAME and text.isprintable()):
                raise RelayInvalid(f"the name of {name} is one line of 1 to {LONGEST_NAME} characters")
        roles = [role for role in said.roles if role in ROLES] or ["partner"]
        self._new.add(name)
        algorithms = " ".join(sorted(EVERY_ALGORITHM & set(said.algorithms)))
        await self._connection.execute(SQL["set_organisations"], [name], [said.name.zh], [said.name.en], [None],
                                       [" ".join(roles)], [algorithms])  # fmt: skip
        await self._connection.execute(SQL["set_homes"], [name], self._hub)
        await self._connection.execute(SQL["add_counters"], [name])

    async def finish(self) -> None:
        """Write what was entered."""
        if self._proofs:
            await self._connection.execute(SQL["add_proofs_there"], *columns(self._proofs))
        if self._keys_changed:
            await entering.finish(self._connection, self._identity, self._ledger)
        else:
            await entering.store_alone(self._connection, self._identity, self._ledger)
