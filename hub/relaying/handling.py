"""`POST /v1/relay`: what another hub hands over, and what one of our own sends in a case of another home."""

from datetime import UTC, datetime

from hub import log
from hub.intake.decode import Incoming, decode
from hub.intake.known import Known
from hub.intake.ledger import Job
from hub.intake.prove import Outcome
from hub.relaying import forwarding, reading
from hub.relaying.arriving import Arrive
from hub.relaying.copying import Carrying, Copy, Return
from hub.service import Hub, given
from hub.store.queries import SQL
from keys.errors import Fault
from protocols import tracing
from protocols.between_hubs import Relayed, Returned
from protocols.entries import Accepted, Carried
from protocols.envelope import Event
from protocols.receipt import Receipt

_CARRYING: dict[type[Carried], type[Carrying]] = {Accepted: Copy, Returned: Return, Relayed: Arrive}


async def forward(hub: Hub, token: bytes) -> tuple[Receipt, bool]:
    """Take a message of one of our organisations for another home: our receipt, and whether it was new."""
    incoming = decode(token)
    with hub.sequencer.room():
        try:
            directory, now = await hub.directory(fresh=True), datetime.now(UTC)
            job = forwarding.forward(incoming, hub.catalogue, directory, hub.identity.hub, now)
            return given(await _entered(hub, job, job.event))
        except Fault as refusal:
            found = await hub.first(incoming, refusal)
            if isinstance(found, Fault):
                raise found from None
            return given(found)


async def relay(hub: Hub, body: bytes) -> tuple[Receipt, bool]:
    """Take what another hub handed over, proven: our receipt, and whether it was new."""
    with hub.sequencer.room():
        directory = await hub.directory(fresh=True)
        try:
            passage = reading.read(body, hub.identity, directory, datetime.now(UTC))
            kind = _CARRYING[type(passage.entry)]
            job = kind(passage, body, directory.epoch, hub.identity, hub.catalogue)
            return given(await _entered(hub, job, passage.event))
        except Fault:
            found = await _carried(hub, reading.incoming(body))
            if found is None:
                raise
            return given(found)


async def _entered(hub: Hub, job: Job, event: Event) -> Outcome:
    way = tracing.begin("relay", event.id, source=event.source, type=event.type, hub=hub.identity.hub)
    try:
        outcome = await hub.sequencer.submit(job, way=way)
    except Fault as refusal:
        way.end("refused", refusal)
        raise
    way.end("new" if outcome.new else "known")
    return outcome


async def _carried(hub: Hub, incoming: Incoming) -> Outcome | None:
    """What was entered of these very bytes the last time, whatever has changed since; None for unknown ones."""
    if incoming.key is None:
        return None
    source, id = incoming.key
    async with hub.pool.acquire() as connection:
        row = await connection.fetchrow(SQL["known"], [source], [id])
        case = str(incoming.attributes.get("subject"))
        if row is None or row["signing_input"] != incoming.signing_digest:
            return None
        rows = [r for r in await connection.fetch(SQL["relays"], [case]) if (r["source"], str(r["id"])) == (source, id)]
        last = next((r for r in reversed(rows) if r["way"] != "up"), None)
        if last is None:
            return None
    return await hub.sequencer.submit(Known(log.Placed(last["log_index"], last["tree_size"])))
