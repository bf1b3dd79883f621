"""What a hub refuses on its own account, and the one catalogue that maps every fault to its HTTP problem."""

import tomllib
from importlib import resources
from typing import Any, ClassVar

import msgspec
from msgspec import UNSET, UnsetType

from keys.errors import Fault


class IdReused(Fault):
    """This source has used this id for another message; sign the new one with a fresh UUIDv7."""

    code: ClassVar[str] = "id-reused"


class SenderUnknown(Fault):
    """The sending organisation is not known here."""

    code: ClassVar[str] = "sender-unknown"


class OtherHub(Fault):
    """The case's home is another hub; send the message there."""

    code: ClassVar[str] = "other-hub"


class Unauthenticated(Fault):
    """This call needs `Authorization: Bearer` with a JWT signed by the organisation's own key."""

    code: ClassVar[str] = "unauthenticated"


class Forbidden(Fault):
    """This is not for the caller."""

    code: ClassVar[str] = "forbidden"


class NotFound(Fault):
    """There is nothing here."""

    code: ClassVar[str] = "not-found"


class MethodNotAllowed(Fault):
    """This address does not take this method."""

    code: ClassVar[str] = "method-not-allowed"


class RequestMalformed(Fault):
    """The request can't be read."""

    code: ClassVar[str] = "request-malformed"


class Gone(Fault):
    """The message was erased; its receipt, its entries and its place stay."""

    code: ClassVar[str] = "gone"


class TooLarge(Fault):
    """The request is larger than this call takes."""

    code: ClassVar[str] = "too-large"


class MediaTypeUnsupported(Fault):
    """This call takes another media type."""

    code: ClassVar[str] = "media-type-unsupported"


class AcknowledgementInvalid(Fault):
    """The acknowledgement does not say what the contract asks for."""

    code: ClassVar[str] = "acknowledgement-invalid"


class NotYetFetched(Fault):
    """The acknowledgement reaches beyond what was handed out."""

    code: ClassVar[str] = "not-yet-fetched"


class PurposeNeeded(Fault):
    """Every look at this case is entered in the log: say what for, `?purpose=trace`."""

    code: ClassVar[str] = "purpose-needed"


class BulletinTooLarge(Fault):
    """The bulletin names more cases than one message can hold; choose a shorter period."""

    code: ClassVar[str] = "bulletin-too-large"


class Overloaded(Fault):
    """The hub has more to do than it can; try again shortly."""

    code: ClassVar[str] = "overloaded"


class Unavailable(Fault):
    """The hub can't reach its database just now; nothing was lost, try again shortly."""

    code: ClassVar[str] = "unavailable"


class Internal(Fault):
    """Something failed inside the hub; nothing was taken."""

    code: ClassVar[str] = "internal"


class AttachmentMismatch(Fault):
    """What was uploaded is not what its digest says; nothing of it was kept."""

    code: ClassVar[str] = "attachment-mismatch"


class RangeNotNext(Fault):
    """The range does not begin where the upload stands; `received` says where that is."""

    code: ClassVar[str] = "range-not-next"


class RangeNotSatisfiable(Fault):
    """There are no such bytes in the attachment."""

    code: ClassVar[str] = "range-not-satisfiable"


class StorageFull(Fault):
    """There is no room for attachments at present; what came so far is kept where that is possible."""

    code: ClassVar[str] = "storage-full"


class Finding(msgspec.Struct, frozen=True):
    """One thing that does not fit: a JSON Pointer (RFC 6901) into the message, and what is wrong there.

    `keyword` is what is not met, for who says it in other words: a keyword of JSON Schema, or a rule of the flow.
    """

    pointer: str
    message: str
    keyword: str | UnsetType = UNSET


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One problem: its HTTP status and its texts in both languages."""

    status: int
    zh: str
    en: str
    retryable: bool = False


CATALOGUE: dict[str, Entry] = msgspec.convert(
    tomllib.loads(resources.files("hub").joinpath("problems.toml").read_text("utf-8")), dict[str, Entry]
)


class Problem(msgspec.Struct, frozen=True):
    """An RFC 9457 problem.

    `errors` says where with JSON Pointers, `allowed_actions` what the case takes instead, `received` how many bytes
    of an upload are here.
    """

    type: str
    status: int
    title: str
    detail: str
    retryable: bool
    errors: list[Finding] | UnsetType = UNSET
    allowed_actions: list[Any] | UnsetType = UNSET
    received: int | UnsetType = UNSET


def problem(fault: Fault, language: str = "zh") -> Problem:
    """The problem of a fault that the catalogue has; `language` is "zh" or "en"."""
    entry = CATALOGUE[fault.code]
    errors, actions = fault.data.get("errors"), fault.data.get("allowed_actions")
    received = fault.data.get("received")
    return Problem(
        type=f"/problems/{fault.code}",
        status=entry.status,
        title=entry.en if language == "en" else entry.zh,
        detail=fault.detail,
        retryable=entry.retryable,
        errors=msgspec.convert(errors, list[Finding]) if errors else UNSET,
        allowed_actions=actions if isinstance(actions, list) else UNSET,
        received=received if isinstance(received, int) else UNSET,
    )
