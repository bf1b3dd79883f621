"""A message of the hub itself: signed with its key, taken in like any other, judged by the flow alone."""

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.errors import IdReused
from hub.identity import Identity
from hub.intake.advance import settle
from hub.intake.ledger import Job, Ledger, Taken
from hub.store import Connection
from hub.store.queries import SQL
from keys import jws
from keys.errors import Fault
from protocols import envelope
from protocols.envelope import Event
from protocols.loading import Protocol


@dataclass(frozen=True, slots=True)
class Own(Job):
    """A message by the hub."""

    event: Event
    token: bytes
    protocol: Protocol

    @property
    def recipients(self) -> Sequence[str]:
        """Whose positions it takes."""
        return self.event.recipients

    @property
    def cases(self) -> Sequence[str]:
        """The case it speaks to."""
        return (self.event.subject,)

    @property
    def message(self) -> tuple[str, str]:
        """What it is known by."""
        return self.event.source, self.event.id

    def take(self, ledger: Ledger) -> Taken | Fault:
        """Enter it where the flow allows it; known where another process was first."""
        known = ledger.known.get(self.message)
        signing_digest = hashlib.sha256(self.token.rpartition(b".")[0]).digest()
        if known is not None:
            digest, index, tree_size = known
            return Taken(index, tree_size, False) if digest == signing_digest else IdReused()
        return settle(ledger, self.protocol, self.event, self.token, signing_digest)


def compose(
    identity: Identity,
    protocol: Protocol,
    message: str,
    case: str,
    recipients: Sequence[str],
    data: Mapping[str, Any],
    id: str,
    time: datetime,
    causationid: str | None = None,
) -> Own:
    """The hub's message, signed. Raises EnvelopeInvalid."""
    attributes = envelope.compose(
        id=id,
        source=identity.hub,
        type=f"{protocol.name}.{message}",
        dataschema=protocol.messages[message].schema.id,
        subject=case,
        recipients=recipients,
        hub=identity.hub,
        time=time,
        data=dict(data),
        causationid=causationid,
    )
    token = jws.sign(envelope.encode(attributes), identity.key, typ=envelope.TYP, cty=envelope.CTY)
    return Own(envelope.event(attributes), token, protocol)


async def said(connection: Connection, case: str) -> list[Event]:
    """All messages of a case in their order, as far as their content is kept."""
    steps = await connection.fetch(SQL["case_steps"], case)
    columns = [case] * len(steps), [step["log_index"] for step in steps], [step["accepted"] for step in steps]
    rows = sorted(await connection.fetch(SQL["messages"], *columns), key=lambda row: int(row["log_index"]))
    return [envelope.event(envelope.read(jws.decode(row["jws"], typ=envelope.TYP).payload)) for row in rows]


def derived_id(moment: datetime, *reasons: object) -> str:
    """A UUIDv7 (RFC 9562 §5.7) of `moment` that follows from what it is for, so that no two processes say it twice."""
    milliseconds = int(moment.timestamp() * 1000)
    drawn = int.from_bytes(hashlib.sha256(" ".join(map(str, reasons)).encode()).digest()[:10], "big")
    value = milliseconds << 80 | drawn
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))
