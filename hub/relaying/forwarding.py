"""Up: what one of our organisations sends in a case of another home is kept, proven and put into that home's list."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from hub.errors import IdReused, OtherHub
from hub.intake.authorise import authorise
from hub.intake.decode import Incoming
from hub.intake.ledger import Job, Ledger, MailboxRow, PassingRow, RelayRow, Taken
from hub.intake.validate import validate
from hub.intake.verify import verify
from hub.organisations import Directory
from hub.relaying.faults import NeighbourUnknown
from keys.errors import Fault
from protocols.attachments import AttachmentUnknown, named
from protocols.between_hubs import Relayed
from protocols.envelope import Event
from protocols.loading import Catalogue, Protocol
from protocols.refusals import CaseUnknown, NotAParty


@dataclass(frozen=True, slots=True)
class Forward(Job):
    """A message of one of our organisations for another home; the case is not moved by it before the home takes it."""

    incoming: Incoming
    event: Event
    protocol: Protocol
    epoch: int

    @property
    def recipients(self) -> tuple[str, ...]:
        """The list that it goes into."""
        return (self.event.hub,)

    @property
    def cases(self) -> tuple[str, ...]:
        """The case it speaks to."""
        return (self.event.subject,)

    @property
    def message(self) -> tuple[str, str]:
        """What it is known by."""
        return self.event.source, self.event.id

    @property
    def hubs(self) -> tuple[str, ...]:
        """Where it goes."""
        return (self.event.hub,)

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter `relayed` without advancing anything; known where it was sent before."""
        known = ledger.known.get(self.message)
        if known is not None:
            digest, index, tree_size = known
            return Taken(index, tree_size, False) if digest == self.incoming.signing_digest else IdReused()
        try:
            gateway = authorise(self.incoming, self.event, self.protocol, self.epoch, ledger.directory, ledger.now)
            self._require_part(ledger)
        except Fault as refusal:
            return refusal
        return self._enter(ledger, gateway)

    def _require_part(self, ledger: Ledger) -> None:
        """Raise unless the home is a neighbour now, and the sender has part in the case as it is known here."""
        event = self.event
        if ledger.directory.neighbour(event.hub, ledger.now) is None:
            raise NeighbourUnknown(f"{event.hub} is no neighbour of this hub now")
        case = ledger.cases.get(event.subject)
        if case is None or case.home != event.hub:
            raise CaseUnknown(f"no case of {event.hub} with this id is known here")
        if event.source not in case.parties():
            raise NotAParty()
        if named(event.data):
            why = "attachments do not go to another hub"
            raise AttachmentUnknown([{"pointer": "/data/attachments", "message": why}])

    def _enter(self, ledger: Ledger, gateway: str | None) -> Taken:
        event, token = self.event, self.incoming.compact.token
        digest = hashlib.sha256(token).digest()
        via = {event.hub: ledger.next_position(event.hub)}
        index = ledger.append(Relayed(
            id=event.id, digest="sha-256:" + digest.hex(), source=event.source, type=event.type, subject=event.subject,
            causationid=event.causationid, home=event.hub, recipients={}, at=ledger.at, via=via, gateway=gateway,
            version=self.protocol.version,
        ))  # fmt: skip
        ledger.passing.messages.append(PassingRow(
            event.subject, index, token, event.source, event.id, self.incoming.signing_digest, digest, event.type,
            None, None, None, True, False,
        ))  # fmt: skip
        place = len(ledger.passing.messages)
        ledger.passing.mailbox += [MailboxRow(hub, at, place, None) for hub, at in via.items()]
        ledger.passing.add(RelayRow(event.subject, index, event.source, event.id, "up", event.hub, None, None, "[]"))
        ledger.known[self.message] = (self.incoming.signing_digest, index, None)
        return Taken(index, None, True)


def forward(incoming: Incoming, catalogue: Catalogue, directory: Directory, hub: str, now: datetime) -> Forward:
    """The job of a message that came to `POST /v1/relay` from its sender. Raises what refuses it."""
    home = str(incoming.attributes.get("hub"))
    verify(incoming, directory, now)
    if home == hub:
        raise OtherHub(f"{home} is this hub: send the message to /v1/messages")
    event, protocol = validate(incoming.attributes, catalogue, directory, home, now)
    if event.message in protocol.flow.opening:
        raise OtherHub("a case is opened at the hub of its opener, which is its home")
    return Forward(incoming, event, protocol, directory.epoch)
