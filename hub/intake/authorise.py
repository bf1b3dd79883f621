"""Step 5, under the log's lock: the standing of sender and recipients at this very moment.

Keys come and go while a message is on its way; what was true when it was verified may not be now.
"""

from datetime import datetime

from hub.intake.decode import Incoming
from hub.intake.validate import check_standing
from hub.intake.verify import verify
from hub.organisations import Directory
from hub.signatories import signatory
from protocols.envelope import Event
from protocols.loading import Protocol


def authorise(
    incoming: Incoming, event: Event, protocol: Protocol, judged_at: int, directory: Directory, now: datetime
) -> str | None:
    """The gateway that signed it for its sender, if one did; the key counts at `now` and the seal reaches all readers.

    Raises what `verify` and `check_standing` raise. `judged_at` is the key epoch of the directory that both
    went by before. While the epoch stands, the validity of the sender's key is all that time can have
    changed; else everything is judged again.
    """
    if directory.epoch != judged_at:
        gateway = verify(incoming, directory, now)
        check_standing(event, protocol, directory, now)
        return gateway
    sender = directory.organisations[event.source]
    who = signatory(directory, sender, incoming.compact.header.kid, event.type, now)
    who.ring.verifying(incoming.compact.header.kid, now, who.algorithms)
    return None if who is sender else who.id
