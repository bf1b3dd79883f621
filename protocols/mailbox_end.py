"""The hub's signed word where a mailbox ends: that nothing else was delivered, provable to a third."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from keys import checkpoint as notes
from keys import jws, strict_json
from keys.algorithms import EVERY_ALGORITHM
from keys.checkpoint import Checkpoint
from keys.errors import Fault
from keys.jwk import SigningKey, VerifyingKey
from protocols.entries import Accepted
from protocols.receipt import Proven

TYP = "xieban-mailbox+jws"


class MailboxEndInvalid(Fault):
    """What is shown as the hub's word where a mailbox ends is not that, or not this hub's."""

    code: ClassVar[str] = "mailbox-end-invalid"


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    recipient: str
    position: int
    checkpoint: str
    iat: int


@dataclass(frozen=True, slots=True)
class MailboxEnd:
    """No message in the tree of `checkpoint` has a position beyond `position` in the mailbox of `recipient`."""

    recipient: str
    position: int
    checkpoint: Checkpoint
    at: datetime
    token: str

    def contradicts(self, proven: Proven) -> bool:
        """Whether the hub says by a proven entry that it delivered what it says here it had not.

        The log held the message by then, at a position that this word has as empty: one of the two words is false,
        and the hub signed both.
        """
        entry = proven.entry
        if not isinstance(entry, Accepted) or proven.checkpoint.origin != self.checkpoint.origin:
            return False
        return proven.index < self.checkpoint.size and entry.recipients.get(self.recipient, 0) > self.position


def sign(recipient: str, position: int, note: str, key: SigningKey, now: datetime) -> str:
    """The hub's word, as a compact JWS; `note` is its signed checkpoint, `position` the last one by then or later."""
    said = _Said(recipient, position, note, int(now.timestamp()))
    return jws.sign(msgspec.json.encode(said), key, typ=TYP).decode()


def verify(token: str, keys: Iterable[VerifyingKey], *, origin: str | None = None) -> MailboxEnd:
    """The word, once one of the hub's public `keys` is shown to have signed it and its checkpoint, of log `origin`.

    Raises MailboxEndInvalid, naming what does not hold.
    """
    trusted = {key.kid: key for key in keys}
    try:
        compact = jws.decode(token.encode(), typ=TYP)
        said = msgspec.convert(strict_json.loads(compact.payload), _Said)
        key = trusted.get(compact.header.kid or "")
        if key is None:
            raise MailboxEndInvalid("it is not signed with a key of this hub", kid=compact.header.kid)
        jws.verify(compact, key, EVERY_ALGORITHM)
        head = notes.verify_checkpoint(said.checkpoint, trusted.values(), origin)
        if said.position < 0 or not said.recipient:
            raise MailboxEndInvalid("it names no position of a mailbox")
        return MailboxEnd(said.recipient, said.position, head, datetime.fromtimestamp(said.iat, UTC), token)
    except MailboxEndInvalid:
        raise
    except (Fault, msgspec.ValidationError, ValueError, OverflowError, OSError) as error:
        raise MailboxEndInvalid(str(error)) from error
