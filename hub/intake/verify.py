"""Step 3: the signature, by a key that its sender owns and that is valid."""

from datetime import datetime

from hub.errors import SenderUnknown
from hub.intake.decode import Incoming
from hub.organisations import Directory
from keys import jws


def verify(incoming: Incoming, directory: Directory, now: datetime) -> None:
    """Raise unless the sender signed it: SenderUnknown, KeyUnknown, KeyNotValid, AlgorithmNotAllowed, BadSignature."""
    sender = directory.get(str(incoming.attributes.get("source")))
    if sender is None:
        raise SenderUnknown()
    key = sender.ring.verifying(incoming.compact.header.kid, now, sender.algorithms)
    jws.verify(incoming.compact, key, sender.algorithms)
