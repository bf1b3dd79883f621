"""Step 3: the signature, by a valid key that its sender owns or has let a gateway sign with."""

from datetime import datetime

from hub.errors import SenderUnknown
from hub.intake.decode import Incoming
from hub.organisations import Directory
from hub.signatories import signatory
from keys import jws


def verify(incoming: Incoming, directory: Directory, now: datetime) -> str | None:
    """The gateway that signed it for its sender, None where the sender did.

    Raises SenderUnknown, KeyUnknown, KeyNotValid, AlgorithmNotAllowed, BadSignature, DelegationExceeded.
    """
    sender = directory.get(str(incoming.attributes.get("source")))
    if sender is None:
        raise SenderUnknown()
    who = signatory(directory, sender, incoming.compact.header.kid, str(incoming.attributes.get("type")), now)
    key = who.ring.verifying(incoming.compact.header.kid, now, who.algorithms)
    jws.verify(incoming.compact, key, who.algorithms)
    return None if who is sender else who.id
