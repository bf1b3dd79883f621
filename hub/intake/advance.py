"""Step 6, under the log's lock: the message advances its case, and all that follows is entered in the ledger."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hub.errors import IdReused, OtherHub
from hub.intake.authorise import authorise
from hub.intake.decode import Incoming
from hub.intake.ledger import Job, Ledger, MailboxRow, MessageRow, Taken
from hub.organisations import Directory
from keys.errors import Fault
from protocols import attachments, flow
from protocols.attachments import AttachmentUnknown
from protocols.between_hubs import There
from protocols.deadlines import Due
from protocols.entries import Accepted
from protocols.envelope import Event
from protocols.flow import Case, Transition
from protocols.loading import Protocol
from protocols.refusals import SchemaMismatch


@dataclass(frozen=True, slots=True)
class Candidate(Job):
    """A message that passed every check that needs no case."""

    incoming: Incoming
    event: Event
    protocol: Protocol
    epoch: int

    @property
    def recipients(self) -> tuple[str, ...]:
        """Whose positions it takes."""
        return self.event.recipients

    @property
    def cases(self) -> tuple[str, ...]:
        """The case it speaks to, and the one that it opens it about."""
        about = flow.subject_case(self.protocol.flow, self.event)
        return (self.event.subject,) if about is None else (self.event.subject, about)

    @property
    def attachments(self) -> list[bytes]:
        """The attachments it hands on."""
        return [digest_of(one) for one in attachments.named(self.event.data)]

    @property
    def message(self) -> tuple[str, str]:
        """What it is known by."""
        return self.event.source, self.event.id

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Judge the message against the ledger and, if it is taken, enter all that follows from it."""
        known = ledger.known.get(self.message)
        if known is not None:
            digest, index, tree_size = known
            return Taken(index, tree_size, False) if digest == self.incoming.signing_digest else IdReused()
        try:
            gateway = authorise(self.incoming, self.event, self.protocol, self.epoch, ledger.directory, ledger.now)
            require_readable(self.event, ledger.directory, ledger.readers)
        except Fault as refusal:
            return refusal
        token, digest = self.incoming.compact.token, self.incoming.signing_digest
        taken = settle(ledger, self.protocol, self.event, token, digest, gateway)
        if isinstance(taken, Taken):
            self._give(ledger, taken.index)
        return taken

    def _give(self, ledger: Ledger, index: int) -> None:
        for digest in self.attachments:
            ledger.uses.append((digest, self.event.subject, index))
            for name in (self.event.source, *self.event.recipients):
                ledger.readers[digest].add(name)
                ledger.grants.append((digest, name))


def require_readable(event: Event, directory: Directory, readers: Mapping[bytes, Collection[str]]) -> None:
    """Raise AttachmentUnknown for every attachment that the sender could not read itself.

    Naming one gives it to all recipients: nobody gives away what was never given to it.
    """
    named = attachments.named(event.data)
    own = directory.lineage(event.source) if named else []
    findings = [
        {"pointer": f"/data/attachments/{number}", "message": "not uploaded here by, nor ever given to, the sender"}
        for number, one in enumerate(named)
        if set(own).isdisjoint(readers.get(digest_of(one), ()))
    ]
    if findings:
        raise AttachmentUnknown(findings)


def digest_of(named: str) -> bytes:
    """The 32 bytes of `sha-256:<hex>`, as the schema has it."""
    return bytes.fromhex(named.removeprefix("sha-256:"))


