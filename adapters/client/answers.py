"""What a hub's answers look like, as far as this SDK reads them: what it does not know it lets pass."""

from datetime import date, datetime
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from adapters.client.faults import AnswerInvalid
from protocols.lineage import Earlier
from protocols.receipt import LogProof
from protocols.turnaround import Spent, Stage

_T = TypeVar("_T")


class HubLog(msgspec.Struct, frozen=True):
    """The hub's transparency log, and the origins that it had before."""

    origin: str
    earlier: list[Earlier] = []


class HubDocument(msgspec.Struct, frozen=True):
    """`GET /v1/hub`."""

    id: str
    log: HubLog


class KeySet(msgspec.Struct, frozen=True):
    """A JWK Set, its keys not yet judged."""

    keys: list[dict[str, Any]]


class Name(msgspec.Struct, frozen=True):
    """A name in both languages."""

    zh: str
    en: str


class Organisation(msgspec.Struct, frozen=True):
    """`GET /v1/organisations/{id}`."""

    id: str
    name: Name
    superior: str | None
    roles: list[str]
    algorithms: list[str] = []
    """What it may sign with; a hub of an earlier version does not say."""


class Organisations(msgspec.Struct, frozen=True):
    """`GET /v1/organisations`."""

    items: list[Organisation]


class MailboxItem(msgspec.Struct, frozen=True):
    """One position of a mailbox: a message with its receipt, or the mark of one that expired or was erased."""

    position: int
    message: str | None = None
    receipt: dict[str, Any] | None = None
    receipts: list[dict[str, Any]] = []
    """Those of the hubs that it passed before."""
    expired: bool = False
    erased: bool = False


class MailboxPage(msgspec.Struct, frozen=True):
    """`GET /v1/mailbox`."""

    items: list[MailboxItem]
    next: int
    behind: int
    proof: str | None = None


class Acknowledged(msgspec.Struct, frozen=True):
    """An acknowledgement taken; `log` proves its entry, absent where everything was acknowledged before."""

    recipient: str
    through: int
    new: bool
    log: LogProof | None = None


class Verdict(msgspec.Struct, frozen=True):
    """A preflight: would the message be taken now? Every problem, else the state and due date it would leave."""

    acceptable: bool
    problems: list[dict[str, Any]] = []
    state: str | None = None
    due: str | None = None


class CaseHead(msgspec.Struct, frozen=True):
    """What the SDK itself needs of a case."""

    id: str
    protocol: str
    version: str
    state: str
    opener: str
    responder: str
    participants: list[str] = []
    home: str | None = None
    """The hub that alone advances it, where that is another one."""

    def parties(self) -> list[str]:
        """Opener, responder and participants, as of now."""
        return list(dict.fromkeys((self.opener, self.responder, *self.participants)))


class CasePage(msgspec.Struct, frozen=True):
    """`GET /v1/cases`."""

    items: list[dict[str, Any]]
    next: str | None = None


class LoggedEvent(msgspec.Struct, frozen=True):
    """An entry of the log with its proof; `there` proves the entry of another hub that it names."""

    entry: dict[str, Any]
    log: LogProof
    there: LogProof | None = None


class Receipts(msgspec.Struct, frozen=True):
    """`GET /v1/messages/{source}/{id}/receipts`: what each hub entered of it."""

    earlier: list[dict[str, Any]]
    own: list[dict[str, Any]]


class Events(msgspec.Struct, frozen=True):
    """`GET /v1/messages/{source}/{id}/events`."""

    events: list[LoggedEvent]


class Notice(msgspec.Struct, frozen=True):
    """An item of `GET /v1/notices`: `days` before the due date that it was for; `about` is who is late."""

    id: int
    recipient: str
    kind: str
    title: Name
    made: str
    case: str | None = None
    due: date | None = None
    days: int | None = None
    about: tuple[str, ...] = ()


class Notices(msgspec.Struct, frozen=True):
    """`GET /v1/notices`."""

    items: list[Notice]
    next: int


class CaseClock(msgspec.Struct, frozen=True):
    """`GET /v1/cases/{id}/clock`."""

    protocol: str
    version: str
    at: Annotated[datetime, Meta(tz=True)]
    stages: tuple[Stage, ...]
    calendar: Spent
    working: Spent
    events: list[LoggedEvent]


def read(content: bytes, kind: type[_T]) -> _T:
    """The answer as a value. Raises AnswerInvalid."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise AnswerInvalid(f"the answer is not a {kind.__name__}: {str(error)[:300]}") from error


def convert(value: object, kind: type[_T]) -> _T:
    """A part of an answer as a value. Raises AnswerInvalid."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.MsgspecError as error:
        raise AnswerInvalid(f"the answer holds something else than a {kind.__name__}: {str(error)[:300]}") from error


class Holding(msgspec.Struct, frozen=True):
    """A stretch of a case, by the message that began it and the log entry that proves it."""

    message: str | None
    log: LogProof


class Holders(msgspec.Struct, frozen=True):
    """The stretches of a case."""

    holdings: list[Holding]


class DelegationTaken(msgspec.Struct, frozen=True):
    """`POST /v1/delegations`."""

    id: str
    ended: bool
    log: LogProof


class Revoked(msgspec.Struct, frozen=True):
    """`POST /v1/revocations`: `new` unless the log said all of it before."""

    new: bool
    log: LogProof
    compromised: LogProof | None


class Received(msgspec.Struct, frozen=True):
    """`PUT /v1/attachments/{sha256}`."""

    received: int
    complete: bool
