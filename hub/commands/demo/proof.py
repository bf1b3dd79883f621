"""What the demo proves: nothing accepted was lost or doubled, no mailbox has a gap, every receipt holds offline."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from adapters.client import Client, Sent
from hub.commands.demo.board import entry_of
from hub.commands.demo.bureau import Bureau
from keys.errors import Fault
from keys.jwk import VerifyingKey
from protocols import receipt
from protocols.receipt import Proven

PAGE = 500


class NotProven(Fault):
    """What the hub has handed out does not hold."""

    code: ClassVar[str] = "demo-not-proven"


@dataclass(frozen=True, slots=True)
class Kept:
    """How much was found again: messages by their receipts, and the mailbox positions walked."""

    receipts: int
    positions: int
    mailboxes: int


async def still_there(bureaus: Sequence[Bureau], receipts: Sequence[Sent]) -> Kept:
    """Every mailbox read again from where this run began, every one of the `receipts` looked for in them.

    Raises NotProven where a position is missing, a message stands twice, or a receipt's message is not where
    the receipt says, byte for byte.
    """
    mailboxes = {bureau.id: await _mailbox(bureau.client, bureau.began) for bureau in bureaus}
    for sent in receipts:
        entry = entry_of(sent)
        for recipient, position in entry.recipients.items():
            found = mailboxes[recipient].get(position)
            if found != (entry.source, sent.id, sent.receipt.digest, sent.receipt.log.index):
                raise NotProven(f"message {sent.id} is not at position {position} of {recipient}")
    return Kept(len(receipts), sum(map(len, mailboxes.values())), len(mailboxes))


async def _mailbox(client: Client, began: int) -> dict[int, tuple[str, str, str, int]]:
    """What lies at each position after `began`; the SDK has verified each message with its receipt."""
    found: dict[int, tuple[str, str, str, int]] = {}
    after, behind = began, 1
    while behind:
        page = await client.poll(after, limit=PAGE)
        for item in page.items:
            digest, index = receipt.digest(item.compact), item.receipt.log.index
            found[item.position] = (item.event.source, item.event.id, digest, index)
        after, behind = page.next, page.behind
    if sorted(found) != list(range(began + 1, after + 1)):
        raise NotProven(f"the mailbox of {client.organisation} has a gap")
    if len({said[:2] for said in found.values()}) != len(found):
        raise NotProven(f"a message stands twice in the mailbox of {client.organisation}")
    return found


def offline(receipts: Iterable[Sent], keys: Sequence[VerifyingKey]) -> list[Proven]:
    """Every receipt proven with the hub's public `keys` alone, in the order of the log. Raises ReceiptInvalid."""
    proven = [receipt.verify(sent.receipt, keys, compact=sent.compact) for sent in receipts]
    return sorted(proven, key=lambda one: one.index)
