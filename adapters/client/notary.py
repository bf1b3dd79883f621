"""The hub's word checked: what it says was logged must be in its log, under its signature."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from adapters.client import answers
from adapters.client.connection import Call, Connection
from adapters.client.directory import understood
from adapters.client.faults import AnswerInvalid, DeliveryInvalid
from keys.jwk import VerifyingKey
from protocols import entries, lineage, mailbox_end, receipt
from protocols.between_hubs import Relayed, Returned
from protocols.entries import Accepted, Carried
from protocols.envelope import Event
from protocols.lineage import Earlier, Lineage, LineageInvalid
from protocols.mailbox_end import MailboxEnd, MailboxEndInvalid
from protocols.receipt import LogProof, Proven, Receipt
from protocols.refusals import ReceiptInvalid

_T = TypeVar("_T")


class Notary:
    """One hub's id, log origin and keys; `pinned` keys are never replaced by what the hub itself publishes."""

    def __init__(self, connection: Connection, pinned: Sequence[VerifyingKey] | None = None) -> None:
        self._connection, self._pinned = connection, pinned is not None
        self.keys: list[VerifyingKey] = list(pinned or ())
        self.hub = ""
        self.lineage = Lineage("")
        self.earlier: Sequence[Earlier] = ()

    @property
    def origin(self) -> str:
        """The log's origin, as of when the hub was last asked."""
        return self.lineage.origin

    async def introduce(self) -> None:
        """Ask the hub who it is; again, for its log may have gone on under another origin meanwhile.

        Raises Refused, Undecided, AnswerInvalid; LineageInvalid where it is not proven to be the log known before.
        """
        content = await self._connection.call(Call("GET", "/v1/hub", token=False))
        document = answers.read(content, answers.HubDocument)
        if not self._pinned:
            self.keys = await self._published()
        shown = lineage.verify(document.log.origin, document.log.earlier, self.keys)
        if self.origin and not shown.knows(self.origin):
            raise LineageInvalid(f"the hub shows the log {shown.origin}, which does not go on from {self.origin}")
        self.hub, self.lineage, self.earlier = document.id, shown, document.log.earlier

    async def receipt(
        self, document: dict[str, Any] | bytes, compact: bytes, event: Event, *, for_hub: bool = False
    ) -> tuple[Receipt, Carried]:
        """The receipt, once it proves that this very message was accepted, or carried to or from its case's home.

        What is `for_hub`, another one, may be returned to it by the home. Raises ReceiptInvalid.
        """
        given = receipt.parse(document)
        at_home: tuple[type[Carried], ...] = (Accepted, Returned) if for_hub else (Accepted,)
        kinds = at_home if event.hub == self.hub else (Relayed, Returned)
        proven = await self._proven(
            lambda: self._standing(receipt.verify(given, self.keys, compact=compact, kinds=kinds))
        )
        assert isinstance(proven.entry, Carried)
        check(proven.entry, event)
        return given, proven.entry

    async def entry(self, log: LogProof) -> Proven:
        """Any entry, once it is proven to be in the log. Raises ReceiptInvalid."""
        return await self._proven(lambda: self._standing(receipt.verify_log(log, self.keys)))

    async def event(self, logged: answers.LoggedEvent) -> Proven:
        """An entry as handed out beside its proof, once both say the same. Raises ReceiptInvalid, DeliveryInvalid."""
        proven = await self.entry(logged.log)
        if dict(entries.as_object(receipt.leaf(logged.log))) != logged.entry:
            raise DeliveryInvalid("the entry is not the one that its proof is for")
        return proven

    async def mailbox_end(self, token: str) -> MailboxEnd:
        """The hub's word where a mailbox ends, once it is proven to be this hub's. Raises MailboxEndInvalid."""

        def prove() -> MailboxEnd:
            end = mailbox_end.verify(token, self.keys)
            if not self.lineage.signed(end.checkpoint):
                raise MailboxEndInvalid("the word is by another log")
            return end

        return await self._proven(prove)

    def lost(self, log: LogProof) -> bool:
        """Whether an entry of this log is in it no more. Raises ReceiptInvalid where it never was."""
        proven = receipt.verify_log(log, self.keys)
        if not self.lineage.knows(proven.checkpoint.origin):
            raise ReceiptInvalid("the receipt is of another log")
        return not self.lineage.stands(proven)

    def _standing(self, proven: Proven) -> Proven:
        if not self.lineage.knows(proven.checkpoint.origin):
            raise ReceiptInvalid("the receipt is of another log")
        if not self.lineage.stands(proven):
            raise ReceiptInvalid("the log went on without this entry: it was lost when the hub was set back")
        return proven

    async def _proven(self, prove: Callable[[], _T]) -> _T:
        """A hub may have a new key by now, which is not asked for where it is pinned, or another origin.

        It is asked once before the proof is refused.
        """
        try:
            return prove()
        except (ReceiptInvalid, MailboxEndInvalid):
            before = self.lineage, {key.kid for key in self.keys}
            await self.introduce()
            if before == (self.lineage, {key.kid for key in self.keys}):
                raise
        return prove()

    async def _published(self) -> list[VerifyingKey]:
        content = await self._connection.call(Call("GET", "/.well-known/jwks.json", token=False))
        published = understood(answers.read(content, answers.KeySet).keys)
        keys = [key for key in published if isinstance(key, VerifyingKey)]
        if not keys:
            raise AnswerInvalid("the hub publishes no key that its receipts could be verified with")
        return keys


def check(entry: Carried, event: Event) -> None:
    """Raise ReceiptInvalid unless a hub's entry speaks of this very message."""
    said = entry.id, entry.source, entry.type, entry.subject
    told = event.id, event.source, event.type, event.subject
    if said != told or getattr(entry, "causationid", event.causationid) != event.causationid:
        raise ReceiptInvalid("the log entry speaks of another message than this one")
    away = isinstance(entry, Returned) or (isinstance(entry, Relayed) and entry.there is None)
    if not isinstance(entry, Returned) and not away and set(entry.recipients) != set(event.recipients):
        raise ReceiptInvalid("the log entry names other recipients than the message")
    if not isinstance(entry, Accepted) and entry.home != event.hub:
        raise ReceiptInvalid("the log entry names another home than the message")
