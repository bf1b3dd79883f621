"""Step 5, under the log's lock: the key's standing at this very moment, for it may have changed on the way."""

from datetime import datetime

from hub.intake.decode import Incoming
from hub.intake.verify import verify
from hub.organisations import Directory


def authorise(incoming: Incoming, verified_at: int, directory: Directory, now: datetime) -> None:
    """Raise unless the sender's key counts at `now`: what `verify` raises.

    `verified_at` is the key epoch that the signature was verified in. While the epoch stands, the
    validity of the key is all that time can have changed; else everything is verified again.
    """
    if directory.epoch != verified_at:
        verify(incoming, directory, now)
        return
    sender = directory.organisations[str(incoming.attributes["source"])]
    sender.ring.verifying(incoming.compact.header.kid, now, sender.algorithms)
