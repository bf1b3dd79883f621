"""Steps 5 and 6, under the log's lock: authorise by key and case, advance the case, enter it in the ledger."""

import hashlib
from dataclasses import dataclass

from hub.errors import IdReused
from hub.intake.decode import Incoming
from hub.intake.ledger import Ledger, MailboxRow, MessageRow, StepRow
from hub.intake.verify import verify
from keys.errors import Fault
from protocols import envelope, flow
from protocols.entries import Accepted
from protocols.envelope import Event
from protocols.flow import Transition
from protocols.loading import Protocol
from protocols.refusals import SchemaMismatch


@dataclass(frozen=True, slots=True)
class Taken:
    """A message in the log: at `index`, provable under `tree_size` (None: the batch's own); `new` or known."""

    index: int
    tree_size: int | None
    new: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message that passed every check that needs no case."""

    incoming: Incoming
    event: Event
    protocol: Protocol
    epoch: int

    @property
    def case_id(self) -> str:
        """The case it speaks to."""
        return self.event.subject

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Judge the message against the ledger and, if it is taken, enter all that follows from it."""
        event = self.event
        known = ledger.known.get((event.source, event.id))
        if known is not None:
            digest, index, tree_size = known
            return Taken(index, tree_size, False) if digest == self.incoming.signing_digest else IdReused()
        refusal = self._authorise(ledger)
        if refusal is not None:
            return refusal
        before = ledger.cases.get(event.subject)
        if before is not None and not self._same_version(before):
            return SchemaMismatch(f"the case follows {before.protocol} {before.version}")
        outcome = flow.advance(self.protocol.flow, before, event, ledger.now)
        if not isinstance(outcome, Transition):
            return outcome
        return self._enter(ledger, outcome)

    def _same_version(self, case: flow.Case) -> bool:
        opening = self.event.message in self.protocol.flow.opening
        return opening or (case.protocol, case.version) == (self.protocol.name, self.protocol.version)

    def _authorise(self, ledger: Ledger) -> Fault | None:
        """The key's present standing: whatever changed since the signature was verified counts."""
        try:
            if ledger.directory.epoch != self.epoch:
                verify(self.incoming, ledger.directory, ledger.now)
            else:
                sender = ledger.directory.organisations[self.event.source]
                sender.ring.verifying(self.incoming.compact.header.kid, ledger.now, sender.algorithms)
        except Fault as refusal:
            return refusal
        return None

    def _enter(self, ledger: Ledger, outcome: Transition) -> Taken:
        event, case = self.event, outcome.case
        digest = hashlib.sha256(self.incoming.compact.token).digest()
        positions = {name: ledger.next_position(name) for name in event.recipients}
        due = outcome.due.date if outcome.due else None
        index = ledger.append(
            Accepted(
                id=event.id,
                digest="sha-256:" + digest.hex(),
                source=event.source,
                type=event.type,
                subject=event.subject,
                causationid=event.causationid,
                recipients=positions,
                at=envelope.rfc3339(ledger.now),
                due=due.isoformat() if due else None,
            )
        )
        row = MessageRow(
            source=event.source,
            id=event.id,
            case_id=event.subject,
            log_index=index,
            signing_digest=self.incoming.signing_digest,
            digest=digest,
            jws=self.incoming.compact.token,
        )
        ledger.messages.append(row)
        ledger.mailbox += [MailboxRow(name, at, row, event.expirytime) for name, at in positions.items()]
        provisional = outcome.due.provisional if outcome.due else False
        ledger.steps.append(StepRow(row, event.type, outcome.before, case.state, due, provisional))
        ledger.parties.update((name, case.id) for name in case.parties())
        ledger.cases[case.id] = case
        ledger.changed_cases[case.id] = (case, due)
        ledger.known[event.source, event.id] = (self.incoming.signing_digest, index, None)
        return Taken(index, None, True)
