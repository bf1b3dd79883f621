"""At the home: a message that another hub took from its organisation is judged as any other, and refused in the log."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from hub.intake.advance import digest_of, require_readable, settle
from hub.intake.ledger import Ledger, MailboxRow, PassingRow, Taken
from hub.intake.validate import judge
from hub.relaying.copying import Carrying
from keys.errors import Fault
from protocols import attachments
from protocols.between_hubs import Returned


@dataclass(frozen=True, slots=True)
class Arrive(Carrying):
    """A message for a case of ours, taken by the hub of its sender."""

    @property
    def ways(self) -> tuple[str, ...]:
        """Taken, or refused."""
        return ("home", "refused")

    @property
    def attachments(self) -> list[bytes]:
        """The attachments it hands on."""
        return [digest_of(one) for one in attachments.named(self.passage.event.data)]

    def _enter(self, ledger: Ledger) -> Taken:
        self.require_next(ledger)
        judged = self._judged(ledger)
        passage = self.passage
        if isinstance(judged, Taken):
            ledger.passing.add(self.row(judged.index, "home"))
        assert passage.there.position is not None
        ledger.passing.step(passage.hub, passage.there.position)
        return judged if isinstance(judged, Taken) else self._refused(ledger, judged)

    def _judged(self, ledger: Ledger) -> Taken | Fault:
        """Taken as any message; its sender's part is judged as of when its own hub took it, the case as it stands."""
        passage, event = self.passage, self.passage.event
        try:
            first = datetime.fromisoformat(passage.first.at)
            protocol = judge(event, self.catalogue, ledger.directory, self.identity.hub, first)
            require_readable(event, ledger.directory, ledger.readers)
        except Fault as refusal:
            return refusal
        token, digest = passage.incoming.compact.token, passage.incoming.signing_digest
        gateway = getattr(passage.entry, "gateway", None)
        return settle(ledger, protocol, event, token, digest, gateway, passage.first)

    def _refused(self, ledger: Ledger, refusal: Fault) -> Taken:
        """Say so in the log and in the list of the hub that it came from."""
        passage, event = self.passage, self.passage.event
        token = passage.incoming.compact.token
        digest = hashlib.sha256(token).digest()
        via = {passage.hub: ledger.next_position(passage.hub)}
        index = ledger.append(Returned(
            id=event.id, digest="sha-256:" + digest.hex(), source=event.source, type=event.type, subject=event.subject,
            home=self.identity.hub, problem=refusal.code, at=ledger.at, first=passage.first, via=via,
        ))  # fmt: skip
        ledger.passing.messages.append(PassingRow(
            event.subject, index, token, event.source, event.id, passage.incoming.signing_digest, digest, event.type,
            None, None, None, True, False,
        ))  # fmt: skip
        place = len(ledger.passing.messages)
        ledger.passing.mailbox += [MailboxRow(hub, at, place, None) for hub, at in via.items()]
        ledger.passing.add(self.row(index, "refused", refusal.code))
        ledger.known[self.message] = (passage.incoming.signing_digest, index, None)
        return Taken(index, None, True)