def settle(
    ledger: Ledger,
    protocol: Protocol,
    event: Event,
    token: bytes,
    signing_digest: bytes,
    gateway: str | None = None,
    first: There | None = None,
) -> Taken | Fault:
    """Let the message advance its case, and enter what follows; what the flow has against it otherwise.

    `first` is where another hub took it from its sender.
    """
    before = ledger.cases.get(event.subject)
    opening = event.message in protocol.flow.opening
    if before is not None and not opening and (before.protocol, before.version) != (protocol.name, protocol.version):
        return SchemaMismatch(f"the case follows {before.protocol} {before.version}")
    if before is not None and before.home is not None:
        return OtherHub(f"the case's home is {before.home}")
    about = subject_case(protocol, event, ledger.directory, ledger.cases)
    outcome = flow.advance(protocol.flow, before, event, ledger.now, about, ledger.directory.calendar)
    if not isinstance(outcome, Transition):
        return outcome
    taken = enter(ledger, event, token, signing_digest, outcome.case, outcome.before, outcome.due, gateway,
                  flow.assigned(protocol.flow, before, event), first)  # fmt: skip
    if protocol.flow.hub_acts and (before is None or before.state != outcome.case.state):
        ledger.duties[event.subject] = (taken.index, flow.hub_acts_on(protocol.flow, outcome.case))
    return taken


def subject_case(protocol: Protocol, event: Event, directory: Directory, cases: Mapping[str, Case]) -> Case | None:
    """The case that `event` opens a case about, if it is among `cases` and the sender may see it."""
    about = flow.subject_case(protocol.flow, event)
    case = cases.get(about) if about is not None else None
    return case if case is not None and directory.sees(event.source, case.involved()) else None


def enter(
    ledger: Ledger,
    event: Event,
    token: bytes,
    signing_digest: bytes,
    case: Case,
    before: str | None,
    due: Due | None,
    gateway: str | None = None,
    assigned: str | None = None,
    first: There | None = None,
) -> Taken:
    """Enter a message that leaves `case` as it is given: log entry, positions, step, parties."""
    digest = hashlib.sha256(token).digest()
    positions = {name: ledger.next_position(name) for name in event.recipients}
    via = {hub: ledger.next_position(hub) for hub in neighbours_in(ledger, case)} if ledger.directory.neighbours else {}
    day = due.date if due else None
    index = ledger.append(
        Accepted(
            id=event.id,
            digest="sha-256:" + digest.hex(),
            source=event.source,
            type=event.type,
            subject=event.subject,
            causationid=event.causationid,
            recipients=positions,
            at=ledger.at,
            due=day.isoformat() if day else None,
            gateway=gateway,
            version=case.version,
            assigned=assigned,
            via=via or None,
            first=first,
        )
    )
    provisional = due.provisional if due else False
    step = (event.type, before, case.state, day, provisional)
    row = MessageRow(case.id, index, token, event.source, event.id, signing_digest, digest, *step)
    ledger.messages.append(row)
    place = len(ledger.messages)
    if via:
        _hand_on(ledger, event, place, positions, via)
    else:
        ledger.mailbox += [MailboxRow(name, at, place, event.expirytime) for name, at in positions.items()]
    ledger.parties.update((name, case.id) for name in case.parties())
    if before is None and case.about is not None:
        ledger.links.append((case.about, case.id))
    ledger.cases[case.id] = case
    ledger.changed_cases[case.id] = (case, day)
    ledger.known[event.source, event.id] = (signing_digest, index, None)
    return Taken(index, None, True)


def neighbours_in(ledger: Ledger, case: Case) -> list[str]:
    """The neighbouring hubs of all parties that the case has and had, as far as they are neighbours now."""
    homes = {ledger.directory.home(name) for name in case.involved()}
    return sorted(hub for hub in homes if hub is not None and ledger.directory.neighbour(hub, ledger.now) is not None)


def _hand_on(ledger: Ledger, event: Event, place: int, positions: Mapping[str, int], via: Mapping[str, int]) -> None:
    """Put the message into mailboxes and the lists of the neighbours; whoever is there reads it there in its time."""
    home = ledger.directory.home
    ledger.mailbox += [
        MailboxRow(name, at, place, None if home(name) else event.expirytime) for name, at in positions.items()
    ]
    ledger.mailbox += [MailboxRow(hub, at, place, None) for hub, at in via.items()]
    ledger.parties.update((hub, event.subject) for hub in via)
