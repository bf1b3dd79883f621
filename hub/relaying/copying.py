"""Down: what the case's home took is repeated here, at the home's moment and in the home's order."""

import contextlib
from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from hub.errors import IdReused
from hub.identity import Identity
from hub.intake.advance import neighbours_in
from hub.intake.ledger import Job, Ledger, MailboxRow, PassingRow, Relay, RelayRow, Taken
from hub.relaying import reading
from hub.relaying.faults import RelayDiffers, RelayInvalid, RelayOutOfOrder
from hub.relaying.reading import Passage
from keys.errors import Fault
from protocols import envelope, flow
from protocols.between_hubs import Relayed, Returned
from protocols.entries import Accepted
from protocols.flow import Case, Transition
from protocols.loading import Catalogue
from protocols.refusals import CaseUnknown, DataInvalid


@dataclass(frozen=True, slots=True)
class Carrying(Job):
    """Something that a neighbour handed over; `body` is what it was read from by a directory of `epoch`."""

    passage: Passage
    body: bytes
    epoch: int
    identity: Identity
    catalogue: Catalogue

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whose positions it takes."""
        return self.passage.event.recipients

    @property
    def cases(self) -> tuple[str, ...]:
        """The case it speaks to, and the one that it opens it about."""
        event, about = self.passage.event, None
        with contextlib.suppress(Fault):
            about = flow.subject_case(self.catalogue.message(event.type, event.dataschema)[0].flow, event)
        return (event.subject, about) if about is not None and envelope.is_id(about) else (event.subject,)

    @property
    def message(self) -> tuple[str, str]:
        """What it is known by."""
        return self.passage.event.source, self.passage.event.id

    @property
    def hubs(self) -> tuple[str, ...]:
        """Where it comes from."""
        return (self.passage.hub,)

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter it where it is the next in its hub's list; known where it was carried before."""
        try:
            known = ledger.known.get(self.message)
            if known is not None and known[0] != self.passage.incoming.signing_digest:
                raise IdReused()
            if (found := self._before(ledger)) is not None:
                return Taken(found.log_index, found.tree_size, False)
            if ledger.directory.epoch != self.epoch:
                reading.read(self.body, self.identity, ledger.directory, ledger.now)
            reading.hub_keys(ledger.directory, self.passage.hub, ledger.now)
            return self._enter(ledger)
        except Fault as refusal:
            return refusal

    def _before(self, ledger: Ledger) -> Relay | None:
        """What was entered of it before, in the same way."""
        return next((one for one in self.relays(ledger) if one.way in self.ways), None)

    def relays(self, ledger: Ledger) -> list[Relay]:
        """What was carried of this message, whichever way."""
        found = ledger.passing.relays.get(self.passage.event.subject, ())
        return [one for one in found if (one.source, one.id) == self.message]

    @property
    def ways(self) -> tuple[str, ...]:
        """The ways in which it may have been entered before."""
        return ("down",)

    def _enter(self, ledger: Ledger) -> Taken:
        raise NotImplementedError

    def require_next(self, ledger: Ledger) -> None:
        """Raise RelayOutOfOrder unless it stands next in the list of its hub for this one."""
        expected, position = ledger.passing.taken.get(self.passage.hub, 0) + 1, self.passage.there.position
        if position != expected:
            raise RelayOutOfOrder(
                f"{self.passage.hub} hands over place {position}; {expected} is next", expected=expected
            )

    def require_sent(self, ledger: Ledger) -> None:
        """Raise RelayInvalid where it is said to have been taken here first, and our log does not say so there."""
        first = self.passage.first
        if first.hub != self.identity.hub:
            return
        sent = [one.log_index for one in self.relays(ledger) if one.way == "up" and one.hub == self.passage.hub]
        if sent != [first.index]:
            raise RelayInvalid(f"{self.passage.hub} has a message of ours that was not sent to it")

    def row(self, index: int, way: str, problem: str | None = None) -> RelayRow:
        """What was carried, as it is kept."""
        event = self.passage.event
        return RelayRow(event.subject, index, event.source, event.id, way, self.passage.hub, self.passage.there.index,
                        problem, self.passage.receipts)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Copy(Carrying):
    """A message that its case's home took."""

    def _enter(self, ledger: Ledger) -> Taken:
        passage, event, entry = self.passage, self.passage.event, self.passage.entry
        assert isinstance(entry, Accepted)
        self._require_order(ledger)
        self.require_sent(ledger)
        case, before = self._moved(ledger)
        if passage.there.position is not None and not any(_own(ledger, name) for name in case.involved()):
            raise RelayInvalid("no organisation of this hub has part in the case")
        positions = {name: ledger.next_position(name) for name in event.recipients}
        index = ledger.append(Relayed(
            id=entry.id, digest=entry.digest, source=entry.source, type=entry.type, subject=entry.subject,
            causationid=entry.causationid, home=passage.hub, recipients=positions, at=ledger.at, due=entry.due,
            there=passage.there, first=entry.first, gateway=entry.gateway, version=entry.version,
            assigned=entry.assigned,
        ))  # fmt: skip
        compact, digest = passage.incoming.compact.token, bytes.fromhex(entry.digest.removeprefix("sha-256:"))
        keyed, due = self.message not in ledger.known, date.fromisoformat(entry.due) if entry.due else None
        ledger.passing.messages.append(PassingRow(
            case.id, index, compact, event.source, event.id, passage.incoming.signing_digest, digest, event.type,
            before, case.state, due, keyed, True,
        ))  # fmt: skip
        place = len(ledger.passing.messages)
        ledger.passing.mailbox += [
            MailboxRow(name, at, place, event.expirytime if _own(ledger, name) else None)
            for name, at in positions.items()
        ]
        ledger.passing.positions += [
            (name, entry.recipients[name], at)
            for name, at in positions.items()
            if ledger.directory.home(name) == passage.hub
        ]
        ledger.passing.add(self.row(index, "down"))
        if passage.there.position is not None:
            ledger.passing.step(passage.hub, passage.there.position)
        self._keep(ledger, case, before, due, index)
        return Taken(index, None, True)

    def _keep(self, ledger: Ledger, case: Case, before: str | None, due: date | None, index: int) -> None:
        ledger.parties.update((name, case.id) for name in (*case.parties(), *neighbours_in(ledger, case)))
        if before is None and case.about is not None:
            ledger.links.append((case.about, case.id))
        ledger.cases[case.id] = case
        ledger.changed_cases[case.id] = (case, due)
        ledger.known.setdefault(self.message, (self.passage.incoming.signing_digest, index, None))

    def _require_order(self, ledger: Ledger) -> None:
        """Next in the list; what came before this hub had part in the case has no place there, and stands before."""
        if self.passage.there.position is not None:
            self.require_next(ledger)
        steps = [
            one.there_index
            for one in ledger.passing.relays.get(self.passage.event.subject, ())
            if one.way == "down" and one.there_index is not None
        ]
        if steps and self.passage.there.index <= max(steps):
            raise RelayOutOfOrder(f"a later message of the case was taken before, {max(steps)} in the home's log")

    def _moved(self, ledger: Ledger) -> tuple[Case, str | None]:
        """The case as the message leaves it, and the state before. Raises RelayDiffers."""
        passage, event = self.passage, self.passage.event
        protocol, message = self.catalogue.message(event.type, event.dataschema)
        if not message.schema.accepts(event.data):
            raise DataInvalid(message.schema.findings(event.data, "/data"))
        before = ledger.cases.get(event.subject)
        if before is not None and before.home != passage.hub:
            raise RelayDiffers(f"the case's home is {before.home or self.identity.hub}, not {passage.hub}")
        if event.source == passage.hub and before and not any(m.message == event.message for m in protocol.flow.moves):
            return before, before.state
        if before is None and event.message not in protocol.flow.opening:
            raise CaseUnknown()
        about = ledger.cases.get(flow.subject_case(protocol.flow, event) or "")
        moment, calendar = datetime.fromisoformat(passage.there.at), ledger.directory.calendar
        outcome = flow.advance(protocol.flow, before, event, moment, about, calendar)
        if not isinstance(outcome, Transition):
            raise RelayDiffers(f"{event.type} is not allowed by the case as it is here: {outcome.detail}")
        return msgspec.structs.replace(outcome.case, home=passage.hub), outcome.before


@dataclass(frozen=True, slots=True)
class Return(Carrying):
    """The word of a case's home that it does not take what one of our organisations sent."""

    @property
    def ways(self) -> tuple[str, ...]:
        """The one way."""
        return ("returned",)

    def _enter(self, ledger: Ledger) -> Taken:
        passage, entry = self.passage, self.passage.entry
        assert isinstance(entry, Returned)
        self.require_next(ledger)
        if passage.first.hub != self.identity.hub:
            raise RelayInvalid(f"{passage.hub} returns what was not sent from here")
        self.require_sent(ledger)
        index = ledger.append(Returned(
            id=entry.id, digest=entry.digest, source=entry.source, type=entry.type, subject=entry.subject,
            home=entry.home, problem=entry.problem, at=ledger.at, first=entry.first, there=passage.there,
        ))  # fmt: skip
        assert passage.there.position is not None
        ledger.passing.add(self.row(index, "returned", entry.problem))
        ledger.passing.step(passage.hub, passage.there.position)
        return Taken(index, None, True)


def _own(ledger: Ledger, name: str) -> bool:
    """Whether it is an organisation of this hub."""
    known = ledger.directory.get(name)
    return known is not None and known.home is None
