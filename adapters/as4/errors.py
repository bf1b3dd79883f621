"""What an access point says no with: the errors of ebMS 3.0 §6.7 and AS4 §3, one class each."""

from typing import ClassVar, Final

from keys.errors import Fault


class EbmsError(Fault):
    """The message is not taken."""

    code: ClassVar[str] = "as4-refused"
    number: ClassVar[str] = "EBMS:0004"
    name: ClassVar[str] = "Other"
    category: ClassVar[str] = "Content"
    severity: ClassVar[str] = "failure"

    def about(self, message_id: str) -> "EbmsError":
        """The same, about a message whose id is known by now."""
        self.data.setdefault("message_id", message_id)
        return self

    @property
    def message_id(self) -> str | None:
        """The message it is about."""
        found = self.data.get("message_id")
        return found if isinstance(found, str) else None


class ValueNotRecognized(EbmsError):
    """A value of the header is not known here."""

    number, name = "EBMS:0001", "ValueNotRecognized"


class FeatureNotSupported(EbmsError):
    """The message uses what is not supported here."""

    number, name, category = "EBMS:0008", "FeatureNotSupported", "Unpackaging"


class ValueInconsistent(EbmsError):
    """Values of the message do not fit each other."""

    number, name = "EBMS:0003", "ValueInconsistent"


class EmptyPartition(EbmsError):
    """Nothing waits on this channel."""

    number, name, category, severity = "EBMS:0006", "EmptyMessagePartitionChannel", "Communication", "warning"


class MimeInconsistency(EbmsError):
    """The MIME package can't be read."""

    number, name, category = "EBMS:0007", "MimeInconsistency", "Unpackaging"


class InvalidHeader(EbmsError):
    """The SOAP envelope or its ebMS header can't be read."""

    number, name, category = "EBMS:0009", "InvalidHeader", "Unpackaging"


class ModeMismatch(EbmsError):
    """No agreement with this partner is about such a message."""

    number, name, category = "EBMS:0010", "ProcessingModeMismatch", "Processing"


class ExternalPayload(EbmsError):
    """A payload that the header names is not there."""

    number, name = "EBMS:0011", "ExternalPayloadError"


class FailedAuthentication(EbmsError):
    """The signature is not the partner's over this message."""

    number, name, category = "EBMS:0101", "FailedAuthentication", "Processing"


class FailedDecryption(EbmsError):
    """The payloads can't be decrypted."""

    number, name, category = "EBMS:0102", "FailedDecryption", "Processing"


class PolicyNoncompliance(EbmsError):
    """The message is not protected as was agreed."""

    number, name, category = "EBMS:0103", "PolicyNoncompliance", "Processing"


class MissingReceipt(EbmsError):
    """No receipt came for what was sent."""

    number, name, category = "EBMS:0301", "MissingReceipt", "Communication"


class InvalidReceipt(EbmsError):
    """The receipt is not one for what was sent."""

    number, name, category = "EBMS:0302", "InvalidReceipt", "Communication"


class DecompressionFailure(EbmsError):
    """A payload can't be decompressed, or is larger than is taken."""

    number, name, category = "EBMS:0303", "DecompressionFailure", "Communication"


PASSING: Final = frozenset({"EBMS:0005", "EBMS:0202"})
"""Errors of a partner that may be gone the next time: its connection, or its own delivery, failed."""
