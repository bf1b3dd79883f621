"""Why a message is not taken: one class a reason, each with a stable code and the data to act on."""

from collections.abc import Sequence
from typing import ClassVar

from keys.errors import Fault


class PayloadMalformed(Fault):
    """The signed payload is not a JSON object."""

    code: ClassVar[str] = "payload-malformed"


class Invalid(Fault):
    """Something in the message does not fit; `errors` lists every place with a JSON Pointer (RFC 6901)."""

    code: ClassVar[str] = "invalid"

    def __init__(self, errors: Sequence[dict[str, str]], detail: str | None = None) -> None:
        places = "; ".join(f"{error['pointer'] or '/'}: {error['message']}" for error in errors[:3])
        super().__init__(detail or places, errors=list(errors))


class EnvelopeInvalid(Invalid):
    """The CloudEvents envelope does not fit its schema."""

    code: ClassVar[str] = "envelope-invalid"


class DataInvalid(Invalid):
    """The open part of the message does not fit its schema."""

    code: ClassVar[str] = "data-invalid"


class SealingInvalid(Invalid):
    """The sealed part is missing, not allowed here, or not sealed to those it must be sealed to."""

    code: ClassVar[str] = "sealing-invalid"


class RecipientsInvalid(Invalid):
    """The recipients are not those that this message must reach."""

    code: ClassVar[str] = "recipients-invalid"


class TimeOutOfRange(Fault):
    """The message's time is more than 5 minutes ahead of the hub or more than 30 days old."""

    code: ClassVar[str] = "time-out-of-range"


class Expired(Fault):
    """The message had already expired when it arrived."""

    code: ClassVar[str] = "message-expired"


class TypeUnknown(Fault):
    """No protocol in the catalogue has this message."""

    code: ClassVar[str] = "type-unknown"


class SchemaMismatch(Fault):
    """`dataschema` is not the schema of this type, or not of the version the case was opened with."""

    code: ClassVar[str] = "dataschema-mismatch"


class CaseExists(Fault):
    """This case id is taken; open a case with a fresh UUIDv7."""

    code: ClassVar[str] = "case-exists"


class CaseUnknown(Fault):
    """There is no case with this id; open it first."""

    code: ClassVar[str] = "case-unknown"


class NotAParty(Fault):
    """The sender is not a party of this case."""

    code: ClassVar[str] = "not-a-party"


class RoleNotAllowed(Fault):
    """This message is for another role of the case to send."""

    code: ClassVar[str] = "role-not-allowed"


class NotAllowedNow(Fault):
    """The case does not allow this message in its present state."""

    code: ClassVar[str] = "not-allowed-now"


class CatalogueInvalid(Fault):
    """The catalogue does not hold together; `problems` lists every finding."""

    code: ClassVar[str] = "catalogue-invalid"


class ReceiptInvalid(Fault):
    """The receipt does not prove what it says."""

    code: ClassVar[str] = "receipt-invalid"
