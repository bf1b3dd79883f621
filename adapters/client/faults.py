"""Why the SDK gives up: refused by the hub, left undecided, or answered by something that is no hub."""

from typing import ClassVar

from keys.errors import Fault


class Refused(Fault):
    """The hub refused; `problem` in data is its RFC 9457 answer."""

    code: ClassVar[str] = "refused"

    @property
    def reason(self) -> str:
        """The stable code of the hub's problem, the last part of its `type`."""
        problem = self.data.get("problem")
        return str(problem.get("type", "")).rpartition("/")[2] if isinstance(problem, dict) else ""

    @property
    def resealable(self) -> bool:
        """Whether a message was sealed to keys that its recipients have no more; it was not stored."""
        return self.reason == "sealing-invalid"


class Undecided(Fault):
    """The hub could not be asked; send the same bytes again, nothing can happen twice.

    After a sending `compact` in data are these bytes; `retry_after` are the seconds that the hub asked for.
    """

    code: ClassVar[str] = "undecided"


class AnswerInvalid(Fault):
    """What answered does not keep to the contract: a proxy in between, or another program than a hub."""

    code: ClassVar[str] = "answer-invalid"


class DeliveryInvalid(Fault):
    """The hub handed out a message that is not what it says, or not for this organisation."""

    code: ClassVar[str] = "delivery-invalid"


class AddressInvalid(Fault):
    """A hub's address is an http or https URL without query, for example https://hub.example."""

    code: ClassVar[str] = "hub-address-invalid"


class CertificateUnusable(Fault):
    """The certificate to show can't be read, or the key beside it is another's."""

    code: ClassVar[str] = "certificate-unusable"


class ClientClosed(Fault):
    """The client is not open; use it inside `async with`."""

    code: ClassVar[str] = "client-closed"


class CursorInvalid(Fault):
    """The cursor can't be used: unreadable, of another mailbox, or beyond the mailbox's end."""

    code: ClassVar[str] = "cursor-invalid"
